/* profile_kernels: one op of the mini model at its real shape, for scripts/profile_kernels.py,
 * which runs it on softgpu and reads what was counted.
 *
 *     profile_kernels            the names of all cases
 *     profile_kernels NAME       runs one; prints its least bytes and its FLOPs as JSON
 *
 * Least bytes: every input read once, every output written once; in-place outputs are both. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/core/rng.h"
#include "kernels/device.h"

enum {
    N = 4096,
    D = 256,
    F = 640,
    V = 258,
    HEADS = 4,
    BAG = 14,
    SYMBOLS = 1400,
    MOMENTS = 1 << 20
};

static const motet_backend *ops;
static double least, flops;

static void need(motet_status status) {
    if (status == MOTET_OK) return;
    fprintf(stderr, "profile_kernels: %s\n", motet_error());
    exit(motet_exit_code(status));
}

static motet_tensor make(motet_dtype dtype, int64_t rows, int64_t cols, motet_placement placement) {
    motet_tensor t = motet_matrix(NULL, dtype, rows, cols);
    size_t bytes = (size_t)(rows * cols) * motet_dtype_bytes(dtype);
    need(ops->memory->take(&t.data, bytes, placement));
    return t;
}

static void fill(motet_tensor t, int64_t below) {
    static uint64_t stream;
    size_t count = (size_t)motet_tensor_count(t);
    unsigned char *host = malloc(count * 4);
    if (!host) exit(1);
    motet_rng rng = motet_rng_make(1, stream++);
    for (size_t i = 0; i < count; i++) {
        float x = motet_rng_normal(&rng);
        if (t.dtype == MOTET_F32) ((float *)(void *)host)[i] = x;
        if (t.dtype == MOTET_BF16) ((uint16_t *)(void *)host)[i] = motet_bf16_from_f32(x);
        if (t.dtype == MOTET_I8) ((int8_t *)host)[i] = (int8_t)(x * 30);
        if (t.dtype == MOTET_I32)
            ((int32_t *)(void *)host)[i] = (int32_t)motet_rng_below(&rng, (uint32_t)below);
    }
    need(ops->memory->copy(t.data, host, count * motet_dtype_bytes(t.dtype)));
    free(host);
}

/* A device tensor with values; it counts as read once, or as written, or both. */
static motet_tensor in(motet_dtype dtype, int64_t rows, int64_t cols) {
    motet_tensor t = make(dtype, rows, cols, MOTET_ON_DEVICE);
    fill(t, SYMBOLS);
    if (dtype == MOTET_I8) {
        motet_tensor scale = make(MOTET_F32, rows, 1, MOTET_ON_DEVICE);
        fill(scale, 0);
        t.scale = scale.data;
    }
    least += (double)motet_tensor_count(t) * (double)motet_dtype_bytes(dtype);
    return t;
}
static motet_tensor out(motet_dtype dtype, int64_t rows, int64_t cols) {
    motet_tensor t = make(dtype, rows, cols, MOTET_ON_DEVICE);
    least += (double)motet_tensor_count(t) * (double)motet_dtype_bytes(dtype);
    return t;
}
static motet_tensor in_out(motet_dtype dtype, int64_t rows, int64_t cols) {
    motet_tensor t = in(dtype, rows, cols);
    least += (double)motet_tensor_count(t) * (double)motet_dtype_bytes(dtype);
    return t;
}
static motet_tensor ids(int64_t rows, int64_t cols, int64_t below) {
    motet_tensor t = make(MOTET_I32, rows, cols, MOTET_ON_DEVICE);
    fill(t, below);
    least += 4.0 * (double)(rows * cols);
    return t;
}
static motet_tensor vector(motet_tensor t) {
    t.dims[0] *= t.dims[1];
    t.rank = 1;
    return t;
}

