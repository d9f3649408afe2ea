/* check: what launchers ask of tensors that row_check found right, to choose how they launch. */
#ifndef MOTET_CUDA_CHECK_H
#define MOTET_CUDA_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/row_job.h"
#include "kernels/row.h"

/* As a kernel of the row ops takes it. */
static inline motet_row_array motet_cuda_array(motet_tensor t) {
    return (motet_row_array){t.data, t.dtype == MOTET_F32    ? ROW_F32
                                     : t.dtype == MOTET_BF16 ? ROW_BF16
                                                             : ROW_I8};
}

/* Elements of a lane's chunk: as row_chunk of row.cuh. */
static inline int64_t motet_cuda_chunk(motet_tensor a, motet_tensor b) {
    return a.dtype == MOTET_BF16 && b.dtype == MOTET_BF16 ? 8 : 4;
}

/* The address is one that `chunk` elements at once may be read from. True of no tensor (NULL). */
static inline bool motet_cuda_aligned(motet_tensor t, int64_t chunk) {
    size_t bytes = (size_t)chunk * motet_dtype_bytes(t.dtype);
    return (uintptr_t)t.data % (bytes < 16 ? bytes : 16) == 0;
}

static inline int64_t motet_cuda_blocks(int64_t work, int64_t per_block) {
    return work / per_block + (work % per_block != 0);
}

/* How many ranges of rows have a partial sum each, `bytes` of workspace for one: as many as keep a
 * big device busy while they are 1/16 of what is read; a function of the shapes alone, so sums are
 * the same on every device. 0: not even one fits. */
static inline int64_t motet_cuda_ranges(int64_t rows, int64_t bytes) {
    int64_t room = bytes > 0 ? (int64_t)MOTET_CUDA_WORKSPACE / bytes : 0;
    return row_min(row_min(motet_cuda_blocks(rows, 2 * ROW_WARPS), 512), room);
}

#endif
