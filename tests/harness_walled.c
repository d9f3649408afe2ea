#include "tests/harness_walled.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

enum { MOST_BLOCKS = 256, TENSORS = 9, POINTERS = 4 };

typedef struct block {
    unsigned char *start;
    size_t bytes;
    motet_placement placement;
} block;

/* One op with its arguments by value; pointers to shared memory are followed when it runs. */
typedef struct call call;
struct call {
    motet_status (*run)(const call *);
    motet_tensor t[TENSORS];
    void *p[POINTERS];
    float f;
    int i;
    bool b;
    size_t bytes;
    motet_matmul_spec product;
    motet_attention_spec attention;
    motet_adamw_params adamw;
    motet_muon_params muon;
    motet_dtype dtype;
};

static block blocks[MOST_BLOCKS];
static int block_count;
static call *queue;
static int64_t queued, room;
static int run_at_once;
static motet_walled_counts counts;

static motet_status protect(int rights) {
    if (run_at_once) return MOTET_OK; /* twice an op would be slow; the late run has the wall */
    for (int i = 0; i < block_count; i++)
        if (blocks[i].placement == MOTET_ON_DEVICE &&
            mprotect(blocks[i].start, blocks[i].bytes, rights) != 0)
            return MOTET_FAIL(MOTET_E_MEMORY, "walled: mprotect: %m");
    return MOTET_OK;
}

/* Runs all that waits. An op that fails does not keep the others from running: a device's would run
 * on, too. The first failure is the one reported. */
static motet_status drain(void) {
    motet_status status = MOTET_OK;
    char sentence[1024] = "";
    MOTET_TRY(protect(PROT_READ | PROT_WRITE));
    for (int64_t i = 0; i < queued; i++) {
        motet_status one = queue[i].run(&queue[i]);
        if (one == MOTET_OK || status != MOTET_OK) continue;
        status = one;
        strncpy(sentence, motet_error(), sizeof sentence - 1);
    }
    counts.ops += queued;
    queued = 0;
    MOTET_TRY(protect(PROT_NONE));
    return status == MOTET_OK ? MOTET_OK : MOTET_FAIL(status, "%s", sentence);
}

static motet_status push(const call *c) {
    if (queued == room) {
        room = room ? 2 * room : 1024;
        queue = realloc(queue, (size_t)room * sizeof *queue);
        if (!queue)
            return MOTET_FAIL(MOTET_E_MEMORY, "walled: no memory for %lld ops", (long long)room);
    }
    queue[queued++] = *c;
    return run_at_once ? drain() : MOTET_OK;
}

/* The block that holds all of these bytes, or NULL. */
static const block *block_of(const void *data, size_t bytes) {
    uintptr_t at = (uintptr_t)data;
    for (int i = 0; i < block_count; i++) {
        uintptr_t start = (uintptr_t)blocks[i].start;
        if (at >= start && at - start <= blocks[i].bytes && bytes <= blocks[i].bytes - (at - start))
            return &blocks[i];
    }
    return NULL;
}

static motet_status see(const char *op, const void *data, size_t bytes) {
    if (!data || block_of(data, bytes)) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_USAGE, "%s: %zu bytes at %p are not the device's to see", op, bytes,
                      data);
}

/* Results and parameters that the host reads or writes at their address. */
static motet_status see_shared(const char *op, const void *data, size_t bytes) {
    const block *found = block_of(data, bytes);
    if (found && found->placement == MOTET_SHARED) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_USAGE, "%s: %zu bytes at %p are not in shared memory", op, bytes,
                      data);
}