static void embed_forward(void) {
    need(
        ops->embed_forward(out(MOTET_F32, N, D), in(MOTET_BF16, SYMBOLS, D), ids(N, BAG, SYMBOLS)));
}
static void embed_backward(void) {
    need(ops->embed_backward(in_out(MOTET_F32, SYMBOLS, D), in(MOTET_F32, N, D),
                             ids(N, BAG, SYMBOLS)));
}
static void rmsnorm_forward(void) {
    need(ops->rmsnorm_forward(out(MOTET_BF16, N, D), vector(out(MOTET_F32, N, 1)),
                              in(MOTET_F32, N, D), vector(in(MOTET_F32, D, 1)), 1e-5f));
}
static void rmsnorm_backward(void) {
    need(ops->rmsnorm_backward(in_out(MOTET_F32, N, D), vector(in_out(MOTET_F32, D, 1)),
                               in(MOTET_BF16, N, D), in(MOTET_F32, N, D),
                               vector(in(MOTET_F32, D, 1)), vector(in(MOTET_F32, N, 1))));
}
static void layernorm_forward(void) {
    need(ops->layernorm_forward(out(MOTET_BF16, N, 384), (motet_tensor){0}, (motet_tensor){0},
                                in(MOTET_BF16, N, 384), in(MOTET_BF16, N, 384),
                                vector(in(MOTET_F32, 384, 1)), vector(in(MOTET_F32, 384, 1)),
                                1e-12f));
}
static void layernorm_backward(void) {
    need(ops->layernorm_backward(out(MOTET_F32, N, 384), vector(in_out(MOTET_F32, 384, 1)),
                                 vector(in_out(MOTET_F32, 384, 1)), in(MOTET_BF16, N, 384),
                                 in(MOTET_F32, N, 384), vector(in(MOTET_F32, 384, 1)),
                                 vector(in(MOTET_F32, N, 1)), vector(in(MOTET_F32, N, 1))));
}
static void rope(void) {
    motet_tensor qkv = make(MOTET_BF16, N, 3 * D, MOTET_ON_DEVICE);
    fill(qkv, 0);
    least += 2.0 * 2 * N * 2 * D;
    need(ops->rope(qkv, in(MOTET_F32, N, D / HEADS), 2 * HEADS, false));
}
static void swiglu_forward(void) {
    need(ops->swiglu_forward(out(MOTET_BF16, N, F), in(MOTET_BF16, N, 2 * F)));
}
static void swiglu_backward(void) {
    need(ops->swiglu_backward(out(MOTET_BF16, N, 2 * F), in(MOTET_BF16, N, F),
                              in(MOTET_BF16, N, 2 * F)));
}
static void gelu_forward(void) {
    need(ops->gelu_forward(out(MOTET_BF16, N, 1536), in(MOTET_BF16, N, 1536)));
}
static void gelu_backward(void) {
    need(ops->gelu_backward(out(MOTET_BF16, N, 1536), in(MOTET_BF16, N, 1536),
                            in(MOTET_BF16, N, 1536)));
}

static motet_tensor rising(int64_t count) {
    motet_tensor t = make(MOTET_I32, count, 1, MOTET_SHARED);
    for (int64_t i = 0; i < count; i++)
        ((int32_t *)t.data)[i] = (int32_t)i;
    least += 4.0 * (double)count;
    return vector(t);
}
static void gather(void) {
    need(ops->gather(out(MOTET_F32, N, D), in(MOTET_F32, N, D), rising(N)));
}
static void scatter_add(void) {
    need(ops->scatter_add(in_out(MOTET_F32, N, D), in(MOTET_F32, N, D), rising(N)));
}
static void add(void) {
    need(ops->add(in_out(MOTET_F32, N, D), in(MOTET_F32, N, D)));
}
static void cross_entropy(void) {
    need(ops->cross_entropy(vector(out(MOTET_F32, N, 1)), in_out(MOTET_F32, N, V),
                            vector(ids(N, 1, V)), (motet_tensor){0}, 1.0f));
}
static void convert(void) {
    need(ops->convert(vector(out(MOTET_BF16, MOMENTS, 1)), vector(in(MOTET_F32, MOMENTS, 1))));
}
static void adamw(void) {
    motet_adamw_params p = {1e-3f, 0.9f, 0.99f, 1e-8f, 0.1f, 1.0f, 1};
    motet_tensor second = in_out(MOTET_F32, MOMENTS, 1);
    need(ops->memory->zero(second.data, (size_t)MOMENTS * 4));
    need(ops->adamw(vector(in_out(MOTET_F32, MOMENTS, 1)), vector(in_out(MOTET_F32, MOMENTS, 1)),
                    vector(second), vector(in(MOTET_F32, MOMENTS, 1)), &p));
}
static void sum_squares(void) {
    motet_tensor sum = make(MOTET_F32, 2, 1, MOTET_SHARED);
    need(ops->sum_squares(sum.data, vector(in(MOTET_F32, MOMENTS, 1))));
}
static void muon(void) {
    motet_muon_params p = {4e-3f, 0.95f, 0.01f, 1.0f, 5};
    void *scratch;
    need(ops->memory->take(&scratch, motet_muon_scratch(3 * D, D), MOTET_ON_DEVICE));
    need(ops->muon(in_out(MOTET_F32, 3 * D, D), in_out(MOTET_F32, 3 * D, D),
                   in(MOTET_F32, 3 * D, D), &p, scratch, ops->matmul, MOTET_BF16));
    flops = 5 * 2.0 * 3 * D * D * D * 2 + 5 * 2.0 * D * D * D;
}
static void bias_backward(void) {
    need(ops->bias_backward(vector(in_out(MOTET_F32, D, 1)), in(MOTET_BF16, N, D)));
}

