#include "tests/softgpu/options.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sg_options options;

/* A test must not go on with settings that nobody asked for. */
static void refuse(const char *name, const char *value, const char *wanted) {
    fprintf(stderr, "softgpu: %s=%s is not possible: give %s\n", name, value, wanted);
    fflush(NULL);
    _exit(2);
}

static uint64_t number(const char *name, uint64_t otherwise, uint64_t least, uint64_t most,
                       const char *wanted) {
    const char *value = getenv(name);
    if (!value || !*value) return otherwise;
    char *end;
    errno = 0;
    const unsigned long long n = strtoull(value, &end, 10);
    if (errno || *end || *value < '0' || *value > '9' || n < least || n > most)
        refuse(name, value, wanted);
    return n;
}

static const char *path(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void read_options(void) {
    const char *check = path("SOFTGPU_CHECK");
    options.full = !check || !strcmp(check, "full");
    if (!options.full && strcmp(check, "bounds")) refuse("SOFTGPU_CHECK", check, "bounds or full");
    options.seed = number("SOFTGPU_SEED", 1, 0, UINT64_MAX, "a whole number");
    options.arch = (int)number("SOFTGPU_ARCH", 80, 80, 90, "80 or 90");
    if (options.arch != 80 && options.arch != 90)
        refuse("SOFTGPU_ARCH", getenv("SOFTGPU_ARCH"), "80 or 90");
    options.memory_bytes = number("SOFTGPU_MEMORY_MB", 8192, 1, 1 << 24, "MiB, 1 to 16777216")
                           << 20;
    options.steps = number("SOFTGPU_STEPS", (uint64_t)1 << 33, 1, UINT64_MAX, "a positive number");
    options.resident = (int)number("SOFTGPU_RESIDENT", 8, 1, 1024, "1 to 1024 blocks");
    options.report = path("SOFTGPU_REPORT");
    options.profile = path("SOFTGPU_PROFILE");
    options.expect = number("SOFTGPU_EXPECT", 0, 0, 1, "0 or 1");
}

sg_options *sg_get_options(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_options);
    return &options;
}