static motet_status see_tensors(const char *op, const call *c) {
    for (int i = 0; i < TENSORS; i++) {
        motet_tensor t = c->t[i];
        if (!t.data) continue;
        size_t bytes = (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
        MOTET_TRY(see(op, t.data, bytes));
        if (t.scale) MOTET_TRY(see(op, t.scale, (size_t)t.dims[0] * sizeof(float)));
    }
    return MOTET_OK;
}

/* OP(name, (parameters), (their values from the call)): how it is asked for, and how it runs. The
 * wrapper fills a call from its arguments, in the braces. */
#define OP(name, parameters, filled, ...)                  \
    static motet_status run_##name(const call *c) {        \
        return motet_cpu_##name(__VA_ARGS__);              \
    }                                                      \
    static motet_status name parameters {                  \
        const call c = {.run = run_##name, UNPACK filled}; \
        MOTET_TRY(see_tensors(#name, &c));                 \
        return push(&c);                                   \
    }
#define UNPACK(...) __VA_ARGS__
#define T motet_tensor

OP(embed_forward, (T out, T table, T ids), (.t = {out, table, ids}), c->t[0], c->t[1], c->t[2])
OP(embed_backward, (T dtable, T dout, T ids), (.t = {dtable, dout, ids}), c->t[0], c->t[1], c->t[2])
OP(rmsnorm_forward, (T out, T rstd, T x, T weight, float eps),
   (.t = {out, rstd, x, weight}, .f = eps), c->t[0], c->t[1], c->t[2], c->t[3], c->f)
OP(rmsnorm_backward, (T dx, T dweight, T dout, T x, T weight, T rstd),
   (.t = {dx, dweight, dout, x, weight, rstd}), c->t[0], c->t[1], c->t[2], c->t[3], c->t[4],
   c->t[5])
OP(rmsnorm_add_forward, (T out, T sum, T rstd, T x, T branch, T weight, float eps),
   (.t = {out, sum, rstd, x, branch, weight}, .f = eps), c->t[0], c->t[1], c->t[2], c->t[3],
   c->t[4], c->t[5], c->f)
OP(rmsnorm_add_backward, (T dx, T dbranch, T dweight, T dout, T sum, T weight, T rstd),
   (.t = {dx, dbranch, dweight, dout, sum, weight, rstd}), c->t[0], c->t[1], c->t[2], c->t[3],
   c->t[4], c->t[5], c->t[6])
OP(layernorm_forward, (T out, T mean, T rstd, T x, T residual, T weight, T bias, float eps),
   (.t = {out, mean, rstd, x, residual, weight, bias}, .f = eps), c->t[0], c->t[1], c->t[2],
   c->t[3], c->t[4], c->t[5], c->t[6], c->f)
OP(layernorm_backward, (T ds, T dweight, T dbias, T dout, T s, T weight, T mean, T rstd),
   (.t = {ds, dweight, dbias, dout, s, weight, mean, rstd}), c->t[0], c->t[1], c->t[2], c->t[3],
   c->t[4], c->t[5], c->t[6], c->t[7])
OP(matmul, (T out, T a, T b, T bias, motet_matmul_spec spec),
   (.t = {out, a, b, bias}, .product = spec), c->t[0], c->t[1], c->t[2], c->t[3], c->product)
OP(bias_backward, (T dbias, T dy), (.t = {dbias, dy}), c->t[0], c->t[1])
OP(rope, (T x, T table, int heads, bool inverse), (.t = {x, table}, .i = heads, .b = inverse),
   c->t[0], c->t[1], c->i, c->b)
OP(swiglu_forward, (T out, T gu), (.t = {out, gu}), c->t[0], c->t[1])
OP(swiglu_backward, (T dgu, T dout, T gu), (.t = {dgu, dout, gu}), c->t[0], c->t[1], c->t[2])
OP(gelu_forward, (T out, T x), (.t = {out, x}), c->t[0], c->t[1])
OP(gelu_backward, (T dx, T dout, T x), (.t = {dx, dout, x}), c->t[0], c->t[1], c->t[2])
OP(gather, (T out, T x, T rows), (.t = {out, x, rows}), c->t[0], c->t[1], c->t[2])
OP(scatter_add, (T out, T x, T rows), (.t = {out, x, rows}), c->t[0], c->t[1], c->t[2])
OP(add, (T out, T x), (.t = {out, x}), c->t[0], c->t[1])
OP(cross_entropy, (T loss, T logits, T targets, T legal, float scale),
   (.t = {loss, logits, targets, legal}, .f = scale), c->t[0], c->t[1], c->t[2], c->t[3], c->f)
OP(convert, (T dst, T src), (.t = {dst, src}), c->t[0], c->t[1])
OP(adamw, (T w, T m, T v, T grad, const motet_adamw_params *params),
   (.t = {w, m, v, grad}, .adamw = *params), c->t[0], c->t[1], c->t[2], c->t[3], &c->adamw)

/* Elements of a packed matrix that attention reaches: rows, the last one only H*W wide. */
static motet_status see_packed(const char *op, motet_tensor t, int64_t rows, int64_t pitch,
                               const motet_attention_spec *spec) {
    int64_t elements = rows ? (rows - 1) * pitch + (int64_t)spec->heads * spec->width : 0;
    return see(op, t.data, (size_t)elements * motet_dtype_bytes(t.dtype));
}

static motet_status see_attention(const char *op, const motet_attention_spec *s, T q, T k, T v,
                                  T out, T lse) {
    size_t offsets = ((size_t)s->sequences + 1) * sizeof(int32_t);
    MOTET_TRY(see_shared(op, s->q_offsets, offsets));
    MOTET_TRY(see_shared(op, s->k_offsets, offsets));
    int64_t queries = s->q_offsets[s->sequences], keys = s->k_offsets[s->sequences];
    MOTET_TRY(see_packed(op, q, queries, s->q_pitch, s));
    MOTET_TRY(see_packed(op, k, keys, s->k_pitch, s));
    MOTET_TRY(see_packed(op, v, keys, s->v_pitch, s));
    MOTET_TRY(see_packed(op, out, queries, s->out_pitch, s));
    return see(op, lse.data, (size_t)(queries * s->heads) * sizeof(float));
}

static motet_status run_attention_forward(const call *c) {
    return motet_cpu_attention_forward(c->t[0], c->t[1], c->t[2], c->t[3], c->t[4], &c->attention);
}

static motet_status attention_forward(T out, T lse, T q, T k, T v,
                                      const motet_attention_spec *spec) {
    const call c = {.run = run_attention_forward, .t = {out, lse, q, k, v}, .attention = *spec};
    MOTET_TRY(see_attention("attention_forward", spec, q, k, v, out, lse));
    return push(&c);
}

static motet_status run_attention_backward(const call *c) {
    return motet_cpu_attention_backward(c->t[0], c->t[1], c->t[2], c->t[3], c->t[4], c->t[5],
                                        c->t[6], c->t[7], c->t[8], &c->attention);
}

static motet_status attention_backward(T dq, T dk, T dv, T dout, T out, T lse, T q, T k, T v,
                                       const motet_attention_spec *spec) {
    const call c = {.run = run_attention_backward,
                    .t = {dq, dk, dv, dout, out, lse, q, k, v},
                    .attention = *spec};
    MOTET_TRY(see_attention("attention_backward", spec, q, k, v, out, lse));
    MOTET_TRY(see_attention("attention_backward", spec, dq, dk, dv, dout, lse));
    return push(&c);
}

/* A cache's rows, and an int8 one's scales: one a row of each head. */
static motet_status see_cache(const char *op, motet_tensor t, int heads) {
    const int64_t scales = t.dims[0] * t.dims[1] * heads;
    MOTET_TRY(see(op, t.data, (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype)));
    return t.scale ? see(op, t.scale, (size_t)scales * sizeof(float)) : MOTET_OK;
}

static motet_status run_attention_append(const call *c) {
    return motet_cpu_attention_append(c->t[0], c->t[1], c->t[2], c->t[3], (int64_t)c->bytes,
                                      c->p[0], c->p[1], c->i);
}

static motet_status attention_append(T k_cache, T v_cache, T k, T v, int64_t pitch,
                                     const int32_t *offsets, const int32_t *lengths, int heads) {
    const call c = {.run = run_attention_append,
                    .t = {k_cache, v_cache, k, v},
                    .p = {(void *)offsets, (void *)lengths},
                    .bytes = (size_t)pitch,
                    .i = heads};
    const int64_t elements = k.dims[0] ? (k.dims[0] - 1) * pitch + k_cache.dims[2] : 0;
    const size_t bytes = (size_t)elements * motet_dtype_bytes(k.dtype);
    MOTET_TRY(see("attention_append", k.data, bytes));
    MOTET_TRY(see("attention_append", v.data, bytes));
    MOTET_TRY(see_cache("attention_append", k_cache, heads));
    MOTET_TRY(see_cache("attention_append", v_cache, heads));
    const size_t batch = (size_t)k_cache.dims[0];
    MOTET_TRY(see("attention_append", offsets, (batch + 1) * sizeof *offsets));
    MOTET_TRY(see("attention_append", lengths, batch * sizeof *lengths));
    return push(&c);
}

static motet_status run_attention_decode(const call *c) {
    return motet_cpu_attention_decode(c->t[0], c->t[1], c->t[2], c->t[3], c->p[0], c->i);
}

static motet_status attention_decode(T out, T q, T k_cache, T v_cache, const int32_t *lengths,
                                     int heads) {
    const call c = {.run = run_attention_decode,
                    .t = {out, q, k_cache, v_cache},
                    .p = {(void *)lengths},
                    .i = heads};
    MOTET_TRY(see_tensors("attention_decode", &c));
    MOTET_TRY(see_cache("attention_decode", k_cache, heads));
    MOTET_TRY(see_cache("attention_decode", v_cache, heads));
    MOTET_TRY(see("attention_decode", lengths, (size_t)q.dims[0] * sizeof *lengths));
    return push(&c);
}

static motet_status run_sample(const call *c) {
    return motet_cpu_sample(c->p[0], c->t[0], c->t[1], c->t[2], c->t[3], c->p[1]);
}

static motet_status sample(motet_sample_result *results, T logits, T unconditional, T legal, T seen,
                           const motet_sample_params *params) {
    const call c = {.run = run_sample,
                    .t = {logits, unconditional, legal, seen},
                    .p = {results, (void *)params}};
    size_t rows = (size_t)logits.dims[0];
    MOTET_TRY(see_tensors("sample", &c));
    MOTET_TRY(see_shared("sample", results, rows * sizeof *results));
    MOTET_TRY(see_shared("sample", params, rows * sizeof *params));
    return push(&c);
}

/* What field_draw reads at the call. */
typedef struct fields {
    motet_field_network networks[MOTET_FIELD_MOST];
    motet_field_spec spec;
} fields;

static motet_status run_field_draw(const call *c) {
    fields *f = c->p[2];
    motet_status status = motet_cpu_field_draw(c->p[0], c->t[0], f->networks, c->t[1], c->t[2],
                                               c->p[1], &f->spec, c->t[3]);
    free(f);
    return status;
}

static motet_status field_draw(motet_field_result *result, T states,
                               const motet_field_network *networks, T values, T rules,
                               const motet_field_params *params, const motet_field_spec *spec,
                               T scratch) {
    call c = {.run = run_field_draw,
              .t = {states, values, rules, scratch},
              .p = {result, (void *)params}};
    MOTET_TRY(see_tensors("field_draw", &c));
    MOTET_TRY(see_shared("field_draw", result, sizeof *result));
    MOTET_TRY(see_shared("field_draw", params, sizeof *params));
    for (int f = 0; f < spec->fields; f++) {
        const motet_field_network *n = &networks[f];
        const call weights = {.t = {n->norm, n->gate_up, n->down, n->out_norm, n->out, n->bias}};
        MOTET_TRY(see_tensors("field_draw", &weights));
    }
    fields *f = malloc(sizeof *f);
    if (!f) return MOTET_FAIL(MOTET_E_MEMORY, "walled: no memory for fields");
    memcpy(f->networks, networks, (size_t)spec->fields * sizeof *networks);
    f->spec = *spec;
    c.p[2] = f;
    return push(&c);
}

/* The products inside are the CPU's own: those of the table would only be queued. */
static motet_status run_muon(const call *c) {
    return motet_cpu_muon(c->t[0], c->t[1], c->t[2], &c->muon, c->p[0], motet_cpu_matmul, c->dtype);
}

static motet_status muon(T w, T momentum, T grad, const motet_muon_params *params, void *scratch,
                         motet_matmul_fn *product, motet_dtype dtype) {
    const call c = {
        .run = run_muon, .t = {w, momentum, grad}, .p = {scratch}, .muon = *params, .dtype = dtype};
    MOTET_TRY(see_tensors("muon", &c));
    MOTET_TRY(see("muon", scratch, motet_muon_scratch(w.dims[0], w.dims[1])));
    return product ? push(&c) : MOTET_FAIL(MOTET_E_USAGE, "muon: no matmul");
}

static motet_status run_sum_squares(const call *c) {
    return motet_cpu_sum_squares(c->p[0], c->t[0]);
}

static motet_status sum_squares(double *sum, T grad) {
    const call c = {.run = run_sum_squares, .t = {grad}, .p = {sum}};
    MOTET_TRY(see_tensors("sum_squares", &c));
    MOTET_TRY(see_shared("sum_squares", sum, sizeof *sum));
    return push(&c);
}

static motet_status take(void **result, size_t bytes, motet_placement placement) {
    size_t size = (bytes + 4095) / 4096 * 4096;
    int walls = placement == MOTET_ON_DEVICE && !run_at_once;
    int rights = walls ? PROT_NONE : PROT_READ | PROT_WRITE;
    if (block_count == MOST_BLOCKS || size < bytes)
        return MOTET_FAIL(MOTET_E_MEMORY, "walled: %d blocks, %zu bytes wanted", block_count,
                          bytes);
    void *start = mmap(NULL, size ? size : 4096, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return MOTET_FAIL(MOTET_E_MEMORY, "walled: mmap: %m");
    blocks[block_count++] = (block){start, size ? size : 4096, placement};
    *result = start;
    return MOTET_OK;
}

static void give_back(void *start, motet_placement placement) {
    if (!start) return;
    if (drain() != MOTET_OK) abort(); /* an error that nobody had asked for */
    for (int i = 0; i < block_count; i++) {
        if (blocks[i].start != start) continue;
        if (blocks[i].placement != placement) abort();
        munmap(start, blocks[i].bytes);
        blocks[i] = blocks[--block_count];
        return;
    }
    abort();
}

static motet_status copy(void *to, const void *from, size_t bytes) {
    counts.waits++;
    MOTET_TRY(drain());
    MOTET_TRY(protect(PROT_READ | PROT_WRITE));
    if (bytes) memmove(to, from, bytes);
    return protect(PROT_NONE);
}

static motet_status run_zero(const call *c) {
    memset(c->p[0], 0, c->bytes);
    return MOTET_OK;
}

static motet_status zero(void *start, size_t bytes) {
    const call c = {.run = run_zero, .p = {start}, .bytes = bytes};
    MOTET_TRY(see("zero", start, bytes));
    return push(&c);
}

static motet_status synchronize(void) {
    counts.waits++;
    return drain();
}

static const motet_memory memory = {
    .take = take, .give_back = give_back, .copy = copy, .zero = zero, .synchronize = synchronize};

static const motet_backend walled = {
    .name = "walled",
    .memory = &memory,
    .embed_forward = embed_forward,
    .embed_backward = embed_backward,
    .rmsnorm_forward = rmsnorm_forward,
    .rmsnorm_backward = rmsnorm_backward,
    .rmsnorm_add_forward = rmsnorm_add_forward,
    .rmsnorm_add_backward = rmsnorm_add_backward,
    .layernorm_forward = layernorm_forward,
    .layernorm_backward = layernorm_backward,
    .matmul = matmul,
    .bias_backward = bias_backward,
    .rope = rope,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .attention_decode = attention_decode,
    .attention_append = attention_append,
    .swiglu_forward = swiglu_forward,
    .swiglu_backward = swiglu_backward,
    .gelu_forward = gelu_forward,
    .gelu_backward = gelu_backward,
    .gather = gather,
    .scatter_add = scatter_add,
    .add = add,
    .cross_entropy = cross_entropy,
    .sample = sample,
    .field_draw = field_draw,
    .convert = convert,
    .adamw = adamw,
    .muon = muon,
    .sum_squares = sum_squares,
};

const motet_backend *motet_walled_backend(int eager) {
    if (block_count) abort(); /* rights are given when a block is taken */
    run_at_once = eager;
    return &walled;
}

motet_walled_counts motet_walled_count(void) {
    motet_walled_counts since = counts;
    counts = (motet_walled_counts){0};
    return since;
}

size_t motet_walled_bytes(motet_placement placement) {
    size_t sum = 0;
    for (int i = 0; i < block_count; i++)
        if (blocks[i].placement == placement) sum += blocks[i].bytes;
    return sum;
}
