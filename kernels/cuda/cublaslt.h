/* cublaslt: large matrix products through NVIDIA's cuBLASLt, opened at run time where it is
 * installed (libcublasLt.so.13 or .12). Never needed: whatever it does not take, our own kernels
 * do.
 *
 * It takes products of at least 2^24 multiply-adds in which A and B are both bf16 or both f32, all
 * memory and rows start at 16 bytes, the bias has the type of C, and nothing comes behind the sum
 * (its GELU is the tanh approximation, not ours). f32 stays f32, never TF32. Only algorithms whose
 * sums run in a fixed order. On softgpu, where it does not run, it is not looked for.
 *
 * MOTET_CUDA_GEMM=own in the environment: our own kernels do everything. Ignored in set-user-ID
 * programs.
 */
#ifndef MOTET_CUDA_CUBLASLT_H
#define MOTET_CUDA_CUBLASLT_H

#include "kernels/cuda/matmul_job.h"

/* done: false if it is not there or did not want the job, and nothing was launched. */
motet_status motet_cublaslt_matmul(bool *done, const motet_cuda_matmul_job *job);

#endif
