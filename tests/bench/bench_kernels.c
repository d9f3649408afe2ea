/* bench_kernels: how fast the CPU twins of matmul, attention and sample are at the model's shapes.
 *
 *     bench_kernels [portable|avx2|avx512] [threads]
 *
 * Prints the median of repeated runs, the fastest, and rates of the fastest: on a machine that
 * others use too, a median measures the neighbours. GFLOP/s count the products that the definition
 * needs: a causal mask halves them, the backward pass has five products for the forward's two. GB/s
 * count the weights or caches once. Not a test: no figure fails. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/attention.h"
#include "kernels/core/rng.h"
#include "kernels/matmul.h"
#include "kernels/sample.h"
#include "kernels/simd_table.h"

#define MOST_RUNS 2001
#define BUDGET_SECONDS 0.4

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef motet_status work_fn(void *context);

typedef struct timing {
    double median, best; /* seconds */
} timing;

/* Over as many runs as fit into the budget, at least 5. */
static timing measure(work_fn *work, void *context) {
    static double seconds[MOST_RUNS];
    int runs = 0;
    const double start = now();
    for (int warm = 0; warm < 2; warm++) {
        if (work(context) != MOTET_OK) {
            fprintf(stderr, "bench_kernels: %s\n", motet_error());
            exit(1);
        }
    }
    while (runs < MOST_RUNS && (runs < 5 || now() - start < BUDGET_SECONDS)) {
        const double before = now();
        work(context);
        seconds[runs++] = now() - before;
    }
    qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
    return (timing){seconds[runs / 2], seconds[0]};
}

static motet_tensor filled(motet_dtype dtype, int64_t rows, int64_t cols) {
    static uint64_t stream;
    const size_t bytes = (size_t)(rows * cols) * motet_dtype_bytes(dtype);
    motet_tensor t = motet_matrix(aligned_alloc(64, (bytes + 63) / 64 * 64), dtype, rows, cols);
    motet_rng rng = motet_rng_make(1, stream++);
    if (!t.data) exit(1);
    for (int64_t i = 0; i < rows * cols; i++) {
        const float x = motet_rng_normal(&rng);
        if (dtype == MOTET_F32)
            ((float *)t.data)[i] = x;
        else if (dtype == MOTET_BF16)
            ((uint16_t *)t.data)[i] = motet_bf16_from_f32(x);
        else
            ((int8_t *)t.data)[i] = (int8_t)(x * 30.0f);
    }
    if (dtype == MOTET_I8) {
        float *scale = malloc((size_t)rows * sizeof *scale);
        if (!scale) exit(1);
        for (int64_t i = 0; i < rows; i++)
            scale[i] = 1.0f / 30.0f;
        t.scale = scale;
    }
    return t;
}

static void release(motet_tensor t) {
    free((void *)(uintptr_t)t.scale);
    free(t.data);
}

typedef struct product {
    motet_tensor c, a, b;
    motet_matmul_spec spec;
} product;

static motet_status multiply(void *context) {
    const product *p = context;
    return motet_cpu_matmul(p->c, p->a, p->b, (motet_tensor){0}, p->spec);
}

static void bench_matmul(int64_t m, int64_t n, int64_t k, bool ta, bool tb, motet_dtype da,
                         motet_dtype db) {
    product p = {.c = filled(MOTET_F32, m, n),
                 .a = ta ? filled(da, k, m) : filled(da, m, k),
                 .b = tb ? filled(db, n, k) : filled(db, k, n),
                 .spec = {.transpose_a = ta, .transpose_b = tb}};
    const timing t = measure(multiply, &p);
    printf("matmul  %5lld x %4lld x %4lld  %c%c  %-4s x %-4s  %9.1f us, best %9.1f  %7.1f GFLOP/s  "
           "%6.1f GB/s\n",
           (long long)m, (long long)n, (long long)k, ta ? 'T' : 'N', tb ? 'T' : 'N',
           motet_dtype_name(da), motet_dtype_name(db), t.median * 1e6, t.best * 1e6,
           2e-9 * (double)m * (double)n * (double)k / t.best,
           1e-9 * (double)(n * k) * (double)motet_dtype_bytes(db) / t.best);
    release(p.a), release(p.b), release(p.c);
}

typedef struct attention {
    motet_attention_spec spec;
    motet_tensor qkv, q, k, v, out, lse, dout, dqkv, dq, dk, dv;
} attention;

