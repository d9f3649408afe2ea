#include "train/matmul_onednn.h"

#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Everything that makes two products the same primitive. No padding: compared by memcmp. */
typedef struct product_key {
    int64_t m, n, k;
    uint8_t transpose_a, transpose_b, accumulate, gelu;
    uint8_t in, out, bias; /* dtypes; bias: dtype + 1, 0 for none */
    uint8_t nested;        /* inside a parallel region oneDNN runs on one thread */
} product_key;

typedef struct product {
    product_key key;
    struct product *next;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, bias;
    dnnl_exec_arg_t arguments[4];
    int argument_count;
} product;

enum { BUCKETS = 1024, MOST_PRODUCTS = 8192 };

static _Thread_local struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    product *buckets[BUCKETS];
    int count;
} cache;

static const char *status_text(dnnl_status_t status) {
    return status == dnnl_out_of_memory       ? "out of memory"
           : status == dnnl_unimplemented     ? "not implemented"
           : status == dnnl_invalid_arguments ? "invalid arguments"
                                              : "runtime error";
}

static motet_status failed(const product_key *key, dnnl_status_t status) {
    motet_status code = status == dnnl_out_of_memory   ? MOTET_E_MEMORY
                        : status == dnnl_unimplemented ? MOTET_E_UNSUPPORTED
                                                       : MOTET_E_USAGE;
    return MOTET_FAIL(code, "oneDNN refused the product [%lld,%lld] x [%lld,%lld]: %s",
                      (long long)key->m, (long long)key->k, (long long)key->k, (long long)key->n,
                      status_text(status));
}

static void product_free(product *p) {
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    dnnl_memory_t memories[] = {p->a, p->b, p->c, p->bias};
    for (int i = 0; i < 4; i++)
        if (memories[i]) dnnl_memory_destroy(memories[i]);
    free(p);
}

static void empty_cache(void) {
    for (int i = 0; i < BUCKETS; i++)
        while (cache.buckets[i]) {
            product *p = cache.buckets[i];
            cache.buckets[i] = p->next;
            product_free(p);
        }
    cache.count = 0;
}

void motet_onednn_release(void) {
    empty_cache();
    if (cache.stream) dnnl_stream_destroy(cache.stream);
    if (cache.engine) dnnl_engine_destroy(cache.engine);
    cache.stream = NULL, cache.engine = NULL;
}

int motet_onednn_cached(void) {
    return cache.count;
}

static dnnl_data_type_t type_of(int dtype) {
    return dtype == MOTET_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* A [rows, cols] matrix, or its transpose as it lies in memory. */
static dnnl_status_t describe(dnnl_memory_desc_t *desc, int64_t rows, int64_t cols, int dtype,
                              int transposed) {
    dnnl_dims_t dims = {rows, cols}, strides = {transposed ? 1 : cols, transposed ? rows : 1};
    return dnnl_memory_desc_init_by_strides(desc, 2, dims, type_of(dtype), strides);
}

static dnnl_status_t make_attributes(dnnl_primitive_attr_t *attributes, const product_key *key) {
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (status != dnnl_success || (!key->accumulate && !key->gelu)) return status;
    dnnl_post_ops_t post;
    status = dnnl_post_ops_create(&post);
    if (status != dnnl_success) return status;
    if (key->gelu) status = dnnl_post_ops_append_eltwise(post, 1, dnnl_eltwise_gelu_erf, 0, 0);
    if (status == dnnl_success && key->accumulate) status = dnnl_post_ops_append_sum(post, 1);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*attributes, post);
    dnnl_post_ops_destroy(post);
    return status;
}

