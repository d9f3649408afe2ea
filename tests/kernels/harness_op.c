#include "tests/kernels/harness_op.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/core/rng.h"
#include "kernels/device.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#define GUARD 256 /* bytes on either side; a multiple of the alignment of blocks */
#define SENTINEL 0xA5
#define POOL 16384

const int64_t op_rows[6] = {0, 1, 3, 17, 64, 130};
const int64_t op_widths[7] = {1, 7, 16, 33, 256, 384, 1100};
const motet_dtype op_floats[2] = {MOTET_F32, MOTET_BF16};

static struct {
    unsigned char *base;
    size_t bytes, guard; /* guards on either side of bytes */
    bool host;           /* the harness's own, not the back-end's */
} pool[POOL];
static int pool_used;
static int start_threads;

static const char *device_name(void) {
    const char *name = getenv("MOTET_TEST_DEVICE");
    return name && *name ? name : "cpu";
}

/* Before main: cmocka asks its filter when the group runs. */
__attribute__((constructor)) static void choose_tests(void) {
    const char *only = getenv("MOTET_TEST_ONLY");
    if (only && *only) cmocka_set_test_filter(only);
}

bool op_on_cpu(void) {
    return strcmp(device_name(), "cpu") == 0;
}

const motet_backend *op_backend(void) {
    static const motet_backend *backend;
    if (!backend && motet_device_open(&backend, device_name()) != MOTET_OK)
        fail_msg("harness: MOTET_TEST_DEVICE=%s: %s", device_name(), motet_error());
    return backend;
}

bool op_skips(int64_t number, int every) {
    return !op_on_cpu() && number % every != 0;
}

/* The software GPU (the only one whose driver is named) sees what leaves a block: none there. */
static size_t guard_bytes(bool host) {
    return host || op_on_cpu() || !getenv("MOTET_CUDA_DRIVER") ? GUARD : 0;
}

static void poison(int i, bool on) {
    if (!pool[i].host && !op_on_cpu()) return;
    unsigned char *base = pool[i].base, *end = base + pool[i].guard + pool[i].bytes;
    if (on) {
        ASAN_POISON_MEMORY_REGION(base, pool[i].guard);
        ASAN_POISON_MEMORY_REGION(end, pool[i].guard);
    } else {
        ASAN_UNPOISON_MEMORY_REGION(base, pool[i].guard);
        ASAN_UNPOISON_MEMORY_REGION(end, pool[i].guard);
    }
}

static void *pool_take(size_t bytes, bool host) {
    if (pool_used == POOL) fail_msg("harness: more than %d buffers in one test", POOL);
    const motet_memory *memory = host ? &motet_host_memory : op_backend()->memory;
    size_t guard = guard_bytes(host);
    void *block = NULL;
    if (memory->take(&block, guard + bytes + guard, MOTET_SHARED) != MOTET_OK)
        fail_msg("harness: %s", motet_error());
    unsigned char *base = block;
    memset(base, SENTINEL, guard);
    memset(base + guard, 0xFF, bytes);
    memset(base + guard + bytes, SENTINEL, guard);
    pool[pool_used].base = base;
    pool[pool_used].bytes = bytes;
    pool[pool_used].guard = guard;
    pool[pool_used].host = host;
    poison(pool_used++, true);
    return base + guard;
}

int op_teardown(void **state) {
    (void)state;
    int broken = 0;
    for (int i = 0; i < pool_used; i++) {
        unsigned char *base = pool[i].base, *end = base + pool[i].guard + pool[i].bytes;
        poison(i, false);
        for (size_t g = 0; g < pool[i].guard; g++)
            broken += (base[g] != SENTINEL) + (end[g] != SENTINEL);
        (pool[i].host ? &motet_host_memory : op_backend()->memory)->give_back(base, MOTET_SHARED);
    }
    pool_used = 0;
    if (start_threads) omp_set_num_threads(start_threads);
    if (broken) fprintf(stderr, "harness: %d guard bytes were overwritten\n", broken);
    return broken != 0;
}

void op_threads(int count) {
    if (!start_threads) start_threads = omp_get_max_threads();
    omp_set_num_threads(count);
}

void *op_shared(size_t bytes) {
    return pool_take(bytes, false);
}

