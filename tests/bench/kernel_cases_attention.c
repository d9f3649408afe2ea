/* Cases of kernel_cases.h: attention, decoding, sampling. */
#include <string.h>

#include "tests/bench/case_tensors.h"

static void attention(int sequences, int queries, int keys, bool causal,
                      const char *const *kernels) {
    motet_tensor q_offsets = bench_make(MOTET_I32, sequences + 1, 1, MOTET_SHARED);
    motet_tensor k_offsets = bench_make(MOTET_I32, sequences + 1, 1, MOTET_SHARED);
    for (int s = 0; s <= sequences; s++) {
        ((int32_t *)q_offsets.data)[s] = s * queries;
        ((int32_t *)k_offsets.data)[s] = s * keys;
    }
    motet_attention_spec spec = {HEADS, D / HEADS, sequences, q_offsets.data, k_offsets.data, D,
                                 D,     D,         D,         causal};
    int64_t rows = (int64_t)sequences * queries, key_rows = (int64_t)sequences * keys;
    double products = 4.0 * (double)sequences * queries * (double)keys * D * (causal ? 0.5 : 1);
    motet_tensor q = bench_in(MOTET_BF16, rows, D), k = bench_in(MOTET_BF16, key_rows, D),
                 v = bench_in(MOTET_BF16, key_rows, D), o = bench_out(MOTET_BF16, rows, D),
                 lse = bench_out(MOTET_F32, rows, HEADS);
    bench_asked.flops = products;
    bench_need(bench_ops->attention_forward(o, lse, q, k, v, &spec));
    if (!kernels) return;
    bench_asked.flops += 2.5 * products;
    bench_need(bench_ops->attention_backward(
        bench_out(MOTET_BF16, rows, D), bench_out(MOTET_BF16, key_rows, D),
        bench_out(MOTET_BF16, key_rows, D), bench_in(MOTET_BF16, rows, D), o, lse, q, k, v, &spec));
    const double x = 2.0 * (double)rows * D, y = 2.0 * (double)key_rows * D;
    const double sums = 4.0 * (double)rows * HEADS; /* of each query; the second kernel wants two */
    bench_part(kernels[0], 1, x + 2 * y + x + sums);
    bench_part(kernels[1], 1, 3 * x + 2 * y + sums + x + 2 * sums);
    bench_part(kernels[2], 1, 2 * x + 2 * y + 2 * sums + 2 * y);
}
void bench_attention_self(void) {
    attention(N / 512, 512, 512, true, NULL);
}
void bench_attention_self_both(void) {
    static const char *const kernels[] = {"motet_flash_forward_64_128", "motet_flash_queries_64",
                                          "motet_flash_keys_64"};
    attention(N / 512, 512, 512, true, kernels);
}
/* On a device that is a Hopper. */
void bench_attention_self_both_hopper(void) {
    static const char *const kernels[] = {"motet_flash_hopper_forward_64",
                                          "motet_flash_hopper_queries_64",
                                          "motet_flash_hopper_keys_64"};
    attention(N / 512, 512, 512, true, kernels);
}
void bench_attention_cross(void) {
    attention(N / 512, 512, 48, false, NULL);
}
/* [B,T,D] with a scale for each row of a head, which counts as read. */
static motet_tensor cache(motet_dtype dtype, int64_t batch, int64_t rows, bool counts) {
    const double before = bench_asked.least;
    motet_tensor t = bench_in(dtype, batch * rows, D);
    if (dtype == MOTET_I8) {
        motet_tensor scale = bench_in(MOTET_F32, batch * rows, HEADS);
        t.scale = scale.data;
    }
    if (!counts) bench_asked.least = before;
    t.rank = 3, t.dims[0] = batch, t.dims[1] = rows, t.dims[2] = D;
    return t;
}
static motet_tensor lengths_of(int64_t batch, int32_t length) {
    motet_tensor lengths = bench_make(MOTET_I32, batch, 1, MOTET_SHARED);
    for (int64_t b = 0; b < batch; b++)
        ((int32_t *)lengths.data)[b] = length;
    return lengths;
}
static void decode(motet_dtype dtype, int64_t batch, int64_t rows) {
    bench_need(bench_ops->attention_decode(
        bench_out(MOTET_BF16, batch, D), bench_in(MOTET_BF16, batch, D),
        cache(dtype, batch, rows, true), cache(dtype, batch, rows, true),
        lengths_of(batch, (int32_t)rows).data, HEADS));
}
void bench_attention_decode(void) {
    decode(MOTET_BF16, 2, 512);
}
void bench_attention_decode_i8(void) {
    decode(MOTET_I8, 2, 512);
}
void bench_attention_decode_many(void) {
    decode(MOTET_BF16, 64, 1024);
}
void bench_attention_decode_many_i8(void) {
    decode(MOTET_I8, 64, 1024);
}
/* A step's rows of eight sequences, out of packed [q k v]. */
static void append(motet_dtype dtype) {
    enum { B = 8 };
    motet_tensor offsets = bench_rising(B + 1),
                 qkv = bench_make(MOTET_BF16, B, 3 * D, MOTET_ON_DEVICE);
    bench_fill(qkv, 0);
    motet_tensor k = qkv, v = qkv;
    k.data = (uint16_t *)qkv.data + D, v.data = (uint16_t *)qkv.data + 2 * D;
    bench_asked.least += 2.0 * B * D * 2 + 2.0 * B * (D * (double)motet_dtype_bytes(dtype)) +
                         (dtype == MOTET_I8 ? 2.0 * B * HEADS * 4 : 0);
    bench_need(bench_ops->attention_append(cache(dtype, B, 64, false), cache(dtype, B, 64, false),
                                           k, v, 3 * D, offsets.data, lengths_of(B, 64).data,
                                           HEADS));
}
void bench_attention_append(void) {
    append(MOTET_BF16);
}
void bench_attention_append_i8(void) {
    append(MOTET_I8);
}