static motet_status forward(void *context) {
    const attention *a = context;
    return motet_cpu_attention_forward(a->out, a->lse, a->q, a->k, a->v, &a->spec);
}
static motet_status backward(void *context) {
    const attention *a = context;
    return motet_cpu_attention_backward(a->dq, a->dk, a->dv, a->dout, a->out, a->lse, a->q, a->k,
                                        a->v, &a->spec);
}

static void bench_attention(int sequences, int queries, int keys, int heads, int width, bool causal,
                            motet_dtype dtype) {
    int32_t *q_offsets = malloc((size_t)(sequences + 1) * sizeof *q_offsets);
    int32_t *k_offsets = malloc((size_t)(sequences + 1) * sizeof *k_offsets);
    if (!q_offsets || !k_offsets) exit(1);
    for (int s = 0; s <= sequences; s++)
        q_offsets[s] = s * queries, k_offsets[s] = s * keys;
    const int64_t row = heads * width, pitch = 3 * row;
    const int64_t rows = (int64_t)sequences * (queries > keys ? queries : keys);
    attention a = {.spec = {.heads = heads,
                            .width = width,
                            .sequences = sequences,
                            .q_offsets = q_offsets,
                            .k_offsets = k_offsets,
                            .q_pitch = pitch,
                            .k_pitch = pitch,
                            .v_pitch = pitch,
                            .out_pitch = row,
                            .causal = causal},
                   .qkv = filled(dtype, rows, pitch),
                   .dqkv = filled(dtype, rows, pitch),
                   .out = filled(dtype, rows, row),
                   .dout = filled(dtype, rows, row),
                   .lse = filled(MOTET_F32, rows, heads)};
    const size_t step = (size_t)row * motet_dtype_bytes(dtype);
    a.q = a.k = a.v = a.qkv, a.dq = a.dk = a.dv = a.dqkv;
    a.k.data = (char *)a.qkv.data + step, a.v.data = (char *)a.qkv.data + 2 * step;
    a.dk.data = (char *)a.dqkv.data + step, a.dv.data = (char *)a.dqkv.data + 2 * step;
    const double products =
        4e-9 * sequences * heads * (double)queries * keys * width * (causal ? 0.5 : 1.0);
    const timing f = measure(forward, &a), b = measure(backward, &a);
    printf("attention %d x %d x %d, %d x %d%s %-4s  forward %7.2f ms, best %7.2f, %6.1f GFLOP/s  "
           "backward %7.2f ms, best %7.2f, %6.1f GFLOP/s\n",
           sequences, queries, keys, heads, width, causal ? " causal" : "", motet_dtype_name(dtype),
           f.median * 1e3, f.best * 1e3, products / f.best, b.median * 1e3, b.best * 1e3,
           2.5 * products / b.best);
    release(a.qkv), release(a.dqkv), release(a.out), release(a.dout), release(a.lse);
    free(q_offsets), free(k_offsets);
}

typedef struct decoding {
    motet_tensor out, q, k, v;
    const int32_t *lengths;
    int heads;
} decoding;

static motet_status decode(void *context) {
    const decoding *d = context;
    return motet_cpu_attention_decode(d->out, d->q, d->k, d->v, d->lengths, d->heads);
}

static void bench_decode(int64_t batch, int64_t length, int heads, int width, motet_dtype dtype) {
    const int64_t row = heads * width;
    int32_t lengths[64];
    const motet_dtype query = dtype == MOTET_I8 ? MOTET_F32 : dtype;
    /* int8 has a scale for each row of a head; they are all the same here. */
    decoding d = {.out = filled(query, batch, row),
                  .q = filled(query, batch, row),
                  .k = filled(dtype, batch * length * heads, width),
                  .v = filled(dtype, batch * length * heads, width),
                  .lengths = lengths,
                  .heads = heads};
    for (int64_t b = 0; b < batch; b++)
        lengths[b] = (int32_t)length;
    d.k.rank = d.v.rank = 3;
    d.k.dims[0] = d.v.dims[0] = batch, d.k.dims[1] = d.v.dims[1] = length;
    d.k.dims[2] = d.v.dims[2] = row;
    const timing t = measure(decode, &d);
    printf("decode  %lld x %lld, %d x %d %-4s  %9.1f us, best %9.1f  %6.1f GB/s\n",
           (long long)batch, (long long)length, heads, width, motet_dtype_name(dtype),
           t.median * 1e6, t.best * 1e6,
           2e-9 * (double)(batch * length * row) * (double)motet_dtype_bytes(dtype) / t.best);
    release(d.out), release(d.q), release(d.k), release(d.v);
}

