#include "kernels/cuda/cublaslt.h"

#if __has_include(<cublasLt.h>)

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cublasLt.h>
#pragma GCC diagnostic pop

#include "kernels/cuda/device.h"

#define LEAST_WORK ((double)(1 << 24))
#define PLANS 256 /* one at each place of a hash table; a newcomer ends the plan that is there */

#define CALLS(X)                            \
    X(cublasLtCreate)                       \
    X(cublasLtMatmul)                       \
    X(cublasLtMatmulDescCreate)             \
    X(cublasLtMatmulDescDestroy)            \
    X(cublasLtMatmulDescSetAttribute)       \
    X(cublasLtMatrixLayoutCreate)           \
    X(cublasLtMatrixLayoutDestroy)          \
    X(cublasLtMatmulPreferenceCreate)       \
    X(cublasLtMatmulPreferenceDestroy)      \
    X(cublasLtMatmulPreferenceSetAttribute) \
    X(cublasLtMatmulAlgoGetHeuristic)

static struct {
#define X(call) __typeof__(&call) call;
    CALLS(X)
#undef X
} lt;

typedef struct plan_key {
    int m, n, k;
    unsigned char transpose_a, transpose_b, accumulate, biased, bf16, c_bf16, used, unused;
} plan_key;

/* cuBLASLt is column-major: a row-major matrix is its transpose there, so C^T = B'^T A'^T, and
 * its first operand is our B. */
typedef struct plan {
    plan_key key;
    bool usable; /* false: it has no algorithm for this, which is worth remembering too */
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
} plan;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum { NOT_LOOKED, THERE, NOT_THERE } state;
static cublasLtHandle_t handle;
static plan plans[PLANS];

static bool load(void *library) {
#define X(call)                                         \
    lt.call = (__typeof__(&call))dlsym(library, #call); \
    if (!lt.call) return false;
    CALLS(X)
#undef X
    return true;
}

/* Under the lock. */
static bool is_there(void) {
    if (state != NOT_LOOKED) return state == THERE;
    state = NOT_THERE;
    const motet_cuda_device *device = motet_cuda_get_device();
    const char *wanted = secure_getenv("MOTET_CUDA_GEMM"); /* NOLINT: documented in cublaslt.h */
    if (!device || strncmp(device->name, "softgpu", 7) == 0) return false;
    if (wanted && strcmp(wanted, "own") == 0) return false;
    void *library = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libcublasLt.so.12", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    if (load(library) && lt.cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS) state = THERE;
    return state == THERE; /* the library stays open: it may have threads of its own */
}

static bool suits(const motet_cuda_matmul_job *job) {
    const motet_tensor a = job->a, b = job->b, c = job->c, bias = job->bias;
    if ((double)job->m * job->n * job->k < LEAST_WORK) return false;
    if (a.dtype != b.dtype || (a.dtype == MOTET_F32 && c.dtype != MOTET_F32)) return false;
    if (job->spec.activation != MOTET_ACT_NONE) return false;
    if (bias.data && (bias.dtype != c.dtype || (uintptr_t)bias.data % 16)) return false;
    const int of_a = 16 / (int)motet_dtype_bytes(a.dtype);
    const int of_c = 16 / (int)motet_dtype_bytes(c.dtype);
    return motet_cuda_is_aligned(a, job->spec.transpose_a ? job->m : job->k, of_a) &&
           motet_cuda_is_aligned(b, job->spec.transpose_b ? job->k : job->n, of_a) &&
           motet_cuda_is_aligned(c, job->n, of_c);
}

static bool set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute,
                const void *value, size_t bytes) {
    return lt.cublasLtMatmulDescSetAttribute(product, attribute, value, bytes) ==
           CUBLAS_STATUS_SUCCESS;
}

/* The layout of row-major [rows, cols]. */
static bool lay_out(cublasLtMatrixLayout_t *layout, bool bf16, int rows, int cols) {
    return lt.cublasLtMatrixLayoutCreate(layout, bf16 ? CUDA_R_16BF : CUDA_R_32F, (uint64_t)cols,
                                         (uint64_t)rows, cols) == CUBLAS_STATUS_SUCCESS;
}

