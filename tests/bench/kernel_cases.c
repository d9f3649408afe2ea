#include "tests/bench/kernel_cases.h"

#include "tests/bench/case_tensors.h"

static void embed_forward(void) {
    bench_need(bench_ops->embed_forward(
        bench_out(MOTET_F32, N, D), bench_in(MOTET_BF16, SYMBOLS, D), bench_ids(N, BAG, SYMBOLS)));
}
static void embed_backward(void) {
    bench_need(bench_ops->embed_backward(bench_in_out(MOTET_F32, SYMBOLS, D),
                                         bench_in(MOTET_F32, N, D), bench_ids(N, BAG, SYMBOLS)));
}
static void rmsnorm_forward(void) {
    bench_need(bench_ops->rmsnorm_forward(
        bench_out(MOTET_BF16, N, D), bench_vector(bench_out(MOTET_F32, N, 1)),
        bench_in(MOTET_F32, N, D), bench_vector(bench_in(MOTET_F32, D, 1)), 1e-5f));
}
static void rmsnorm_backward(void) {
    bench_need(bench_ops->rmsnorm_backward(
        bench_in_out(MOTET_F32, N, D), bench_vector(bench_in_out(MOTET_F32, D, 1)),
        bench_in(MOTET_BF16, N, D), bench_in(MOTET_F32, N, D),
        bench_vector(bench_in(MOTET_F32, D, 1)), bench_vector(bench_in(MOTET_F32, N, 1))));
}
static void rmsnorm_add_forward(void) {
    bench_need(bench_ops->rmsnorm_add_forward(
        bench_out(MOTET_BF16, N, D), bench_out(MOTET_F32, N, D),
        bench_vector(bench_out(MOTET_F32, N, 1)), bench_in(MOTET_F32, N, D),
        bench_in(MOTET_F32, N, D), bench_vector(bench_in(MOTET_F32, D, 1)), 1e-5f));
}
static void rmsnorm_add_backward(void) {
    bench_need(bench_ops->rmsnorm_add_backward(
        bench_in_out(MOTET_F32, N, D), bench_out(MOTET_BF16, N, D),
        bench_vector(bench_in_out(MOTET_F32, D, 1)), bench_in(MOTET_BF16, N, D),
        bench_in(MOTET_F32, N, D), bench_vector(bench_in(MOTET_F32, D, 1)),
        bench_vector(bench_in(MOTET_F32, N, 1))));
}
static void layernorm_forward(void) {
    bench_need(bench_ops->layernorm_forward(bench_out(MOTET_BF16, N, 384), (motet_tensor){0},
                                            (motet_tensor){0}, bench_in(MOTET_BF16, N, 384),
                                            bench_in(MOTET_BF16, N, 384),
                                            bench_vector(bench_in(MOTET_F32, 384, 1)),
                                            bench_vector(bench_in(MOTET_F32, 384, 1)), 1e-12f));
}
static void layernorm_backward(void) {
    bench_need(bench_ops->layernorm_backward(
        bench_out(MOTET_F32, N, 384), bench_vector(bench_in_out(MOTET_F32, 384, 1)),
        bench_vector(bench_in_out(MOTET_F32, 384, 1)), bench_in(MOTET_BF16, N, 384),
        bench_in(MOTET_F32, N, 384), bench_vector(bench_in(MOTET_F32, 384, 1)),
        bench_vector(bench_in(MOTET_F32, N, 1)), bench_vector(bench_in(MOTET_F32, N, 1))));
}
static void rope(void) {
    motet_tensor qkv = bench_make(MOTET_BF16, N, 3 * D, MOTET_ON_DEVICE);
    bench_fill(qkv, 0);
    bench_asked.least += 2.0 * 2 * N * 2 * D;
    bench_need(bench_ops->rope(qkv, bench_in(MOTET_F32, N, D / HEADS), 2 * HEADS, false));
}
static void swiglu_forward(void) {
    bench_need(
        bench_ops->swiglu_forward(bench_out(MOTET_BF16, N, F), bench_in(MOTET_BF16, N, 2 * F)));
}
static void swiglu_backward(void) {
    bench_need(bench_ops->swiglu_backward(bench_out(MOTET_BF16, N, 2 * F),
                                          bench_in(MOTET_BF16, N, F),
                                          bench_in(MOTET_BF16, N, 2 * F)));
}
static void gelu_forward(void) {
    bench_need(
        bench_ops->gelu_forward(bench_out(MOTET_BF16, N, 1536), bench_in(MOTET_BF16, N, 1536)));
}
static void gelu_backward(void) {
    bench_need(bench_ops->gelu_backward(bench_out(MOTET_BF16, N, 1536),
                                        bench_in(MOTET_BF16, N, 1536),
                                        bench_in(MOTET_BF16, N, 1536)));
}

