/* The tests' NCCL: right sums and places of every collective among three processes, and an error
 * for each way to use it wrongly. On softgpu's memory. */
#include <cuda.h>
#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <nccl.h>

enum { RANKS = 3, COUNT = 40000 };

/* softgpu, as the program under test would have opened it. */
static struct {
    __typeof__(&cuInit) init;
    __typeof__(&cuDevicePrimaryCtxRetain) retain;
    __typeof__(&cuDevicePrimaryCtxRelease) release;
    __typeof__(&cuCtxSetCurrent) enter;
    __typeof__(&cuMemAlloc) take;
    __typeof__(&cuMemFree) give_back;
    __typeof__(&cuMemcpyAsync) copy;
    __typeof__(&cuStreamCreate) stream;
    __typeof__(&cuStreamDestroy) end_stream;
    __typeof__(&cuStreamQuery) query;
} gpu;

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                    ncclGetLastError(NULL));                                    \
            return 0;                                                           \
        }                                                                       \
    } while (0)

static int find(void *library, void *function, const char *name) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static int open_gpu(int device) {
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 40);
    CHECK(length > 0);
    path[length] = 0;
    char *slash = strrchr(path, '/');
    snprintf(slash, 40, "/../softgpu/libcuda.so.1");
    setenv("MOTET_CUDA_DRIVER", path, 1);
    setenv("SOFTGPU_DEVICES", "8", 1);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    CHECK(
        find(library, &gpu.init, "cuInit") &&
        find(library, &gpu.retain, "cuDevicePrimaryCtxRetain") &&
        find(library, &gpu.release, "cuDevicePrimaryCtxRelease_v2") &&
        find(library, &gpu.enter, "cuCtxSetCurrent") && find(library, &gpu.take, "cuMemAlloc_v2") &&
        find(library, &gpu.give_back, "cuMemFree_v2") &&
        find(library, &gpu.copy, "cuMemcpyAsync") && find(library, &gpu.stream, "cuStreamCreate") &&
        find(library, &gpu.end_stream, "cuStreamDestroy_v2") &&
        find(library, &gpu.query, "cuStreamQuery"));
    CUcontext context;
    CHECK(gpu.init(0) == CUDA_SUCCESS && gpu.retain(&context, device) == CUDA_SUCCESS &&
          gpu.enter(context) == CUDA_SUCCESS);
    return 1;
}

/* ---- A rank. */

typedef struct rank {
    int rank;
    ncclComm_t comm;
    CUstream stream;
    CUdeviceptr a, b; /* RANKS * COUNT floats each */
    float host[RANKS * COUNT];
} rank;