static dnnl_status_t make_memory(product *p, dnnl_memory_t *memory, const dnnl_memory_desc_t *desc,
                                 int name) {
    dnnl_status_t status = dnnl_memory_create(memory, desc, cache.engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        p->arguments[p->argument_count++] = (dnnl_exec_arg_t){name, *memory};
    return status;
}

static dnnl_status_t make_primitive(product *p, const dnnl_memory_desc_t descs[4]) {
    const product_key *key = &p->key;
    dnnl_matmul_desc_t desc;
    dnnl_status_t status =
        dnnl_matmul_desc_init(&desc, &descs[0], &descs[1], key->bias ? &descs[3] : NULL, &descs[2]);
    if (status != dnnl_success) return status;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t primitive_desc = NULL;
    status = make_attributes(&attributes, key);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&primitive_desc, &desc, attributes, cache.engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&p->primitive, primitive_desc);
    if (primitive_desc) dnnl_primitive_desc_destroy(primitive_desc);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

static dnnl_status_t fill(product *p) {
    const product_key *key = &p->key;
    dnnl_memory_desc_t descs[4];
    dnnl_dims_t bias_dims = {1, key->n};
    dnnl_status_t status = describe(&descs[0], key->m, key->k, key->in, key->transpose_a);
    if (status == dnnl_success)
        status = describe(&descs[1], key->k, key->n, key->in, key->transpose_b);
    if (status == dnnl_success) status = describe(&descs[2], key->m, key->n, key->out, 0);
    if (status == dnnl_success && key->bias)
        status =
            dnnl_memory_desc_init_by_tag(&descs[3], 2, bias_dims, type_of(key->bias - 1), dnnl_ab);
    if (status == dnnl_success) status = make_primitive(p, descs);
    if (status == dnnl_success) status = make_memory(p, &p->a, &descs[0], DNNL_ARG_SRC);
    if (status == dnnl_success) status = make_memory(p, &p->b, &descs[1], DNNL_ARG_WEIGHTS);
    if (status == dnnl_success) status = make_memory(p, &p->c, &descs[2], DNNL_ARG_DST);
    if (status == dnnl_success && key->bias)
        status = make_memory(p, &p->bias, &descs[3], DNNL_ARG_BIAS);
    return status;
}

static unsigned bucket_of(const product_key *key) {
    uint64_t hash = 1469598103934665603u; /* FNV-1a, 8 bytes at a time */
    uint64_t words[sizeof *key / 8];
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        hash = (hash ^ words[i]) * 1099511628211u;
    return (unsigned)(hash >> 32) % BUCKETS;
}

static motet_status start(const product_key *key) {
    dnnl_status_t status = dnnl_success;
    if (!cache.engine) status = dnnl_engine_create(&cache.engine, dnnl_cpu, 0);
    if (status == dnnl_success && !cache.stream)
        status = dnnl_stream_create(&cache.stream, cache.engine, dnnl_stream_default_flags);
    return status == dnnl_success ? MOTET_OK : failed(key, status);
}

static motet_status find(product **found, const product_key *key) {
    product **bucket = &cache.buckets[bucket_of(key)];
    for (product *p = *bucket; p; p = p->next)
        if (!memcmp(&p->key, key, sizeof *key)) {
            *found = p;
            return MOTET_OK;
        }
    MOTET_TRY(start(key));
    if (cache.count >= MOST_PRODUCTS) empty_cache();
    product *p = calloc(1, sizeof *p);
    if (!p) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a matrix product");
    p->key = *key;
    dnnl_status_t status = fill(p);
    if (status != dnnl_success) {
        product_free(p);
        return failed(key, status);
    }
    p->next = *bucket;
    *bucket = p;
    cache.count++;
    *found = p;
    return MOTET_OK;
}

static int is_float(motet_tensor t) {
    return t.dtype == MOTET_F32 || t.dtype == MOTET_BF16;
}

/* Whether oneDNN has this combination; whatever else is right or wrong is the CPU twin's to say. */
static int suits(motet_tensor c, motet_tensor a, motet_tensor b, motet_tensor bias,
                 motet_matmul_spec spec, const product_key *key) {
    if (a.rank != 2 || b.rank != 2 || c.rank != 2) return 0;
    if (a.dtype != b.dtype || !is_float(a) || !is_float(c)) return 0;
    if (a.dtype == MOTET_F32 && c.dtype != MOTET_F32) return 0;
    if (c.dims[0] != key->m || c.dims[1] != key->n || b.dims[spec.transpose_b] != key->k) return 0;
    if (key->m <= 0 || key->n <= 0 || key->k <= 0) return 0;
    if (spec.activation != MOTET_ACT_NONE && spec.activation != MOTET_ACT_GELU) return 0;
    if (spec.activation == MOTET_ACT_GELU && spec.accumulate) return 0;
    if (!bias.data) return 1;
    if (a.dtype == MOTET_F32 && bias.dtype != MOTET_F32) return 0;
    return is_float(bias) && bias.rank == 1 && bias.dims[0] == key->n;
}

motet_status motet_onednn_matmul(motet_tensor c, motet_tensor a, motet_tensor b, motet_tensor bias,
                                 motet_matmul_spec spec) {
    product_key key = {
        .m = a.dims[spec.transpose_a],
        .k = a.dims[!spec.transpose_a],
        .n = b.dims[!spec.transpose_b],
        .transpose_a = spec.transpose_a,
        .transpose_b = spec.transpose_b,
        .accumulate = spec.accumulate,
        .gelu = spec.activation == MOTET_ACT_GELU,
        .in = (uint8_t)a.dtype,
        .out = (uint8_t)c.dtype,
        .bias = (uint8_t)(bias.data ? bias.dtype + 1 : 0),
        .nested = omp_in_parallel() != 0,
    };
    if (!suits(c, a, b, bias, spec, &key)) return motet_cpu_matmul(c, a, b, bias, spec);
    product *p = NULL;
    MOTET_TRY(find(&p, &key));
    dnnl_memory_set_data_handle(p->a, a.data);
    dnnl_memory_set_data_handle(p->b, b.data);
    dnnl_memory_set_data_handle(p->c, c.data);
    if (p->bias) dnnl_memory_set_data_handle(p->bias, bias.data);
    dnnl_status_t status =
        dnnl_primitive_execute(p->primitive, cache.stream, p->argument_count, p->arguments);
    if (status == dnnl_success) status = dnnl_stream_wait(cache.stream);
    return status == dnnl_success ? MOTET_OK : failed(&key, status);
}