typedef struct sampling {
    motet_tensor logits;
    motet_sample_params *params;
    motet_sample_result *results;
} sampling;

static motet_status draw(void *context) {
    const sampling *s = context;
    const motet_tensor none = {0};
    s->params[0].counter++;
    return motet_cpu_sample(s->results, s->logits, none, none, none, s->params);
}

static void bench_sample(int64_t batch, int64_t symbols, float top_p, int top_k) {
    motet_sample_params params[64];
    motet_sample_result results[64];
    sampling s = {
        .logits = filled(MOTET_F32, batch, symbols), .params = params, .results = results};
    for (int64_t b = 0; b < batch; b++)
        params[b] = (motet_sample_params){.temperature = 0.9f,
                                          .guidance = 1.0f,
                                          .repetition_penalty = 1.0f,
                                          .top_p = top_p,
                                          .top_k = top_k,
                                          .seed = (uint64_t)b};
    const timing t = measure(draw, &s);
    printf("sample  %lld x %lld, top_p %.2f, top_k %d  %9.2f us, best %9.2f\n", (long long)batch,
           (long long)symbols, (double)top_p, top_k, t.median * 1e6, t.best * 1e6);
    release(s.logits);
}

int main(int count, char **words) {
    motet_simd_level level = MOTET_SIMD_AVX512;
    if (count > 1 && !strcmp(words[1], "portable")) level = MOTET_SIMD_PORTABLE;
    if (count > 1 && !strcmp(words[1], "avx2")) level = MOTET_SIMD_AVX2;
    motet_simd_limit(level);
    if (count > 2) omp_set_num_threads(atoi(words[2]));
    printf("%s, %d threads\n", motet_simd_table()->name, omp_get_max_threads());

    static const motet_dtype weights[] = {MOTET_F32, MOTET_BF16, MOTET_I8};
    static const int64_t decode_shapes[][3] = {{1, 768, 256},   {2, 768, 256},   {4, 768, 256},
                                               {1, 1024, 1024}, {2, 1024, 1024}, {1, 4096, 4096},
                                               {8, 1024, 1024}, {16, 1024, 1024}};
    for (size_t i = 0; i < sizeof decode_shapes / sizeof *decode_shapes; i++)
        for (int d = 0; d < 3; d++)
            bench_matmul(decode_shapes[i][0], decode_shapes[i][1], decode_shapes[i][2], false, true,
                         MOTET_F32, weights[d]);
    static const int64_t shapes[][3] = {{64, 384, 384},   {64, 1536, 384},  {512, 256, 256},
                                        {4096, 256, 768}, {4096, 768, 256}, {1024, 1024, 1024}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int d = 0; d < 3; d++)
            bench_matmul(shapes[i][0], shapes[i][1], shapes[i][2], false, true, MOTET_F32,
                         weights[d]);
    bench_matmul(4096, 256, 768, false, true, MOTET_BF16, MOTET_BF16);
    bench_matmul(4096, 256, 768, false, false, MOTET_F32, MOTET_F32);
    bench_matmul(768, 256, 4096, true, false, MOTET_F32, MOTET_F32);
    bench_matmul(4096, 256, 768, false, false, MOTET_BF16, MOTET_BF16);

    for (int d = 0; d < 2; d++) {
        bench_attention(8, 512, 512, 4, 64, true, weights[d]);
        bench_attention(8, 512, 512, 8, 32, true, weights[d]);
        bench_attention(8, 512, 64, 4, 64, false, weights[d]);
        bench_attention(16, 64, 64, 12, 32, false, weights[d]);
        bench_attention(1, 2048, 2048, 8, 128, true, weights[d]);
    }
    for (int d = 0; d < 3; d++) {
        bench_decode(1, 512, 4, 64, weights[d]);
        bench_decode(2, 512, 4, 64, weights[d]);
        bench_decode(32, 512, 8, 64, weights[d]);
    }
    bench_sample(1, 128, 1.0f, 0);
    bench_sample(1, 128, 0.95f, 0);
    bench_sample(1, 256, 0.95f, 40);
    bench_sample(64, 256, 0.95f, 0);
    bench_sample(1, 65536, 0.95f, 50);
    return 0;
}
