/* options: the environment variables that steer softgpu, read once.
 *
 *   SOFTGPU_CHECK=bounds|full   full: also races, unwritten bytes, asynchronous order (default
 * full) SOFTGPU_SEED=N              the order in which warps and blocks run (default 1)
 *   SOFTGPU_ARCH=80|90          the device it pretends to be (default 80)
 *   SOFTGPU_MEMORY_MB=N         how much device memory there is (default 8192)
 *   SOFTGPU_RESIDENT=N          blocks alive at once (default 8)
 *   SOFTGPU_STEPS=N             instructions a warp may run in one launch (default 2^33)
 *   SOFTGPU_REPORT=FILE         reports as JSON lines, besides stderr
 *   SOFTGPU_PROFILE=FILE        counters as JSON lines at exit
 *   SOFTGPU_EXPECT=1            reports do not change the exit status
 */
#ifndef SOFTGPU_OPTIONS_H
#define SOFTGPU_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sg_options {
    bool full;
    uint64_t seed;
    int arch;
    uint64_t memory_bytes, steps;
    int resident;
    const char *report, *profile;
    bool expect;
} sg_options;

/* Wrong values: a sentence on stderr and exit status 2, since this is a test tool. */
sg_options *sg_get_options(void);

#endif