static motet_tensor tensor_new(motet_dtype dtype, int rank, int64_t d0, int64_t d1) {
    motet_tensor t = {.dtype = dtype, .rank = rank, .dims = {d0, d1}};
    t.data = op_shared((size_t)motet_tensor_count(t) * motet_dtype_bytes(dtype));
    if (dtype == MOTET_I8) {
        float *scale = op_shared((size_t)d0 * sizeof *scale);
        for (int64_t i = 0; i < d0; i++)
            scale[i] = 1;
        t.scale = scale;
    }
    return t;
}

motet_tensor op_vector(motet_dtype dtype, int64_t n) {
    return tensor_new(dtype, 1, n, 0);
}

motet_tensor op_matrix(motet_dtype dtype, int64_t rows, int64_t cols) {
    return tensor_new(dtype, 2, rows, cols);
}

motet_tensor op_askew(motet_dtype dtype, int64_t rows, int64_t cols) {
    motet_tensor t = op_vector(dtype, rows * cols + 1);
    return motet_matrix((char *)t.data + motet_dtype_bytes(dtype), dtype, rows, cols);
}

motet_tensor op_copy(motet_tensor t) {
    motet_tensor copy = t;
    size_t bytes = (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
    copy.data = op_shared(bytes);
    memcpy(copy.data, t.data, bytes);
    return copy;
}

motet_tensor op_none(void) {
    return (motet_tensor){0};
}

double *op_zeros(int64_t count) {
    double *values = pool_take((size_t)count * sizeof *values, true);
    for (int64_t i = 0; i < count; i++)
        values[i] = 0;
    return values;
}

double op_get(motet_tensor t, int64_t i) {
    switch (t.dtype) {
    case MOTET_F32:
        return ((const float *)t.data)[i];
    case MOTET_BF16:
        return motet_f32_from_bf16(((const uint16_t *)t.data)[i]);
    case MOTET_I8:
        return (double)t.scale[i / t.dims[1]] * ((const int8_t *)t.data)[i];
    case MOTET_I32:
        return ((const int32_t *)t.data)[i];
    }
    return NAN;
}

void op_set(motet_tensor t, int64_t i, double value) {
    switch (t.dtype) {
    case MOTET_F32:
        ((float *)t.data)[i] = (float)value;
        break;
    case MOTET_BF16:
        ((uint16_t *)t.data)[i] = motet_bf16_from_f32((float)value);
        break;
    case MOTET_I8:
        ((int8_t *)t.data)[i] = (int8_t)value;
        break;
    case MOTET_I32:
        ((int32_t *)t.data)[i] = (int32_t)value;
        break;
    }
}

double *op_doubles(motet_tensor t) {
    int64_t count = motet_tensor_count(t);
    double *values = op_zeros(count);
    for (int64_t i = 0; i < count; i++)
        values[i] = op_get(t, i);
    return values;
}

void op_fill(motet_tensor t, double value) {
    int64_t count = motet_tensor_count(t);
    for (int64_t i = 0; i < count; i++)
        op_set(t, i, value);
}

void op_fill_normal(motet_tensor t, uint64_t seed, double scale) {
    if (t.dtype == MOTET_I8) {
        op_fill_integers(t, seed, -127, 127);
        motet_rng rng = motet_rng_make(seed, 2);
        float *row_scale = (float *)(uintptr_t)t.scale;
        for (int64_t i = 0; i < t.dims[0]; i++)
            row_scale[i] = (float)scale * (0.5f + motet_rng_uniform(&rng)) / 64;
        return;
    }
    motet_rng rng = motet_rng_make(seed, 0);
    int64_t count = motet_tensor_count(t);
    for (int64_t i = 0; i < count; i++)
        op_set(t, i, scale * (double)motet_rng_normal(&rng));
}

void op_fill_integers(motet_tensor t, uint64_t seed, int low, int high) {
    motet_rng rng = motet_rng_make(seed, 1);
    int64_t count = motet_tensor_count(t);
    for (int64_t i = 0; i < count; i++)
        op_set(t, i, low + (double)motet_rng_below(&rng, (uint32_t)(high - low + 1)));
}

double op_nmse(motet_tensor got, const double *want) {
    int64_t count = motet_tensor_count(got);
    double error = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = op_get(got, i);
        if (isnan(want[i]) || isinf(want[i])) {
            bool same = isnan(want[i]) ? isnan(value) != 0 : value == want[i];
            if (!same) return INFINITY;
            continue;
        }
        if (!isfinite(value)) return INFINITY;
        error += (value - want[i]) * (value - want[i]);
        size += want[i] * want[i];
    }
    if (error == 0) return 0;
    return error / (size > 0 ? size : (double)count);
}