static ncclResult_t settle(const rank *r) {
    ncclResult_t state = ncclInProgress;
    for (int i = 0; i < 20000 && state == ncclInProgress; i++) {
        if (ncclCommGetAsyncError(r->comm, &state) != ncclSuccess) return ncclInternalError;
        if (state == ncclSuccess && gpu.query(r->stream) == CUDA_ERROR_NOT_READY)
            state = ncclInProgress;
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
    return state;
}

static void *on(CUdeviceptr place) {
    return (void *)(uintptr_t)place;
}

static int put(rank *r) {
    for (int i = 0; i < RANKS * COUNT; i++)
        r->host[i] = (float)(i + 10000 * r->rank);
    CHECK(gpu.copy(r->a, (CUdeviceptr)(uintptr_t)r->host, sizeof r->host, NULL) == CUDA_SUCCESS);
    CHECK(gpu.copy(r->b, (CUdeviceptr)(uintptr_t)r->host, sizeof r->host, NULL) == CUDA_SUCCESS);
    return 1;
}

static int get(rank *r, ncclResult_t asked) {
    CHECK(asked == ncclInProgress && settle(r) == ncclSuccess);
    CHECK(gpu.copy((CUdeviceptr)(uintptr_t)r->host, r->b, sizeof r->host, NULL) == CUDA_SUCCESS);
    return 1;
}

static int is(const rank *r, int at, float expected) {
    if (r->host[at] == expected) return 1;
    fprintf(stderr, "rank %d: element %d is %g, not %g\n", r->rank, at, (double)r->host[at],
            (double)expected);
    return 0;
}

static int right(rank *r) {
    const ncclDataType_t f32 = ncclFloat32;
    int me = r->rank;
    CHECK(put(r) && get(r, ncclAllReduce(on(r->a), on(r->b), COUNT, f32, ncclSum, r->comm,
                                         (cudaStream_t)r->stream)));
    CHECK(is(r, 7, 3 * 7 + 30000) && is(r, COUNT, (float)(COUNT + 10000 * me)));
    CHECK(put(r) && get(r, ncclReduceScatter(on(r->a), on(r->b), COUNT, f32, ncclSum, r->comm,
                                             (cudaStream_t)r->stream)));
    CHECK(is(r, 7, (float)(3 * (7 + me * COUNT) + 30000)));
    CHECK(put(r) &&
          get(r, ncclAllGather(on(r->a), on(r->b), COUNT, f32, r->comm, (cudaStream_t)r->stream)));
    CHECK(is(r, 2 * COUNT + 7, 20007) && is(r, 7, 7));
    CHECK(put(r) && get(r, ncclBroadcast(on(r->a), on(r->b), COUNT, f32, 1, r->comm,
                                         (cudaStream_t)r->stream)));
    CHECK(is(r, 9, 10009));
    CHECK(put(r) && get(r, ncclReduce(on(r->a), on(r->b), COUNT, f32, ncclMax, 2, r->comm,
                                      (cudaStream_t)r->stream)));
    CHECK(is(r, 9, me == 2 ? 20009 : (float)(9 + 10000 * me)));
    CHECK(put(r) && ncclGroupStart() == ncclSuccess); /* a ring */
    CHECK(ncclSend(on(r->a), COUNT, f32, (me + 1) % RANKS, r->comm, (cudaStream_t)r->stream) ==
          ncclSuccess);
    CHECK(ncclRecv(on(r->b), COUNT, f32, (me + 2) % RANKS, r->comm, (cudaStream_t)r->stream) ==
          ncclSuccess);
    CHECK(get(r, ncclGroupEnd()) && is(r, 9, (float)(9 + 10000 * ((me + 2) % RANKS))));
    CHECK(ncclCommFinalize(r->comm) == ncclInProgress && settle(r) == ncclSuccess);
    CHECK(ncclCommDestroy(r->comm) == ncclSuccess);
    r->comm = NULL;
    return 1;
}

static int refused(rank *r) {
    const ncclDataType_t f32 = ncclFloat32;
    cudaStream_t s = (cudaStream_t)r->stream;
    CHECK(ncclSend(r->host, 4, f32, 0, r->comm, s) == ncclInvalidArgument);
    CHECK(strstr(ncclGetLastError(NULL), "no device memory"));
    CHECK(ncclRecv(on(r->a), 4, f32, RANKS, r->comm, s) == ncclInvalidArgument);
    CHECK(ncclRecv(on(r->a), 4, (ncclDataType_t)77, 0, r->comm, s) == ncclInvalidArgument);
    CHECK(ncclRecv(on(r->a), (size_t)1 << 40, f32, 0, r->comm, s) == ncclInvalidArgument);
    CHECK(ncclGroupEnd() == ncclInvalidUsage);
    CHECK(ncclGroupStart() == ncclSuccess);
    CHECK(ncclSend(r->host, 4, f32, 0, r->comm, s) == ncclInvalidArgument);
    CHECK(ncclGroupEnd() == ncclInvalidArgument);
    CHECK(settle(r) == ncclSuccess); /* nothing of it was begun */
    return 1;
}

/* What the last rank does differs: all it speaks with hear of it. */
static int mismatch(rank *r, ncclResult_t asked) {
    CHECK(asked == ncclInProgress);
    ncclResult_t state = settle(r);
    CHECK(state == ncclInvalidUsage || state == ncclRemoteError);
    CHECK(gpu.query(r->stream) == CUDA_ERROR_NOT_READY);
    CHECK(ncclSend(on(r->a), 1, ncclChar, 0, r->comm, (cudaStream_t)r->stream) == ncclInvalidUsage);
    return 1;
}

static int other_count(rank *r) {
    return mismatch(r, ncclAllReduce(on(r->a), on(r->b), r->rank == 2 ? 4 : 5, ncclFloat32, ncclSum,
                                     r->comm, (cudaStream_t)r->stream));
}

static int other_type(rank *r) {
    return mismatch(r, ncclAllGather(on(r->a), on(r->b), 4, r->rank == 2 ? ncclInt32 : ncclFloat32,
                                     r->comm, (cudaStream_t)r->stream));
}

static int other_collective(rank *r) {
    cudaStream_t s = (cudaStream_t)r->stream;
    return mismatch(r, r->rank == 2
                           ? ncclAllGather(on(r->a), on(r->b), 4, ncclFloat32, r->comm, s)
                           : ncclBroadcast(on(r->a), on(r->b), 4, ncclFloat32, 0, r->comm, s));
}

static int other_root(rank *r) {
    return mismatch(r, ncclBroadcast(on(r->a), on(r->b), 4, ncclFloat32, r->rank == 2, r->comm,
                                     (cudaStream_t)r->stream));
}

/* Changed before anybody has taken it. */
static int changed(rank *r) {
    cudaStream_t s = (cudaStream_t)r->stream;
    if (r->rank == 2) return 1;
    if (r->rank == 1) {
        nanosleep(&(struct timespec){0, 200000000}, NULL);
        CHECK(ncclRecv(on(r->b), RANKS * COUNT, ncclFloat32, 0, r->comm, s) == ncclInProgress);
        return settle(r) != ncclInProgress;
    }
    CHECK(ncclSend(on(r->a), RANKS * COUNT, ncclFloat32, 1, r->comm, s) == ncclInProgress);
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    r->host[5] = -1;
    CHECK(gpu.copy(r->a, (CUdeviceptr)(uintptr_t)r->host, sizeof r->host, NULL) == CUDA_SUCCESS);
    CHECK(settle(r) == ncclInvalidUsage || settle(r) == ncclRemoteError);
    return 1;
}

/* ---- Running them. */

typedef int work_fn(rank *r);

static int be_rank(int number, int device, ncclUniqueId id, work_fn *work) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    rank *r = calloc(1, sizeof *r);
    CHECK(r && open_gpu(device));
    r->rank = number;
    CHECK(gpu.take(&r->a, sizeof r->host) == CUDA_SUCCESS &&
          gpu.take(&r->b, sizeof r->host) == CUDA_SUCCESS &&
          gpu.stream(&r->stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
    CHECK(ncclCommInitRankConfig(&r->comm, RANKS, id, number, &config) == ncclInvalidUsage);
    config.blocking = 0;
    CHECK(ncclCommInitRankConfig(&r->comm, RANKS, id, number, &config) == ncclInProgress);
    if (!work) {
        CHECK(settle(r) == ncclInvalidUsage);
        CHECK(strstr(ncclGetLastError(r->comm), "Duplicate GPU"));
    } else {
        CHECK(settle(r) == ncclSuccess && put(r) && work(r));
    }
    if (r->comm) CHECK(ncclCommAbort(r->comm) == ncclSuccess);
    CHECK(gpu.query(r->stream) == CUDA_SUCCESS); /* the abort has freed it */
    CHECK(gpu.end_stream(r->stream) == CUDA_SUCCESS && gpu.give_back(r->a) == CUDA_SUCCESS &&
          gpu.give_back(r->b) == CUDA_SUCCESS && gpu.release(device) == CUDA_SUCCESS);
    free(r);
    return 1;
}

static void run(work_fn *work) {
    ncclUniqueId id;
    pid_t children[RANKS];
    int bad = 0;
    assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < RANKS; i++) {
        children[i] = fork();
        if (children[i] == 0) _exit(!be_rank(i, work ? i : 0, id, work));
    }
    for (int i = 0; i < RANKS; i++) {
        int status = 0;
        if (children[i] < 0 || waitpid(children[i], &status, 0) < 0 || status != 0) bad++;
    }
    unlink(id.internal);
    if (bad) fail_msg("%d of %d ranks failed", bad, RANKS);
}

#define TEST(name, work)                    \
    static void test_##name(void **state) { \
        (void)state;                        \
        run(work);                          \
    }
TEST(collectives, right)
TEST(arguments, refused)
TEST(count, other_count)
TEST(type, other_type)
TEST(collective, other_collective)
TEST(root, other_root)
TEST(changed, changed)
TEST(one_gpu, NULL)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collectives), cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_count),       cmocka_unit_test(test_type),
        cmocka_unit_test(test_collective),  cmocka_unit_test(test_root),
        cmocka_unit_test(test_changed),     cmocka_unit_test(test_one_gpu),
    };
    return cmocka_run_group_tests_name("nccl", tests, NULL, NULL);
}