static bool describe(plan *p) {
    const plan_key k = p->key;
    const cublasOperation_t first = k.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = k.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t epilogue =
        k.biased ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    const int32_t bias_type = k.c_bf16 ? CUDA_R_16BF : CUDA_R_32F;
    /* With f32 operands this is f32 throughout: TF32 would be another compute type. */
    return lt.cublasLtMatmulDescCreate(&p->product, CUBLAS_COMPUTE_32F, CUDA_R_32F) ==
               CUBLAS_STATUS_SUCCESS &&
           set(p->product, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first) &&
           set(p->product, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second) &&
           set(p->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) &&
           set(p->product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type) &&
           lay_out(&p->a, k.bf16, k.transpose_a ? k.k : k.m, k.transpose_a ? k.m : k.k) &&
           lay_out(&p->b, k.bf16, k.transpose_b ? k.n : k.k, k.transpose_b ? k.k : k.n) &&
           lay_out(&p->c, k.c_bf16, k.m, k.n);
}

static bool prefer(cublasLtMatmulPreference_t preference,
                   cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                   size_t bytes) {
    return lt.cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes) ==
           CUBLAS_STATUS_SUCCESS;
}

/* No partial sums that are added where they end up, in the order of arrival. */
static bool choose(plan *p) {
    const size_t workspace = MOTET_CUDA_WORKSPACE;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, alignment = 16;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    if (lt.cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS) return false;
    const bool right =
        prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
               sizeof workspace) &&
        prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes) &&
        prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment,
               sizeof alignment) &&
        prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment,
               sizeof alignment) &&
        prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment,
               sizeof alignment) &&
        prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment,
               sizeof alignment) &&
        lt.cublasLtMatmulAlgoGetHeuristic(handle, p->product, p->b, p->a, p->c, p->c, preference, 1,
                                          &best, &found) == CUBLAS_STATUS_SUCCESS &&
        found == 1 && best.state == CUBLAS_STATUS_SUCCESS && best.workspaceSize <= workspace;
    (void)lt.cublasLtMatmulPreferenceDestroy(preference);
    if (right) p->algorithm = best.algo;
    return right;
}

static void forget(plan *p) {
    if (p->product) (void)lt.cublasLtMatmulDescDestroy(p->product);
    if (p->a) (void)lt.cublasLtMatrixLayoutDestroy(p->a);
    if (p->b) (void)lt.cublasLtMatrixLayoutDestroy(p->b);
    if (p->c) (void)lt.cublasLtMatrixLayoutDestroy(p->c);
    *p = (plan){0};
}

static plan *find(const motet_cuda_matmul_job *job) {
    plan_key key;
    memset(&key, 0, sizeof key);
    key.m = job->m, key.n = job->n, key.k = job->k;
    key.transpose_a = job->spec.transpose_a, key.transpose_b = job->spec.transpose_b;
    key.accumulate = job->spec.accumulate, key.biased = job->bias.data != NULL;
    key.bf16 = job->a.dtype == MOTET_BF16, key.c_bf16 = job->c.dtype == MOTET_BF16;
    key.used = 1;
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < sizeof key; i++)
        hash = (hash ^ ((const unsigned char *)&key)[i]) * 1099511628211u;
    plan *p = &plans[(hash ^ hash >> 32) % PLANS];
    if (memcmp(&p->key, &key, sizeof key) != 0) {
        forget(p);
        memcpy(&p->key, &key, sizeof key);
        p->usable = describe(p) && choose(p);
    }
    return p;
}

motet_status motet_cublaslt_matmul(bool *done, const motet_cuda_matmul_job *job) {
    *done = false;
    if (!suits(job)) return MOTET_OK;
    pthread_mutex_lock(&lock);
    motet_status status = motet_cuda_enter();
    plan *p = status == MOTET_OK && is_there() ? find(job) : NULL;
    if (p && p->usable) {
        const motet_cuda_device *device = motet_cuda_get_device();
        const float one = 1, old = job->spec.accumulate ? 1 : 0;
        const void *bias = job->bias.data;
        if (!bias || set(p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias))
            *done = lt.cublasLtMatmul(handle, p->product, &one, job->b.data, p->b, job->a.data,
                                      p->a, &old, job->c.data, p->c, job->c.data, p->c,
                                      &p->algorithm, motet_cuda_workspace(), MOTET_CUDA_WORKSPACE,
                                      device->stream) == CUBLAS_STATUS_SUCCESS;
        p->usable = *done; /* refused once: ours from now on */
    }
    pthread_mutex_unlock(&lock);
    return status;
}

#else /* built where the toolkit has no cuBLAS */

motet_status motet_cublaslt_matmul(bool *done, const motet_cuda_matmul_job *job) {
    (void)job;
    *done = false;
    return MOTET_OK;
}

#endif