static void sample(int64_t rows, int64_t symbols) {
    motet_tensor params =
        bench_make(MOTET_I32, rows, sizeof(motet_sample_params) / 4, MOTET_SHARED);
    motet_tensor results =
        bench_make(MOTET_I32, rows, sizeof(motet_sample_result) / 4, MOTET_SHARED);
    for (int64_t i = 0; i < rows; i++)
        ((motet_sample_params *)params.data)[i] = (motet_sample_params){.temperature = 1,
                                                                        .guidance = 2,
                                                                        .repetition_penalty = 1.1f,
                                                                        .top_p = 0.95f,
                                                                        .min_p = 0.01f,
                                                                        .top_k = 40,
                                                                        .seed = 1,
                                                                        .counter = (uint64_t)i};
    bench_need(bench_ops->sample(results.data, bench_in(MOTET_F32, rows, symbols),
                                 bench_in(MOTET_F32, rows, symbols), (motet_tensor){0},
                                 (motet_tensor){0}, params.data));
    bench_asked.least +=
        (double)rows * (double)(sizeof(motet_sample_params) + sizeof(motet_sample_result));
}
void bench_sample_one(void) {
    sample(1, V);
}
void bench_sample_many(void) {
    sample(256, 1024);
}

/* A note under guidance: its type and five fields, one try. */
static void field_draw(motet_dtype dtype) {
    enum { INNER = 192, FIELDS = 6 };
    static const int symbols[FIELDS] = {2, 192, 129, 256, 64, 32};
    motet_field_spec spec = {.fields = FIELDS, .run_first = {1, 1}, .run_count = {5, 5}, .eps = 1};
    motet_field_network networks[FIELDS];
    int total = 0;
    for (int f = 0; f < FIELDS; f++) {
        spec.rules[f] = (motet_field_rule){.symbols = symbols[f],
                                           .offset = total,
                                           .states = 1,
                                           .offered = spec.words,
                                           .accepted = spec.words,
                                           .next = -1};
        spec.words += (symbols[f] + 31) / 32;
        total += symbols[f];
        networks[f] =
            (motet_field_network){.norm = bench_vector(bench_in(MOTET_F32, D, 1)),
                                  .gate_up = bench_in(dtype, (int64_t)2 * INNER, D),
                                  .down = bench_in(dtype, D, INNER),
                                  .out_norm = bench_vector(bench_in(MOTET_F32, D, 1)),
                                  .out = bench_in(dtype, symbols[f], D),
                                  .bias = bench_vector(bench_in(MOTET_F32, symbols[f], 1))};
    }
    motet_tensor rules = bench_vector(bench_make(MOTET_I32, spec.words, 1, MOTET_SHARED));
    memset(rules.data, 0xff, (size_t)spec.words * sizeof(int32_t));
    motet_field_params *params =
        bench_make(MOTET_I32, sizeof *params / sizeof(int32_t), 1, MOTET_SHARED).data;
    motet_field_result *result =
        bench_make(MOTET_I32, sizeof *result / sizeof(int32_t), 1, MOTET_SHARED).data;
    *params = (motet_field_params){.sample = {.temperature = 1,
                                              .guidance = 1.5f,
                                              .repetition_penalty = 1,
                                              .top_p = 1,
                                              .min_p = 0.1f,
                                              .seed = 1},
                                   .tries = 8};
    const int64_t scratch = (int64_t)motet_field_draw_scratch(2, D, INNER);
    const double weights = bench_asked.least;
    motet_tensor values = bench_in(dtype, total, D); /* of which a row for each field is read */
    bench_asked.least = weights + (double)(FIELDS - 2) * D * (double)motet_dtype_bytes(dtype);
    bench_need(bench_ops->field_draw(
        result, bench_in(MOTET_F32, 2, D), networks, values, rules, params, &spec,
        bench_vector(bench_make(MOTET_F32, scratch, 1, MOTET_ON_DEVICE))));
    bench_asked.least += (double)(sizeof *params + sizeof *result) + 4.0 * spec.words;
}
void bench_field_draw_bf16(void) {
    field_draw(MOTET_BF16);
}
void bench_field_draw_i8(void) {
    field_draw(MOTET_I8);
}