double op_limit(motet_dtype out) {
    return out == MOTET_BF16 ? 0x1p-16 : 1e-11;
}

/* The worst element, so that a failure says where to look. */
static void fail_close(const char *what, motet_tensor got, const double *want, double nmse,
                       double limit) {
    int64_t worst = 0, count = motet_tensor_count(got);
    double most = -1;
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(op_get(got, i) - want[i]);
        if (isnan(error) && !isnan(want[i])) error = INFINITY;
        if (error > most) most = error, worst = i;
    }
    fail_msg("%s: NMSE %.3g above %.3g; worst at %lld of %lld (rows of %lld): got %.9g, want %.9g",
             what, nmse, limit, (long long)worst, (long long)count,
             (long long)(got.rank > 1 ? got.dims[1] : 1), op_get(got, worst), want[worst]);
}

void op_assert_close(const char *what, motet_tensor got, const double *want, double nmse_limit) {
    double nmse = op_nmse(got, want);
    if (!(nmse <= nmse_limit)) fail_close(what, got, want, nmse, nmse_limit);
}

void op_assert_equal(const char *what, motet_tensor got, const double *want) {
    double nmse = op_nmse(got, want);
    if (nmse != 0) fail_close(what, got, want, nmse, 0);
}

void op_assert_same_bits(const char *what, motet_tensor a, motet_tensor b) {
    int64_t count = motet_tensor_count(a);
    size_t bytes = motet_dtype_bytes(a.dtype);
    if (a.dtype != b.dtype || count != motet_tensor_count(b)) fail_msg("%s: shapes differ", what);
    for (int64_t i = 0; i < count; i++) {
        size_t at = (size_t)i * bytes;
        if (memcmp((char *)a.data + at, (char *)b.data + at, bytes) != 0)
            fail_msg("%s: element %lld differs: %.9g, %.9g", what, (long long)i, op_get(a, i),
                     op_get(b, i));
    }
}

void op_assert_ok(motet_status status, const char *call, const char *file, int line) {
    if (status == MOTET_OK) status = op_backend()->memory->synchronize();
    if (status != MOTET_OK) {
        print_error("%s: status %d: %s (%s)\n", call, (int)status, motet_error(),
                    motet_error_where());
        _fail(file, line);
    }
}

void op_assert_fails(motet_status status, motet_status code, const char *words, const char *call,
                     const char *file, int line) {
    if (status == MOTET_OK) status = op_backend()->memory->synchronize();
    const char *sentence = status == MOTET_OK ? "" : motet_error();
    if (status != code || !strstr(sentence, words)) {
        print_error("%s: status %d, \"%s\"; wanted status %d and the words \"%s\"\n", call,
                    (int)status, sentence, (int)code, words);
        _fail(file, line);
    }
}

double op_dot(motet_tensor a, motet_tensor b) {
    int64_t count = motet_tensor_count(a);
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += op_get(a, i) * op_get(b, i);
    return sum;
}

void op_assert_gradient(const char *what, motet_tensor x, motet_tensor grad, op_loss_fn *loss,
                        void *context, double step, double limit) {
    if (x.dtype != MOTET_F32) fail_msg("%s: gradients are checked in f32", what);
    int64_t count = motet_tensor_count(x);
    int64_t stride = count > 48 ? count / 48 : 1;
    float *values = x.data;
    double error = 0, size = 0;
    for (int64_t i = 0, checked = 0; i < count && checked < 48; i += stride, checked++) {
        float saved = values[i];
        float above = saved + (float)step, below = saved - (float)step;
        values[i] = above;
        double high = loss(context);
        values[i] = below;
        double low = loss(context);
        values[i] = saved;
        double slope = (high - low) / ((double)above - (double)below);
        double given = op_get(grad, i);
        if (!isfinite(given) || !isfinite(slope))
            fail_msg("%s: gradient at %lld is %.9g, slope %.9g", what, (long long)i, given, slope);
        error += (given - slope) * (given - slope);
        size += slope * slope;
    }
    double nmse = size > 0 ? error / size : error;
    if (!(nmse <= limit)) fail_msg("%s: gradient NMSE %.3g above %.3g", what, nmse, limit);
}