static void product(int64_t m, int64_t n, int64_t k, motet_matmul_spec spec, motet_dtype c,
                    motet_dtype a, motet_dtype b) {
    flops = 2.0 * (double)m * (double)n * (double)k;
    need(ops->matmul(spec.accumulate ? in_out(c, m, n) : out(c, m, n),
                     spec.transpose_a ? in(a, k, m) : in(a, m, k),
                     spec.transpose_b ? in(b, n, k) : in(b, k, n), (motet_tensor){0}, spec));
}
#define LINEAR \
    { .transpose_b = true }
static void matmul_qkv(void) {
    product(N, 3 * D, D, (motet_matmul_spec)LINEAR, MOTET_BF16, MOTET_BF16, MOTET_BF16);
}
static void matmul_gate_up(void) {
    product(N, 2 * F, D, (motet_matmul_spec)LINEAR, MOTET_BF16, MOTET_BF16, MOTET_BF16);
}
static void matmul_down(void) {
    product(N, D, F, (motet_matmul_spec){.transpose_b = true, .accumulate = true}, MOTET_F32,
            MOTET_BF16, MOTET_BF16);
}
static void matmul_dx(void) {
    product(N, D, 3 * D, (motet_matmul_spec){0}, MOTET_BF16, MOTET_BF16, MOTET_BF16);
}
static void matmul_dw(void) {
    product(3 * D, D, N, (motet_matmul_spec){.transpose_a = true, .accumulate = true}, MOTET_F32,
            MOTET_BF16, MOTET_BF16);
}
static void matmul_f32(void) {
    product(N, D, D, (motet_matmul_spec)LINEAR, MOTET_F32, MOTET_F32, MOTET_F32);
}
static void gemv_bf16(void) {
    product(2, 3 * D, D, (motet_matmul_spec)LINEAR, MOTET_F32, MOTET_F32, MOTET_BF16);
}
static void gemv_i8(void) {
    product(2, 3 * D, D, (motet_matmul_spec)LINEAR, MOTET_F32, MOTET_F32, MOTET_I8);
}

