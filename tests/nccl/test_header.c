/* What motet believes of NCCL (train/nccl_library.h) is what nccl.h says; where the real library
 * is, the same calls are linked against it. Nothing of it runs but its version: that needs GPUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <nccl.h>

#include "train/nccl_library.h"

/* A function of NCCL with its types, and the member that holds it: enums are ints, handles are
 * pointers. */
#define IS(member, function, nccl, own)                                                        \
    _Static_assert(__builtin_types_compatible_p(__typeof__(function), __typeof__(nccl)),       \
                   #function " is not what nccl.h declares");                                  \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((motet_nccl_library *)0)->member), \
                                                __typeof__(own) *),                            \
                   #member " is not what it was checked as");

typedef ncclResult_t version_fn(int *);
typedef ncclResult_t id_fn(ncclUniqueId *);
typedef ncclResult_t init_fn(ncclComm_t *, int, ncclUniqueId, int, ncclConfig_t *);
typedef ncclResult_t async_fn(ncclComm_t, ncclResult_t *);
typedef ncclResult_t comm_fn(ncclComm_t);
typedef ncclResult_t group_fn(void);
typedef ncclResult_t send_fn(const void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
typedef ncclResult_t receive_fn(void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
typedef const char *text_fn(ncclResult_t);
typedef const char *last_fn(ncclComm_t);

typedef int own_version_fn(int *);
typedef int own_id_fn(motet_nccl_id *);
typedef int own_init_fn(void **, int, motet_nccl_id, int, motet_nccl_config *);
typedef int own_async_fn(void *, int *);
typedef int own_comm_fn(void *);
typedef int own_group_fn(void);
typedef int own_send_fn(const void *, size_t, int, int, void *, void *);
typedef int own_receive_fn(void *, size_t, int, int, void *, void *);
typedef const char *own_text_fn(int);
typedef const char *own_last_fn(void *);

IS(version, ncclGetVersion, version_fn, own_version_fn)
IS(id, ncclGetUniqueId, id_fn, own_id_fn)
IS(init, ncclCommInitRankConfig, init_fn, own_init_fn)
IS(async_error, ncclCommGetAsyncError, async_fn, own_async_fn)
IS(abort, ncclCommAbort, comm_fn, own_comm_fn)
IS(finalize, ncclCommFinalize, comm_fn, own_comm_fn)
IS(destroy, ncclCommDestroy, comm_fn, own_comm_fn)
IS(group_start, ncclGroupStart, group_fn, own_group_fn)
IS(group_end, ncclGroupEnd, group_fn, own_group_fn)
IS(send, ncclSend, send_fn, own_send_fn)
IS(receive, ncclRecv, receive_fn, own_receive_fn)
IS(error_text, ncclGetErrorString, text_fn, own_text_fn)
IS(last_error, ncclGetLastError, last_fn, own_last_fn)

#define SAME_SIZE(a, b) _Static_assert(sizeof(a) == sizeof(b), #a " has another size than " #b)
SAME_SIZE(ncclResult_t, int);
SAME_SIZE(ncclDataType_t, int);
SAME_SIZE(ncclComm_t, void *);
SAME_SIZE(cudaStream_t, void *);
SAME_SIZE(ncclUniqueId, motet_nccl_id);
_Static_assert(_Alignof(ncclUniqueId) == _Alignof(motet_nccl_id), "the id goes by value");

#define SAME_PLACE(member, own)                                                          \
    _Static_assert(offsetof(ncclConfig_t, member) == offsetof(motet_nccl_config, own) && \
                       sizeof(((ncclConfig_t *)0)->member) ==                            \
                           sizeof(((motet_nccl_config *)0)->own),                        \
                   #member " of the config is elsewhere")
SAME_PLACE(size, size);
SAME_PLACE(magic, magic);
SAME_PLACE(version, version);
SAME_PLACE(blocking, blocking);
SAME_PLACE(cgaClusterSize, cga_cluster_size);
SAME_PLACE(minCTAs, min_ctas);
SAME_PLACE(maxCTAs, max_ctas);
SAME_PLACE(netName, net_name);
SAME_PLACE(splitShare, split_share);

_Static_assert((int)ncclSuccess == MOTET_NCCL_SUCCESS, "success");
_Static_assert((int)ncclRemoteError == MOTET_NCCL_REMOTE_ERROR, "a remote error");
_Static_assert((int)ncclInProgress == MOTET_NCCL_IN_PROGRESS, "in progress");
_Static_assert((int)ncclChar == MOTET_NCCL_CHAR, "bytes");

static void test_header(void **state) {
    (void)state;
    const ncclConfig_t start = NCCL_CONFIG_INITIALIZER;
    assert_int_equal(start.magic, 0xcafebeef);
    assert_int_equal(start.minCTAs, INT32_MIN); /* "NCCL's default" */
    assert_true(start.netName == NULL);
}

static void test_real(void **state) {
    (void)state;
#ifdef NCCL_REAL
    void *const linked[] = {(void *)ncclGetVersion,    (void *)ncclGetUniqueId,
                            (void *)ncclCommAbort,     (void *)ncclCommInitRankConfig,
                            (void *)ncclCommFinalize,  (void *)ncclCommGetAsyncError,
                            (void *)ncclCommDestroy,   (void *)ncclGroupStart,
                            (void *)ncclGroupEnd,      (void *)ncclSend,
                            (void *)ncclRecv,          (void *)ncclGetLastError,
                            (void *)ncclGetErrorString};
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++)
        assert_non_null(linked[i]);
    int version = 0;
    assert_int_equal(ncclGetVersion(&version), ncclSuccess);
    assert_in_range(version, 21800, NCCL_VERSION_CODE + 10000);
#else
    print_message("not run: no libnccl.so to link with\n");
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_header), cmocka_unit_test(test_real)};
    return cmocka_run_group_tests_name("nccl_header", tests, NULL, NULL);
}
