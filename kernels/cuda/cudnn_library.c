#include "kernels/cuda/cudnn_library.h"

#if HAS_CUDNN

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

enum { LEAST_VERSION = 90500 }; /* log-sum-exps of packed sequences */

motet_cudnn_table motet_cudnn;

static motet_status load(void *library, const char *name) {
#define X(call)                                                           \
    motet_cudnn.call = (__typeof__(&call))dlsym(library, #call);          \
    if (!motet_cudnn.call)                                                \
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,                            \
                          "%s has no %s: install cuDNN 9.5 or newer, or " \
                          "unset MOTET_CUDA_ATTENTION",                   \
                          name, #call);
    MOTET_CUDNN_CALLS(X)
#undef X
    const size_t version = motet_cudnn.cudnnGetVersion();
    if (version < LEAST_VERSION)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "%s is cuDNN %zu.%zu.%zu: install 9.5 or newer, or unset "
                          "MOTET_CUDA_ATTENTION",
                          name, version / 10000, version / 100 % 100, version % 100);
    return MOTET_OK;
}

motet_status motet_cudnn_open(const char *name) {
    static bool opened;
    if (opened) return MOTET_OK;
    if (!name) name = "libcudnn.so.9";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return MOTET_FAIL(
            MOTET_E_UNSUPPORTED,
            "MOTET_CUDA_ATTENTION=cudnn, but cuDNN is not there (%s): install cuDNN 9, "
            "or unset MOTET_CUDA_ATTENTION",
            dlerror());
    const motet_status status = load(library, name);
    if (status != MOTET_OK)
        dlclose(library);
    else
        opened = true; /* for good: the library may have threads of its own */
    return status;
}

motet_status motet_cudnn_fail(cudnnStatus_t status, const char *purpose) {
    char words[512] = "";
    const size_t version = motet_cudnn.cudnnGetVersion();
    motet_cudnn.cudnnGetLastErrorString(words, sizeof words);
    words[sizeof words - 1] = 0;
    words[strcspn(words, "\n")] = 0;
    return MOTET_FAIL(MOTET_E_UNSUPPORTED, "cuDNN %zu.%zu.%zu while %s: %s (%s)", version / 10000,
                      version / 100 % 100, version % 100, purpose,
                      motet_cudnn.cudnnGetErrorString(status), words);
}

#else

typedef int motet_cudnn_is_not_built; /* a translation unit is never empty */

#endif
