#include "kernels/cuda/cudnn_graph.h"

#if HAS_CUDNN

#include <stddef.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
enum { FIRST_VIRTUAL = 100 };

typedef motet_cudnn_descriptor descriptor;
typedef motet_cudnn_graph graph;

static void check(graph *g, cudnnStatus_t status, const char *purpose) {
    if (g->status != CUDNN_STATUS_SUCCESS || status == CUDNN_STATUS_SUCCESS) return;
    g->status = status;
    g->failed = purpose;
}

descriptor motet_cudnn_graph_create(graph *g, cudnnBackendDescriptorType_t type) {
    descriptor made = NULL;
    if (g->count == COUNT(g->all)) check(g, CUDNN_STATUS_INTERNAL_ERROR, "making room for a graph");
    if (g->status != CUDNN_STATUS_SUCCESS) return NULL;
    check(g, motet_cudnn.cudnnBackendCreateDescriptor(type, &made), "creating a descriptor");
    if (g->status == CUDNN_STATUS_SUCCESS) g->all[g->count++] = made;
    return made;
}

void motet_cudnn_graph_set(graph *g, descriptor d, cudnnBackendAttributeName_t name,
                           cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    if (g->status != CUDNN_STATUS_SUCCESS) return;
    check(g, motet_cudnn.cudnnBackendSetAttribute(d, name, type, count, values),
          "setting an attribute");
}

void motet_cudnn_graph_finish(graph *g, descriptor d, const char *purpose) {
    if (g->status == CUDNN_STATUS_SUCCESS) check(g, motet_cudnn.cudnnBackendFinalize(d), purpose);
}

void motet_cudnn_graph_free(graph *g) {
    while (g->count > 0)
        (void)motet_cudnn.cudnnBackendDestroyDescriptor(g->all[--g->count]);
}

