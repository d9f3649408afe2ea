/* CUTLASS's own sm_80 multistage GEMM, unmodified, as a referee of softgpu: kernel and executor may
 * not share a wrong belief when neither the kernel nor its author is ours. Prints TAP lines. */
#include <cstdio>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "cutlass/gemm/device/gemm.h"

using Element = cutlass::bfloat16_t;
using Gemm = cutlass::gemm::device::Gemm<
    Element, cutlass::layout::RowMajor, Element, cutlass::layout::ColumnMajor, float,
    cutlass::layout::RowMajor, float, cutlass::arch::OpClassTensorOp, cutlass::arch::Sm80,
    cutlass::gemm::GemmShape<64, 64, 32>, cutlass::gemm::GemmShape<32, 32, 32>,
    cutlass::gemm::GemmShape<16, 8, 16>>;

static bool product_is_exact(int m, int n, int k) {
    std::vector<Element> a(m * k), b(n * k);
    std::vector<float> c(m * n, 1.0f), got(m * n);
    for (int i = 0; i < m * k; i++)
        a[i] = Element(float((i * 7 + i / k) % 9 - 4));
    for (int i = 0; i < n * k; i++)
        b[i] = Element(float((i * 5 + i / k) % 7 - 3));
    Element *da, *db;
    float *dc;
    cudaMalloc(&da, a.size() * 2), cudaMalloc(&db, b.size() * 2), cudaMalloc(&dc, c.size() * 4);
    cudaMemcpy(da, a.data(), a.size() * 2, cudaMemcpyHostToDevice);
    cudaMemcpy(db, b.data(), b.size() * 2, cudaMemcpyHostToDevice);
    cudaMemcpy(dc, c.data(), c.size() * 4, cudaMemcpyHostToDevice);
    Gemm gemm;
    bool ran = gemm({{m, n, k}, {da, k}, {db, k}, {dc, n}, {dc, n}, {2.0f, 3.0f}}) ==
               cutlass::Status::kSuccess;
    cudaMemcpy(got.data(), dc, got.size() * 4, cudaMemcpyDeviceToHost);
    cudaFree(da), cudaFree(db), cudaFree(dc);
    for (int i = 0; i < m && ran; i++)
        for (int j = 0; j < n && ran; j++) {
            float sum = 0;
            for (int t = 0; t < k; t++)
                sum += float(a[i * k + t]) * float(b[j * k + t]);
            ran = got[i * n + j] == 2 * sum + 3;
        }
    return ran;
}

int main() {
    const int shapes[][3] = {{64, 64, 32}, {128, 64, 256}, {72, 200, 136}, {256, 192, 512}};
    int number = 0, failed = 0;
    for (auto &s : shapes) {
        bool right = product_is_exact(s[0], s[1], s[2]);
        failed += !right;
        std::printf("%sok %d - CUTLASS sm_80 GEMM %d x %d x %d\n", right ? "" : "not ", ++number,
                    s[0], s[1], s[2]);
    }
    return failed != 0;
}
