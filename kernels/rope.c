#include "kernels/rope.h"

#include "kernels/row.h"
#include "kernels/row_check.h"

typedef struct job {
    motet_tensor x, table;
    int64_t heads;
    float turn; /* 1, or -1 for the inverse */
} job;

/* Turns one head; cosine and sine hold half its width each. */
ROW_INLINE void turn_head(float *x, const float *cosine, const float *sine, float turn,
                          int64_t half) {
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        float c = cosine[i], s = sine[i] * turn, a = x[i], b = x[half + i];
        x[i] = a * c - b * s;
        x[half + i] = a * s + b * c;
    }
}

ROW_CLONES static void rope_rows(const job *j, int64_t first, int64_t end) {
    ROW_SCRATCH(scratch);
    int64_t width = j->table.dims[1], half = width / 2, pitch = j->x.dims[1];
    int64_t group = ROW_CHUNK / width; /* heads in scratch at once */
    for (int64_t row = first; row < end; row++) {
        const float *cosine = (const float *)j->table.data + row * width, *sine = cosine + half;
        for (int64_t head = 0; head < j->heads; head += group) {
            int64_t n = row_min(group, j->heads - head), at = row * pitch + head * width;
            float *x = row_read(j->x, at, n * width, scratch);
            for (int64_t h = 0; h < n; h++, x += width)
                switch (half) { /* loops of known length */
                case 16:
                    turn_head(x, cosine, sine, j->turn, 16);
                    break;
                case 32:
                    turn_head(x, cosine, sine, j->turn, 32);
                    break;
                case 64:
                    turn_head(x, cosine, sine, j->turn, 64);
                    break;
                default:
                    turn_head(x, cosine, sine, j->turn, half);
                    break;
                }
            row_store(j->x, at, n * width, x - n * width);
        }
    }
}

motet_status motet_cpu_rope(motet_tensor x, motet_tensor table, int heads, bool inverse) {
    int64_t rows = x.dims[0];
    MOTET_TRY(motet_rope_check(x, table, heads));
    job j = {.x = x, .table = table, .heads = heads, .turn = inverse ? -1.0f : 1.0f};
    int64_t block = 32, blocks = (rows + block - 1) / block;
#pragma omp parallel for schedule(static) if (rows * heads * table.dims[1] > ROW_PARALLEL)
    for (int64_t b = 0; b < blocks; b++)
        rope_rows(&j, b * block, row_min(rows, (b + 1) * block));
    return MOTET_OK;
}