/* An attribute that is a descriptor; none: left out. */
static void link(graph *g, descriptor d, cudnnBackendAttributeName_t name, descriptor value) {
    if (value) motet_cudnn_graph_set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

typedef struct dims {
    int64_t at[4];
} dims;

/* id 0: a virtual tensor, which is never in memory. starts: where its sequences begin, or NULL. */
static descriptor tensor(graph *g, int64_t id, cudnnDataType_t type, dims size, dims strides,
                         descriptor starts) {
    const descriptor t = motet_cudnn_graph_create(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    const bool is_virtual = id == 0;
    const bool by_value =
        id == MOTET_CUDNN_SCALE || id == MOTET_CUDNN_LOWEST || id == MOTET_CUDNN_ONE;
    const int64_t alignment = 16;
    if (is_virtual) id = FIRST_VIRTUAL + g->virtuals++;
    motet_cudnn_graph_set(g, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    motet_cudnn_graph_set(g, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    motet_cudnn_graph_set(g, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, size.at);
    motet_cudnn_graph_set(g, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides.at);
    motet_cudnn_graph_set(g, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    motet_cudnn_graph_set(g, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    motet_cudnn_graph_set(g, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    link(g, t, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC, starts);
    motet_cudnn_graph_finish(g, t, "describing a tensor");
    return t;
}

static descriptor list(graph *g, int64_t id, int64_t count) {
    return tensor(g, id, CUDNN_DATA_INT32, (dims){{count, 1, 1, 1}}, (dims){{1, 1, 1, 1}}, NULL);
}
static descriptor value(graph *g, int64_t id) {
    return tensor(g, id, CUDNN_DATA_FLOAT, (dims){{1, 1, 1, 1}}, (dims){{1, 1, 1, 1}}, NULL);
}

/* Rows of packed sequences, [batch, heads, rows, width]. */
static descriptor rows(graph *g, int64_t id, int64_t count, int64_t pitch, descriptor starts) {
    const motet_cudnn_shape *s = g->shape;
    return tensor(g, id, CUDNN_DATA_BFLOAT16, (dims){{s->batch, s->heads, count, s->width}},
                  (dims){{count * pitch, s->width, pitch, 1}}, starts);
}
/* The same memory as [batch, heads, width, rows]. */
static descriptor columns(graph *g, int64_t id, int64_t count, int64_t pitch, descriptor starts) {
    const motet_cudnn_shape *s = g->shape;
    return tensor(g, id, CUDNN_DATA_BFLOAT16, (dims){{s->batch, s->heads, s->width, count}},
                  (dims){{count * pitch, s->width, 1, pitch}}, starts);
}

/* Between operations: scores [batch, heads, queries, keys], and one number a query. */
static descriptor scores(graph *g, cudnnDataType_t type) {
    const int64_t h = g->shape->heads, n = g->shape->queries, m = g->shape->keys;
    return tensor(g, 0, type, (dims){{g->shape->batch, h, n, m}}, (dims){{h * n * m, n * m, m, 1}},
                  NULL);
}
static descriptor per_query(graph *g, int64_t id) {
    const int64_t h = g->shape->heads, n = g->shape->queries;
    return tensor(g, id, CUDNN_DATA_FLOAT, (dims){{g->shape->batch, h, n, 1}},
                  (dims){{h * n, n, 1, 1}}, NULL);
}

static descriptor operation(graph *g, cudnnBackendDescriptorType_t type) {
    const descriptor o = motet_cudnn_graph_create(g, type);
    if (g->operation_count == COUNT(g->operations))
        check(g, CUDNN_STATUS_INTERNAL_ERROR, "making room for a graph");
    if (g->status == CUDNN_STATUS_SUCCESS) g->operations[g->operation_count++] = o;
    return o;
}

/* c = a b; m, n, k: how much of it each sequence has, or NULL. */
static void product(graph *g, descriptor c, descriptor a, descriptor b, descriptor m, descriptor n,
                    descriptor k) {
    const descriptor d = motet_cudnn_graph_create(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const double padding = 0;
    motet_cudnn_graph_set(g, d, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    if (n && !g->shape->backward)
        motet_cudnn_graph_set(g, d, CUDNN_ATTR_MATMUL_PADDING_VALUE, CUDNN_TYPE_DOUBLE, 1,
                              &padding);
    motet_cudnn_graph_finish(g, d, "describing a product");
    const descriptor o = operation(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    link(g, o, CUDNN_ATTR_OPERATION_MATMUL_DESC, d);
    link(g, o, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    link(g, o, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    link(g, o, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    link(g, o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, m);
    link(g, o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, n);
    link(g, o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, k);
    motet_cudnn_graph_finish(g, o, "describing a product");
}

typedef struct pointwise {
    cudnnPointwiseMode_t mode;
    cudnnDataType_t compute;
    int64_t axis; /* of GEN_INDEX */
} pointwise;
static const pointwise multiply = {CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, -1};
static const pointwise subtract = {CUDNN_POINTWISE_SUB, CUDNN_DATA_FLOAT, -1};
static const pointwise add = {CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, -1};
static const pointwise divide = {CUDNN_POINTWISE_DIV, CUDNN_DATA_FLOAT, -1};
static const pointwise exponential = {CUDNN_POINTWISE_EXP, CUDNN_DATA_FLOAT, -1};
static const pointwise logarithm = {CUDNN_POINTWISE_LOG, CUDNN_DATA_FLOAT, -1};
static const pointwise choose = {CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, -1};
static const pointwise row_index = {CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, 2};
static const pointwise column_index = {CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, 3};
static const pointwise less = {CUDNN_POINTWISE_CMP_LT, CUDNN_DATA_BOOLEAN, -1};
static const pointwise at_least = {CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, -1};
static const pointwise both = {CUDNN_POINTWISE_LOGICAL_AND, CUDNN_DATA_BOOLEAN, -1};

/* y = x op b; BINARY_SELECT: y = which ? x : b. b and which may be NULL. Returns y. */
static descriptor apply(graph *g, const pointwise *op, descriptor y, descriptor x, descriptor b,
                        descriptor which) {
    const descriptor d = motet_cudnn_graph_create(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    motet_cudnn_graph_set(g, d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &op->mode);
    motet_cudnn_graph_set(g, d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1,
                          &op->compute);
    if (op->axis >= 0)
        motet_cudnn_graph_set(g, d, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &op->axis);
    motet_cudnn_graph_finish(g, d, "describing a pointwise operation");
    const descriptor o = operation(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    link(g, o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, d);
    link(g, o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    link(g, o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    link(g, o, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, which);
    link(g, o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    motet_cudnn_graph_finish(g, o, "describing a pointwise operation");
    return y;
}

/* y = the sum or maximum of x over its last dimension. */
static descriptor reduce(graph *g, cudnnReduceTensorOp_t op, descriptor y, descriptor x) {
    const descriptor d = motet_cudnn_graph_create(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    motet_cudnn_graph_set(g, d, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE,
                          1, &op);
    motet_cudnn_graph_set(g, d, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    motet_cudnn_graph_finish(g, d, "describing a reduction");
    const descriptor o = operation(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    link(g, o, CUDNN_ATTR_OPERATION_REDUCTION_DESC, d);
    link(g, o, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    link(g, o, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    motet_cudnn_graph_finish(g, o, "describing a reduction");
    return y;
}

/* y is x with its last two dimensions exchanged. */
static descriptor transpose(graph *g, descriptor y, descriptor x) {
    const descriptor o = operation(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    link(g, o, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    link(g, o, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    motet_cudnn_graph_finish(g, o, "describing a transposition");
    return y;
}

/* What both graphs read. */
typedef struct common {
    descriptor q_lengths, k_lengths, q_starts, k_starts, v_starts, out_starts, stats_starts;
    descriptor scale, lowest, q, k, v, out, stats; /* k, v: as the first product wants them */
} common;

static common describe(graph *g) {
    const motet_cudnn_shape *s = g->shape;
    common c = {.q_lengths = list(g, MOTET_CUDNN_Q_LENGTHS, s->batch),
                .k_lengths = list(g, MOTET_CUDNN_K_LENGTHS, s->batch),
                .q_starts = list(g, MOTET_CUDNN_Q_STARTS, s->batch + 1),
                .k_starts = list(g, MOTET_CUDNN_K_STARTS, s->batch + 1),
                .v_starts = list(g, MOTET_CUDNN_V_STARTS, s->batch + 1),
                .out_starts = list(g, MOTET_CUDNN_OUT_STARTS, s->batch + 1),
                .scale = value(g, MOTET_CUDNN_SCALE),
                .lowest = value(g, MOTET_CUDNN_LOWEST)};
    c.q = rows(g, MOTET_CUDNN_Q, s->queries, s->q_pitch, c.q_starts);
    c.k = columns(g, MOTET_CUDNN_K, s->keys, s->k_pitch, c.k_starts);
    c.v = (s->backward ? columns : rows)(g, MOTET_CUDNN_V, s->keys, s->v_pitch, c.v_starts);
    c.out = rows(g, MOTET_CUDNN_OUT, s->queries, s->out_pitch, c.out_starts);
    if (!s->stats) { /* its engines want to see it made all the same */
        c.stats = per_query(g, 0);
        return c;
    }
    c.stats_starts = list(g, MOTET_CUDNN_STATS_STARTS, s->batch + 1);
    c.stats =
        tensor(g, MOTET_CUDNN_STATS, CUDNN_DATA_FLOAT, (dims){{s->batch, s->heads, s->queries, 1}},
               (dims){{s->queries * s->heads, 1, s->heads, 1}}, c.stats_starts);
    return c;
}

/* Rows and columns beyond a sequence's length become the lowest number. */
static descriptor mask_lengths(graph *g, const common *c, descriptor x) {
    const descriptor row = apply(g, &row_index, scores(g, CUDNN_DATA_INT32), x, NULL, NULL);
    const descriptor column = apply(g, &column_index, scores(g, CUDNN_DATA_INT32), x, NULL, NULL);
    const descriptor a = apply(g, &less, scores(g, CUDNN_DATA_BOOLEAN), row, c->q_lengths, NULL);
    const descriptor b = apply(g, &less, scores(g, CUDNN_DATA_BOOLEAN), column, c->k_lengths, NULL);
    const descriptor inside = apply(g, &both, scores(g, CUDNN_DATA_BOOLEAN), a, b, NULL);
    return apply(g, &choose, scores(g, CUDNN_DATA_FLOAT), x, c->lowest, inside);
}

static descriptor mask_future(graph *g, const common *c, descriptor x) {
    if (!g->shape->causal) return x;
    const descriptor row = apply(g, &row_index, scores(g, CUDNN_DATA_INT32), x, NULL, NULL);
    const descriptor column = apply(g, &column_index, scores(g, CUDNN_DATA_INT32), x, NULL, NULL);
    const descriptor past = apply(g, &at_least, scores(g, CUDNN_DATA_BOOLEAN), row, column, NULL);
    return apply(g, &choose, scores(g, CUDNN_DATA_FLOAT), x, c->lowest, past);
}

static void forward(graph *g) {
    const common c = describe(g);
    descriptor x = scores(g, CUDNN_DATA_FLOAT);
    product(g, x, c.q, c.k, c.q_lengths, c.k_lengths, NULL);
    x = apply(g, &multiply, scores(g, CUDNN_DATA_FLOAT), x, c.scale, NULL);
    x = mask_future(g, &c, mask_lengths(g, &c, x));
    const descriptor most = reduce(g, CUDNN_REDUCE_TENSOR_MAX, per_query(g, 0), x);
    x = apply(g, &subtract, scores(g, CUDNN_DATA_FLOAT), x, most, NULL);
    x = apply(g, &exponential, scores(g, CUDNN_DATA_FLOAT), x, NULL, NULL);
    const descriptor sum = reduce(g, CUDNN_REDUCE_TENSOR_ADD, per_query(g, 0), x);
    const descriptor log_sum = apply(g, &logarithm, per_query(g, 0), sum, NULL, NULL);
    apply(g, &add, c.stats, most, log_sum, NULL);
    x = apply(g, &divide, scores(g, CUDNN_DATA_BFLOAT16), x, sum, NULL);
    product(g, c.out, x, c.v, c.q_lengths, NULL, c.k_lengths);
}

/* scores^T as bf16, [batch, heads, keys, queries]. */
static descriptor turned(graph *g, descriptor x) {
    const int64_t h = g->shape->heads, n = g->shape->queries, m = g->shape->keys;
    return transpose(g,
                     tensor(g, 0, CUDNN_DATA_BFLOAT16, (dims){{g->shape->batch, h, m, n}},
                            (dims){{h * n * m, n * m, 1, m}}, NULL),
                     x);
}

static void backward(graph *g) {
    const motet_cudnn_shape *s = g->shape;
    const common c = describe(g);
    const descriptor dout = rows(g, MOTET_CUDNN_DOUT, s->queries, s->out_pitch, c.out_starts);
    const descriptor dq = rows(g, MOTET_CUDNN_DQ, s->queries, s->q_pitch, c.q_starts);
    const descriptor dk = rows(g, MOTET_CUDNN_DK, s->keys, s->k_pitch, c.k_starts);
    const descriptor dv = rows(g, MOTET_CUDNN_DV, s->keys, s->v_pitch, c.v_starts);

    descriptor x = tensor(
        g, 0, CUDNN_DATA_FLOAT, (dims){{s->batch, s->heads, s->queries, s->width}},
        (dims){{s->heads * s->queries * s->width, s->queries * s->width, s->heads * s->width, 1}},
        NULL);
    apply(g, &multiply, x, dout, c.out, NULL);
    x = reduce(g, CUDNN_REDUCE_TENSOR_ADD, per_query(g, 0), x);
    const descriptor delta =
        apply(g, &multiply, per_query(g, MOTET_CUDNN_DELTA), x, value(g, MOTET_CUDNN_ONE), NULL);

    x = scores(g, CUDNN_DATA_FLOAT);
    product(g, x, c.q, c.k, c.q_lengths, c.k_lengths, NULL);
    x = apply(g, &multiply, scores(g, CUDNN_DATA_FLOAT), x, c.scale, NULL);
    x = apply(g, &subtract, scores(g, CUDNN_DATA_FLOAT), x, c.stats, NULL);
    x = mask_future(g, &c, mask_lengths(g, &c, x));
    const descriptor p = apply(g, &exponential, scores(g, CUDNN_DATA_FLOAT), x, NULL, NULL);
    product(g, dv, turned(g, p), dout, c.k_lengths, NULL, c.q_lengths);

    x = scores(g, CUDNN_DATA_FLOAT);
    product(g, x, dout, c.v, c.q_lengths, c.k_lengths, NULL);
    x = apply(g, &subtract, scores(g, CUDNN_DATA_FLOAT), x, delta, NULL);
    x = apply(g, &multiply, scores(g, CUDNN_DATA_FLOAT), x, p, NULL);
    x = apply(g, &multiply, scores(g, CUDNN_DATA_FLOAT), x, c.scale, NULL);
    product(g, dk, turned(g, x), c.q, c.k_lengths, NULL, c.q_lengths);
    const descriptor k = transpose(g, rows(g, 0, s->keys, s->k_pitch, c.k_starts), c.k);
    product(g, dq, x, k, c.q_lengths, NULL, c.k_lengths);
}

void motet_cudnn_graph_attention(graph *g) {
    if (g->shape->backward)
        backward(g);
    else
        forward(g);
}

#else

typedef int motet_cudnn_graph_is_not_built; /* a translation unit is never empty */

#endif
