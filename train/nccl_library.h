/* nccl_library: the functions of libnccl.so.2 and of the CUDA driver that the transport calls,
 * looked up at run time. Written from the documented API (docs.nvidia.com/deeplearning/nccl); no
 * header of either is needed to build.
 */
#ifndef MOTET_NCCL_LIBRARY_H
#define MOTET_NCCL_LIBRARY_H

#include <stddef.h>

#include "kernels/core/status.h"

enum {
    MOTET_NCCL_SUCCESS = 0,
    MOTET_NCCL_REMOTE_ERROR = 6,
    MOTET_NCCL_IN_PROGRESS = 7,
    MOTET_NCCL_CHAR = 0
};
enum { MOTET_CUDA_SUCCESS = 0, MOTET_CUDA_NOT_READY = 600, MOTET_CUDA_NON_BLOCKING = 1 };

typedef struct motet_nccl_id {
    char bytes[128];
} motet_nccl_id;

/* ncclConfig_t up to where version 2.18 ended; NCCL reads `size` bytes of it and takes its defaults
 * for what is newer. */
typedef struct motet_nccl_config {
    size_t size;
    unsigned magic, version;
    int blocking;
    int cga_cluster_size, min_ctas, max_ctas; /* INT_MIN: NCCL's default */
    const char *net_name;
    int split_share;
} motet_nccl_config;

typedef struct motet_nccl_library {
    int (*version)(int *version);
    int (*id)(motet_nccl_id *id);
    int (*init)(void **comm, int ranks, motet_nccl_id id, int rank, motet_nccl_config *config);
    int (*async_error)(void *comm, int *result);
    int (*abort)(void *comm);
    int (*finalize)(void *comm);
    int (*destroy)(void *comm);
    int (*group_start)(void);
    int (*group_end)(void);
    int (*send)(const void *data, size_t count, int type, int peer, void *comm, void *stream);
    int (*receive)(void *data, size_t count, int type, int peer, void *comm, void *stream);
    const char *(*error_text)(int result);
    const char *(*last_error)(void *comm);
    int (*stream_create)(void **stream, unsigned flags);
    int (*stream_query)(void *stream);
    int (*stream_destroy)(void *stream);
} motet_nccl_library;

/* Opens both libraries once. MOTET_E_UNSUPPORTED: not there, too old, or without a function. */
motet_status motet_nccl_library_open(const motet_nccl_library **library);

#endif
