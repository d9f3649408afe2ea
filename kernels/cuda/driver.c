#include "kernels/cuda/driver.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

motet_driver_table motet_driver;

#define SPELLED(name) #name
#define EXPANDED(name) SPELLED(name)

static const struct entry {
    const char *name;
    size_t offset;
} entries[] = {
#define X(call) {EXPANDED(call), offsetof(motet_driver_table, call)},
    MOTET_DRIVER_CALLS(X)
#undef X
};
enum { ENTRIES = sizeof entries / sizeof *entries };

/* Fatbins of one major version of CUDA run on any driver of that major version. */
enum { OLDEST = CUDA_VERSION / 1000 * 1000 };

/* NULL, or the first name that is missing. Both kinds of pointer have one size in POSIX. */
static const char *fill(motet_driver_table *table, void *library) {
    const char *missing = NULL;
    for (int i = 0; i < ENTRIES; i++) {
        void *symbol = dlsym(library, entries[i].name);
        memcpy((unsigned char *)table + entries[i].offset, &symbol, sizeof symbol);
        if (!symbol && !missing) missing = entries[i].name;
    }
    return missing;
}

static motet_status start(const motet_driver_table *table, const char *name, const char *missing) {
    int version = 0;
    if (!table->cuDriverGetVersion || !table->cuInit)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "%s is no CUDA driver: it has no %s", name, missing);
    CUresult result = table->cuDriverGetVersion(&version);
    if (result == CUDA_SUCCESS && version < OLDEST)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "the NVIDIA driver is too old: it supports CUDA %d.%d, motet needs %d.%d "
                          "or newer; update the driver",
                          version / 1000, version % 1000 / 10, OLDEST / 1000, OLDEST % 1000 / 10);
    if (missing)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "the NVIDIA driver %s has no %s; update the driver",
                          name, missing);
    motet_driver = *table;
    result = table->cuInit(0);
    if (result == CUDA_ERROR_NO_DEVICE)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "the NVIDIA driver finds no CUDA device");
    if (result != CUDA_SUCCESS)
        return motet_driver_fail(result, __FILE__, __LINE__, "cuInit", "starting the driver");
    return MOTET_OK;
}

motet_status motet_driver_open(const char *library) {
    const char *name = library ? library : "libcuda.so.1";
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "there is no NVIDIA driver: %s", why ? why : name);
    }
    motet_driver_table table;
    const char *missing = fill(&table, handle);
    motet_status status = start(&table, name, missing);
    /* One that started stays: what it set up for the end of the process is in it. */
    if (status != MOTET_OK && !motet_driver.cuInit) dlclose(handle);
    return status;
}

static motet_status status_of(CUresult result) {
    switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY:
        return MOTET_E_MEMORY;
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_INVALID_DEVICE:
    case CUDA_ERROR_STUB_LIBRARY:
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_DEVICE_NOT_LICENSED:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
    case CUDA_ERROR_JIT_COMPILATION_DISABLED:
    case CUDA_ERROR_NOT_SUPPORTED:
    case CUDA_ERROR_NOT_FOUND:
    case CUDA_ERROR_SYSTEM_NOT_READY:
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
        return MOTET_E_UNSUPPORTED;
    default:
        return MOTET_E_IO;
    }
}

motet_status motet_driver_fail(CUresult result, const char *file, int line, const char *call,
                               const char *purpose, ...) {
    char what[256];
    va_list arguments;
    va_start(arguments, purpose);
    vsnprintf(what, sizeof what, purpose, arguments);
    va_end(arguments);
    const char *name = NULL, *description = NULL;
    if (motet_driver.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name) name = "unknown error";
    if (motet_driver.cuGetErrorString(result, &description) != CUDA_SUCCESS || !description)
        description = "the driver does not say more";
    return motet_fail(status_of(result), file, line, "%s failed while %s: %s (%d), %s", call, what,
                      name, (int)result, description);
}
