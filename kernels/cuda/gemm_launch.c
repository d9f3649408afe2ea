/* Which tile, and how many splits of K. The choice depends on shapes, types, alignment and the
 * number of multiprocessors, never on time, so results repeat. */
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul_job.h"

MOTET_CUDA_MODULE(gemm);
MOTET_CUDA_MODULE(gemm_f32);

/* By transposes: bit 0 of B, bit 1 of A. */
#define BY_TRANSPOSES(unit, prefix)                          \
    {                                                        \
        {.module = &unit##_module, .name = prefix "nn"},     \
            {.module = &unit##_module, .name = prefix "nt"}, \
            {.module = &unit##_module, .name = prefix "tn"}, \
            {.module = &unit##_module, .name = prefix "tt"}, \
    }
static motet_cuda_kernel kernels_128[4] = BY_TRANSPOSES(gemm, "motet_gemm_128_");
static motet_cuda_kernel kernels_64[4] = BY_TRANSPOSES(gemm, "motet_gemm_64_");
static motet_cuda_kernel kernels_any[4] = BY_TRANSPOSES(gemm, "motet_gemm_any_");
static motet_cuda_kernel kernels_f32_128[4] = BY_TRANSPOSES(gemm_f32, "motet_gemm_f32_128_");
static motet_cuda_kernel kernels_f32_32[4] = BY_TRANSPOSES(gemm_f32, "motet_gemm_f32_32_");
static motet_cuda_kernel kernel_16 = {.module = &gemm_module, .name = "motet_gemm_16_nt"};

typedef struct tile {
    motet_cuda_kernel *kernels;
    int m, n, k, threads;
    int resident; /* blocks that a multiprocessor should have */
    int link;     /* steps of k in the time in which a split adds its sums and passes the turn */
    size_t shared_bytes;
} tile;

/* shared_bytes: stages x (rows + columns) x 32 bf16, as gemm.cu has its ring. */
static const tile tile_128 = {kernels_128, 128, 128, GEMM_BK, 256, 1, 8, (size_t)4 * 256 * 64};
static const tile tile_64 = {kernels_64, 64, 64, GEMM_BK, 128, 3, 8, (size_t)4 * 128 * 64};
static const tile tile_16 = {&kernel_16, 16, 64, GEMM_BK, 128, 3, 8, (size_t)8 * 80 * 64};
static const tile tile_any = {kernels_any, 64, 64, GEMM_BK, 256, 2, 8, (size_t)2 * 128 * 64};
static const tile tile_f32_128 = {kernels_f32_128, 128, 64, GEMM_F32_BK, 128, 2, 2, 0};
static const tile tile_f32_32 = {kernels_f32_32, 32, 32, GEMM_F32_BK, 64, 6, 2, 0};

static int64_t blocks_of(const tile *t, const motet_gemm_args *p) {
    return (int64_t)((p->m + t->m - 1) / t->m) * ((p->n + t->n - 1) / t->n);
}

/* Fills the machine by splitting K where there are few tiles. `steps / splits` of work and then
 * `splits` links of a chain take least time at the root of steps / link; predicted, not measured.
 */
static void split(motet_gemm_args *p, const tile *t, int multiprocessors) {
    const int steps = (p->k + t->k - 1) / t->k;
    const int64_t blocks = blocks_of(t, p), room = (int64_t)multiprocessors * t->resident;
    const bool in_place = p->c_type == ROW_F32;
    int splits = 1;
    if (blocks <= GEMM_TURNS &&
        (in_place || (size_t)p->m * (size_t)p->n * sizeof(float) <= MOTET_CUDA_WORKSPACE))
        while ((splits + 1) * blocks <= room && (splits + 1) * (splits + 1) <= steps / t->link)
            splits++;
    p->tiles = steps ? (steps + splits - 1) / splits : 1;
    p->splits = steps ? (steps + p->tiles - 1) / p->tiles : 1;
    p->sums = in_place ? p->c : motet_cuda_workspace();
}

motet_status motet_cuda_gemm(const motet_cuda_matmul_job *job) {
    const motet_cuda_limits limits = motet_cuda_get_limits();
    const bool ta = job->spec.transpose_a, tb = job->spec.transpose_b;
    const int64_t a_pitch = ta ? job->m : job->k, b_pitch = tb ? job->k : job->n;
    motet_gemm_args p = motet_cuda_gemm_args(job);
    const tile *t;
    if (p.a_type == ROW_BF16 && p.b_type != ROW_F32) {
        p.a_vector = motet_cuda_is_aligned(job->a, a_pitch, 8);
        p.b_vector = motet_cuda_is_aligned(job->b, b_pitch, 8);
        if (!p.a_vector || !p.b_vector || p.b_type == ROW_I8)
            t = &tile_any;
        else if (p.m <= 16 && tb && !ta)
            t = &tile_16;
        else
            t = blocks_of(&tile_128, &p) >= limits.multiprocessors ? &tile_128 : &tile_64;
    } else {
        p.a_vector = motet_cuda_is_aligned(job->a, a_pitch, 4);
        p.b_vector = motet_cuda_is_aligned(job->b, b_pitch, 4);
        t = p.m > 64 && p.n > 32 ? &tile_f32_128 : &tile_f32_32;
    }
    split(&p, t, limits.multiprocessors);
    const motet_cuda_grid grid = {(p.m + t->m - 1) / t->m, (p.n + t->n - 1) / t->n, p.splits};
    motet_cuda_kernel *kernel = t == &tile_16 ? t->kernels : &t->kernels[2 * ta + tb];
    return motet_cuda_launch(kernel, grid, t->threads, t->shared_bytes, MOTET_CUDA_ARGS(&p));
}