static void gather(void) {
    bench_need(
        bench_ops->gather(bench_out(MOTET_F32, N, D), bench_in(MOTET_F32, N, D), bench_rising(N)));
}
static void scatter_add(void) {
    bench_need(bench_ops->scatter_add(bench_in_out(MOTET_F32, N, D), bench_in(MOTET_F32, N, D),
                                      bench_rising(N)));
}
static void add(void) {
    bench_need(bench_ops->add(bench_in_out(MOTET_F32, N, D), bench_in(MOTET_F32, N, D)));
}
static void cross_entropy(void) {
    bench_need(bench_ops->cross_entropy(bench_vector(bench_out(MOTET_F32, N, 1)),
                                        bench_in_out(MOTET_F32, N, V),
                                        bench_vector(bench_ids(N, 1, V)), (motet_tensor){0}, 1.0f));
}
static void convert(void) {
    bench_need(bench_ops->convert(bench_vector(bench_out(MOTET_BF16, MOMENTS, 1)),
                                  bench_vector(bench_in(MOTET_F32, MOMENTS, 1))));
}
static void adamw(void) {
    motet_adamw_params p = {1e-3f, 0.9f, 0.99f, 1e-8f, 0.1f, 1.0f, 1};
    motet_tensor second = bench_in_out(MOTET_F32, MOMENTS, 1);
    bench_need(bench_ops->memory->zero(second.data, (size_t)MOMENTS * 4));
    bench_need(bench_ops->adamw(bench_vector(bench_in_out(MOTET_F32, MOMENTS, 1)),
                                bench_vector(bench_in_out(MOTET_F32, MOMENTS, 1)),
                                bench_vector(second), bench_vector(bench_in(MOTET_F32, MOMENTS, 1)),
                                &p));
}
static void sum_squares(void) {
    motet_tensor sum = bench_make(MOTET_F32, 2, 1, MOTET_SHARED);
    bench_need(bench_ops->sum_squares(sum.data, bench_vector(bench_in(MOTET_F32, MOMENTS, 1))));
}
static void muon(void) {
    motet_muon_params p = {4e-3f, 0.95f, 0.01f, 1.0f, 5};
    const int64_t bytes = (int64_t)motet_muon_scratch(3 * D, D);
    void *scratch = bench_make(MOTET_I8, bytes, 1, MOTET_ON_DEVICE).data;
    bench_need(bench_ops->muon(bench_in_out(MOTET_F32, 3 * D, D), bench_in_out(MOTET_F32, 3 * D, D),
                               bench_in(MOTET_F32, 3 * D, D), &p, scratch, bench_ops->matmul,
                               MOTET_BF16));
    bench_asked.flops = 5 * 2.0 * 3 * D * D * D * 2 + 5 * 2.0 * D * D * D;
    const double whole = 3.0 * D * D,
                 square = 1.0 * D * D; /* elements of X and of its Gram matrix */
    bench_part("motet_muon_momentum", 1, whole * (4 + 8 + 4));
    bench_part("motet_muon_normalise", 1, whole * (4 + 4 + 2));
    bench_part("motet_gemm_64_tn", 5, whole * 2 + square * 4);
    bench_part("motet_convert_nearest", 5, square * (4 + 2));
    bench_part("motet_gemm_64_nn", 5, square * (2 + 4));
    bench_part("motet_muon_factor", 5, square * (4 + 4 + 2));
    bench_part("motet_gemm_64_nn", 5, whole * (2 + 8) + square * 2);
    bench_part("motet_muon_copy", 4, whole * (4 + 4 + 2));
    bench_part("motet_muon_update", 1, whole * (8 + 4));
}
static void bias_backward(void) {
    bench_need(bench_ops->bias_backward(bench_vector(bench_in_out(MOTET_F32, D, 1)),
                                        bench_in(MOTET_BF16, N, D)));
}

static void product(int64_t m, int64_t n, int64_t k, motet_matmul_spec spec, motet_dtype c,
                    motet_dtype a, motet_dtype b) {
    bench_asked.flops = 2.0 * (double)m * (double)n * (double)k;
    bench_need(bench_ops->matmul(spec.accumulate ? bench_in_out(c, m, n) : bench_out(c, m, n),
                                 spec.transpose_a ? bench_in(a, k, m) : bench_in(a, m, k),
                                 spec.transpose_b ? bench_in(b, n, k) : bench_in(b, k, n),
                                 (motet_tensor){0}, spec));
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

/* kernels: of forward and backward, NULL: forward only. */
#define CASE(name) \
    { #name, name }
static const struct {
    const char *name;
    bench_case_fn *run;
} cases[] = {
    CASE(embed_forward),
    CASE(embed_backward),
    CASE(rmsnorm_forward),
    CASE(rmsnorm_backward),
    CASE(rmsnorm_add_forward),
    CASE(rmsnorm_add_backward),
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
    {"attention_self", bench_attention_self},
    {"attention_self_both", bench_attention_self_both},
    {"attention_self_both_hopper", bench_attention_self_both_hopper},
    {"attention_cross", bench_attention_cross},
    {"attention_decode", bench_attention_decode},
    {"attention_decode_i8", bench_attention_decode_i8},
    {"attention_decode_many", bench_attention_decode_many},
    {"attention_decode_many_i8", bench_attention_decode_many_i8},
    {"attention_append", bench_attention_append},
    {"attention_append_i8", bench_attention_append_i8},
    {"sample_one", bench_sample_one},
    {"sample_many", bench_sample_many},
    {"field_draw_bf16", bench_field_draw_bf16},
    {"field_draw_i8", bench_field_draw_i8},
};

const char *bench_case_name(int number) {
    return number < (int)(sizeof cases / sizeof *cases) ? cases[number].name : NULL;
}

void bench_case_run(bench_work *work, const motet_backend *backend, int number) {
    bench_ops = backend;
    bench_begin(number);
    cases[number].run();
    *work = bench_asked;
}
