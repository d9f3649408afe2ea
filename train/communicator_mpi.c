#include "train/communicator_mpi.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN "libmotet_mpi.so"

static motet_status host_fail(motet_status code, const char *file, int line, const char *sentence) {
    return motet_fail(code, file, line, "%s", sentence);
}
static const motet_mpi_host host = {MOTET_MPI_ABI, host_fail};

/* Open MPI's own plug-ins expect its symbols to be global. */
static void *load(const char *path) {
    return dlopen(path, RTLD_NOW | RTLD_GLOBAL);
}

static void *find_plugin(void) {
    char folder[PATH_MAX], path[PATH_MAX + 64];
    const char *named = secure_getenv("MOTET_MPI_PLUGIN"); /* NOLINT: documented in the header */
    if (named) return load(named);
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    folder[slash ? slash - folder + 1 : 0] = 0;
    static const char *const below[] = {PLUGIN, "../lib/motet/" PLUGIN};
    for (int i = 0; i < 2 && *folder; i++) {
        snprintf(path, sizeof path, "%s%s", folder, below[i]);
        if (access(path, F_OK) == 0) return load(path);
    }
    return load(PLUGIN);
}

motet_status motet_mpi_session_open(motet_mpi_session *session) {
    void *plugin = find_plugin();
    if (!plugin) {
        const char *why = dlerror();
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "several ranks need MPI, and its plug-in cannot be opened: %s",
                          why ? why : PLUGIN);
    }
    void *symbol = dlsym(plugin, MOTET_MPI_OPEN);
    if (!symbol)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "%s is not motet's: it has no %s", PLUGIN,
                          MOTET_MPI_OPEN);
    motet_mpi_open_fn *open;
    memcpy(&open, &symbol, sizeof symbol); /* POSIX: the two have one size */
    return open(session, &host);
}

motet_status motet_communicator_mpi_open(motet_communicator **communicator,
                                         const motet_backend *backend, int rank, int ranks) {
    motet_mpi_session s;
    *communicator = NULL;
    MOTET_TRY(motet_mpi_session_open(&s));
    if (s.rank != rank || s.ranks != ranks) {
        s.transport->close(s.link, 0);
        return MOTET_FAIL(
            MOTET_E_USAGE,
            "MPI says rank %d of %d, the launcher's variables say rank %d of %d: "
            "were mpirun and another launcher mixed, or is this another MPI's mpirun?",
            s.rank, s.ranks, rank, ranks);
    }
    return motet_communicator_make(communicator, s.transport, s.link, backend, rank, ranks, 0);
}