static void attention(int sequences, int queries, int keys, bool causal, bool backward) {
    motet_tensor q_offsets = make(MOTET_I32, sequences + 1, 1, MOTET_SHARED);
    motet_tensor k_offsets = make(MOTET_I32, sequences + 1, 1, MOTET_SHARED);
    for (int s = 0; s <= sequences; s++) {
        ((int32_t *)q_offsets.data)[s] = s * queries;
        ((int32_t *)k_offsets.data)[s] = s * keys;
    }
    motet_attention_spec spec = {HEADS, D / HEADS, sequences, q_offsets.data, k_offsets.data, D,
                                 D,     D,         D,         causal};
    int64_t rows = (int64_t)sequences * queries, key_rows = (int64_t)sequences * keys;
    double products = 4.0 * (double)sequences * queries * (double)keys * D * (causal ? 0.5 : 1);
    motet_tensor q = in(MOTET_BF16, rows, D), k = in(MOTET_BF16, key_rows, D),
                 v = in(MOTET_BF16, key_rows, D), o = out(MOTET_BF16, rows, D),
                 lse = out(MOTET_F32, rows, HEADS);
    flops = products;
    need(ops->attention_forward(o, lse, q, k, v, &spec));
    if (!backward) return;
    flops += 2.5 * products;
    least *= 2;
    need(ops->attention_backward(out(MOTET_BF16, rows, D), out(MOTET_BF16, key_rows, D),
                                 out(MOTET_BF16, key_rows, D), in(MOTET_BF16, rows, D), o, lse, q,
                                 k, v, &spec));
}
static void attention_self(void) {
    attention(N / 512, 512, 512, true, false);
}
static void attention_self_both(void) {
    attention(N / 512, 512, 512, true, true);
}
static void attention_cross(void) {
    attention(N / 512, 512, 48, false, false);
}
static void attention_decode(void) {
    motet_tensor lengths = make(MOTET_I32, 2, 1, MOTET_SHARED);
    motet_tensor k = in(MOTET_BF16, 2 * 512, D), v = in(MOTET_BF16, 2 * 512, D);
    ((int32_t *)lengths.data)[0] = ((int32_t *)lengths.data)[1] = 512;
    k.rank = v.rank = 3;
    k.dims[0] = v.dims[0] = 2, k.dims[1] = v.dims[1] = 512, k.dims[2] = v.dims[2] = D;
    need(ops->attention_decode(out(MOTET_BF16, 2, D), in(MOTET_BF16, 2, D), k, v, lengths.data,
                               HEADS));
}

static void sample(int64_t rows, int64_t symbols) {
    motet_tensor params = make(MOTET_I32, rows, sizeof(motet_sample_params) / 4, MOTET_SHARED);
    motet_tensor results = make(MOTET_I32, rows, sizeof(motet_sample_result) / 4, MOTET_SHARED);
    for (int64_t i = 0; i < rows; i++)
        ((motet_sample_params *)params.data)[i] = (motet_sample_params){.temperature = 1,
                                                                        .guidance = 2,
                                                                        .repetition_penalty = 1.1f,
                                                                        .top_p = 0.95f,
                                                                        .min_p = 0.01f,
                                                                        .top_k = 40,
                                                                        .seed = 1,
                                                                        .counter = (uint64_t)i};
    need(ops->sample(results.data, in(MOTET_F32, rows, symbols), in(MOTET_F32, rows, symbols),
                     (motet_tensor){0}, (motet_tensor){0}, params.data));
    least += (double)rows * (double)(sizeof(motet_sample_params) + sizeof(motet_sample_result));
}
static void sample_one(void) {
    sample(1, V);
}
static void sample_many(void) {
    sample(256, 1024);
}

#define CASE(name) \
    { #name, name }
static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    CASE(embed_forward),
    CASE(embed_backward),
    CASE(rmsnorm_forward),
    CASE(rmsnorm_backward),
    CASE(layernorm_forward),
    CASE(layernorm_backward),
    CASE(rope),
    CASE(swiglu_forward),
    CASE(swiglu_backward),
    CASE(gelu_forward),
    CASE(gelu_backward),
    CASE(gather),
    CASE(scatter_add),
    CASE(add),
    CASE(cross_entropy),
    CASE(convert),
    CASE(adamw),
    CASE(sum_squares),
    CASE(muon),
    CASE(bias_backward),
    CASE(matmul_qkv),
    CASE(matmul_gate_up),
    CASE(matmul_down),
    CASE(matmul_dx),
    CASE(matmul_dw),
    CASE(matmul_f32),
    CASE(gemv_bf16),
    CASE(gemv_i8),
    CASE(attention_self),
    CASE(attention_self_both),
    CASE(attention_cross),
    CASE(attention_decode),
    CASE(sample_one),
    CASE(sample_many),
};

int main(int argc, char **argv) {
    const size_t count = sizeof cases / sizeof *cases;
    if (argc < 2) {
        for (size_t i = 0; i < count; i++)
            puts(cases[i].name);
        return 0;
    }
    need(motet_device_open(&ops, "cuda"));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(cases[i].name, argv[1]) != 0) continue;
        cases[i].run();
        need(ops->memory->synchronize());
        printf("{\"case\": \"%s\", \"least_bytes\": %.0f, \"flops\": %.0f}\n", argv[1], least,
               flops);
        return 0;
    }
    fprintf(stderr, "profile_kernels: there is no case '%s'\n", argv[1]);
    return 2;
}
