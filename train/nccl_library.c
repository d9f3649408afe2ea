#include "train/nccl_library.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { OLDEST = 21800 };

static motet_status open_library(void **handle, const char *variable, const char *name) {
    const char *named = secure_getenv(variable); /* NOLINT: documented in the headers */
    *handle = dlopen(named ? named : name, RTLD_NOW | RTLD_LOCAL);
    if (*handle) return MOTET_OK;
    const char *why = dlerror();
    return MOTET_FAIL(MOTET_E_UNSUPPORTED, "NCCL cannot be used: %s", why ? why : name);
}

typedef struct entry {
    const char *name;
    void *function; /* where its address goes */
} entry;

static motet_status look_up(void *handle, const entry *entries, int count) {
    for (int i = 0; i < count; i++) {
        void *symbol = dlsym(handle, entries[i].name);
        if (!symbol)
            return MOTET_FAIL(MOTET_E_UNSUPPORTED, "NCCL cannot be used: there is no %s",
                              entries[i].name);
        memcpy(entries[i].function, &symbol, sizeof symbol); /* POSIX: the two have one size */
    }
    return MOTET_OK;
}

static motet_status load(motet_nccl_library *l) {
    void *nccl, *driver;
    MOTET_TRY(open_library(&nccl, "MOTET_NCCL", "libnccl.so.2"));
    const entry entries[] = {
        {"ncclGetVersion", &l->version},
        {"ncclGetUniqueId", &l->id},
        {"ncclCommInitRankConfig", &l->init},
        {"ncclCommGetAsyncError", &l->async_error},
        {"ncclCommAbort", &l->abort},
        {"ncclCommFinalize", &l->finalize},
        {"ncclCommDestroy", &l->destroy},
        {"ncclGroupStart", &l->group_start},
        {"ncclGroupEnd", &l->group_end},
        {"ncclSend", &l->send},
        {"ncclRecv", &l->receive},
        {"ncclGetErrorString", &l->error_text},
        {"ncclGetLastError", &l->last_error},
    };
    MOTET_TRY(look_up(nccl, entries, (int)(sizeof entries / sizeof *entries)));
    int version = 0;
    if (l->version(&version) != MOTET_NCCL_SUCCESS || version < OLDEST)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "NCCL is version %d.%d, at least %d.%d is needed",
                          version / 10000, version / 100 % 100, OLDEST / 10000, OLDEST / 100 % 100);
    MOTET_TRY(open_library(&driver, "MOTET_CUDA_DRIVER", "libcuda.so.1"));
    const entry calls[] = {
        {"cuStreamCreate", &l->stream_create},
        {"cuStreamQuery", &l->stream_query},
        {"cuStreamDestroy_v2", &l->stream_destroy},
    };
    return look_up(driver, calls, 3);
}

motet_status motet_nccl_library_open(const motet_nccl_library **library) {
    static motet_nccl_library loaded;
    static int there;
    if (!there) {
        MOTET_TRY(load(&loaded));
        there = 1;
    }
    *library = &loaded;
    return MOTET_OK;
}
