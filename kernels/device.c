#include "kernels/device.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/core/log.h"
#include "kernels/cuda/plugin.h"

#define PLUGIN "libmotet_cuda.so"

static motet_status host_fail(motet_status code, const char *file, int line, const char *sentence) {
    return motet_fail(code, file, line, "%s", sentence);
}

static motet_status host_fail_prefix(motet_status code, const char *prefix) {
    return motet_fail_prefix(code, "%s", prefix);
}

static void host_log(motet_log_level level, const char *line) {
    motet_log(level, "%s", line);
}

static motet_cuda_host host = {
    .abi = MOTET_CUDA_ABI,
    .fail = host_fail,
    .backend_bytes = sizeof(motet_backend),
    .fail_prefix = host_fail_prefix,
    .error = motet_error,
    .error_where = motet_error_where,
    .log = host_log,
};

/* The folder of the running program, with its slash; "" if the system does not tell. */
static void program_folder(char folder[PATH_MAX]) {
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    folder[slash ? slash - folder + 1 : 0] = 0;
}

static void *load(const char *path) {
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* A file that is there but cannot be loaded is the answer, not a reason to look further. */
static motet_status find_plugin(void **plugin) {
    char folder[PATH_MAX], path[PATH_MAX + 64];
    const char *named = secure_getenv("MOTET_CUDA_PLUGIN"); /* NOLINT: documented in device.h */
    static const char *const below[] = {PLUGIN, "../lib/motet/" PLUGIN};
    *plugin = NULL;
    program_folder(folder);
    if (named) {
        *plugin = load(named);
    } else {
        for (int i = 0; i < 2 && folder[0]; i++) {
            snprintf(path, sizeof path, "%s%s", folder, below[i]);
            if (access(path, F_OK) != 0) continue;
            *plugin = load(path);
            named = path;
            break;
        }
    }
    if (!named) *plugin = load(PLUGIN);
    if (*plugin) return MOTET_OK;
    const char *why = dlerror();
    if (named)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "cannot load the CUDA back-end: %s",
                          why ? why : named);
    return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                      "there is no CUDA back-end: " PLUGIN
                      " is neither beside the program nor in ../lib/motet (%s)",
                      why ? why : "not found");
}

static motet_status open_cuda(const motet_backend **backend, int ordinal) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static motet_cuda_open_fn *plugin_open;
    motet_status status = MOTET_OK;
    pthread_mutex_lock(&lock);
    if (!plugin_open) {
        void *plugin = NULL;
        status = find_plugin(&plugin);
        if (status == MOTET_OK) {
            void *symbol = dlsym(plugin, MOTET_CUDA_OPEN);
            if (symbol)
                memcpy(&plugin_open, &symbol, sizeof symbol); /* POSIX: the two have one size */
            else
                status = MOTET_FAIL(MOTET_E_UNSUPPORTED, "%s is not motet's: it has no %s", PLUGIN,
                                    MOTET_CUDA_OPEN);
            if (!symbol) dlclose(plugin);
        }
    }
    if (status == MOTET_OK) {
        host.driver = secure_getenv("MOTET_CUDA_DRIVER"); /* NOLINT: documented in device.h */
        status = plugin_open(backend, ordinal, &host);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

/* "cuda" or "cuda:N", N without sign, spaces, or leading zeros. */
static int cuda_ordinal(const char *device) {
    if (strcmp(device, "cuda") == 0) return 0;
    if (strncmp(device, "cuda:", 5) != 0) return -1;
    const char *digits = device + 5;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 4 || digits[count] || (digits[0] == '0' && count > 1)) return -1;
    return (int)strtol(digits, NULL, 10);
}

motet_status motet_device_open(const motet_backend **backend, const char *device) {
    const int automatic = strcmp(device, "auto") == 0;
    const int ordinal = automatic ? 0 : cuda_ordinal(device);
    *backend = NULL;
    if (!automatic && ordinal < 0 && strcmp(device, "cpu") != 0)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "'%.64s' is no device: write auto, cpu, cuda, or cuda:N (N from 0)",
                          device);
    if (ordinal >= 0) {
        motet_status status = open_cuda(backend, ordinal);
        if (status == MOTET_OK || !automatic) return status;
        /* Nothing there is how most machines are; something that does not work is worth a warning.
         */
        motet_log(status == MOTET_E_UNSUPPORTED ? MOTET_LOG_INFO : MOTET_LOG_WARN,
                  "running on the CPU: %s", motet_error());
    }
    *backend = motet_backend_cpu();
    return MOTET_OK;
}
