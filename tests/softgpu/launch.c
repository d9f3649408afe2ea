#include "tests/softgpu/launch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/counters.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

struct sg_kernel {
    const sg_loaded *loaded;
    const sg_function *function;
    sg_program *program; /* NULL until the first launch */
};

struct sg_loaded {
    sg_module *module;
    sg_kernel *kernels; /* one for each function */
    int taken;          /* symbols that have memory: the first ones */
};

/* Every variable is a block of its own, so that running past the end of one is seen; its offset
 * becomes its address, and programs are made with a base of zero. */
static bool take_symbols(sg_loaded *loaded, char *sentence, size_t room) {
    sg_module *m = loaded->module;
    for (int i = 0; i < m->symbol_count; i++) {
        sg_symbol *s = &m->symbols[i];
        uint64_t address;
        if (!sg_memory_take(&address, s->bytes, s->name)) {
            snprintf(sentence, room, "there is no device memory for variable '%s' of %llu bytes",
                     s->name, (unsigned long long)s->bytes);
            return false;
        }
        loaded->taken = i + 1;
        s->offset = address;
    }
    for (int i = 0; i < m->relocation_count; i++) {
        const sg_relocation *r = &m->relocations[i];
        const uint64_t value = m->symbols[r->target].offset + (uint64_t)r->addend;
        memcpy(m->symbols[r->symbol].init + r->offset, &value, sizeof value);
    }
    for (int i = 0; i < m->symbol_count; i++) {
        const sg_symbol *s = &m->symbols[i];
        unsigned char *host = sg_memory_host(s->offset, s->bytes, true);
        if (s->init)
            memcpy(host, s->init, s->bytes);
        else
            memset(host, 0, s->bytes);
    }
    return true;
}

bool sg_loaded_make(sg_loaded **made, const void *image, char *sentence, size_t room) {
    *made = NULL;
    char *text;
    if (!sg_image_ptx(&text, image, sg_get_options()->arch, sentence, room)) return false;
    sg_loaded *loaded = calloc(1, sizeof *loaded);
    bool ok = loaded != NULL;
    if (!ok) snprintf(sentence, room, "there is no memory for the module");
    ok = ok && sg_module_parse(&loaded->module, text, sentence, room);
    free(text);
    if (ok && !(loaded->kernels =
                    calloc((size_t)loaded->module->function_count + 1, sizeof *loaded->kernels))) {
        snprintf(sentence, room, "there is no memory for the module");
        ok = false;
    }
    ok = ok && take_symbols(loaded, sentence, room);
    if (!ok) {
        sg_loaded_free(loaded);
        return false;
    }
    for (int i = 0; i < loaded->module->function_count; i++)
        loaded->kernels[i] =
            (sg_kernel){.loaded = loaded, .function = &loaded->module->functions[i]};
    *made = loaded;
    return true;
}

void sg_loaded_free(sg_loaded *loaded) {
    if (!loaded) return;
    for (int i = 0; loaded->kernels && i < loaded->module->function_count; i++)
        sg_program_free(loaded->kernels[i].program);
    for (int i = 0; i < loaded->taken; i++)
        sg_memory_give_back(loaded->module->symbols[i].offset);
    free(loaded->kernels);
    sg_module_free(loaded->module);
    free(loaded);
}

sg_kernel *sg_loaded_kernel(sg_loaded *loaded, const char *name) {
    for (int i = 0; i < loaded->module->function_count; i++)
        if (loaded->module->functions[i].entry && !strcmp(loaded->module->functions[i].name, name))
            return &loaded->kernels[i];
    return NULL;
}

bool sg_loaded_global(uint64_t *address, uint64_t *bytes, sg_loaded *loaded, const char *name) {
    for (int i = 0; i < loaded->module->symbol_count; i++) {
        const sg_symbol *s = &loaded->module->symbols[i];
        if (strcmp(s->name, name)) continue;
        *address = s->offset;
        *bytes = s->bytes;
        return true;
    }
    return false;
}

const sg_function *sg_kernel_function(const sg_kernel *kernel) {
    return kernel->function;
}

/* ---- Launch. */

static bool make_program(sg_kernel *kernel) {
    if (kernel->program) return true;
    char sentence[400];
    const sg_module *module = kernel->loaded->module;
    if (sg_program_make(&kernel->program, module, kernel->function, 0, 0, sentence,
                        sizeof sentence))
        return true;
    const sg_place *place = sg_program_refusal();
    sg_report_at(place ? SG_R_UNKNOWN : SG_R_LAUNCH, module,
                 place ? place : &kernel->function->instructions[0].place, "kernel %s: %s",
                 kernel->function->name, sentence);
    return false;
}

static bool limit(const sg_kernel *kernel, const char *what, uint64_t is, uint64_t most) {
    if (is <= most) return true;
    sg_report_at(SG_R_LAUNCH, kernel->loaded->module, &kernel->function->instructions[0].place,
                 "kernel %s: %s is %llu, the limit is %llu", kernel->function->name, what,
                 (unsigned long long)is, (unsigned long long)most);
    return false;
}

static bool within_limits(const sg_kernel *kernel, const uint32_t blocks[3],
                          const uint32_t threads[3], uint64_t dynamic_shared) {
    const sg_function *f = kernel->function;
    for (int i = 0; i < 3; i++)
        if (!blocks[i] || !threads[i])
            return limit(kernel, "a size of grid and block that is zero", 1, 0);
    if (!limit(kernel, "grid x", blocks[0], INT32_MAX) ||
        !limit(kernel, "grid y", blocks[1], 65535) || !limit(kernel, "grid z", blocks[2], 65535) ||
        !limit(kernel, "block x", threads[0], 1024) ||
        !limit(kernel, "block y", threads[1], 1024) || !limit(kernel, "block z", threads[2], 64))
        return false;
    const uint64_t count = (uint64_t)threads[0] * threads[1] * threads[2];
    if (!limit(kernel, "the number of threads of a block", count, 1024)) return false;
    const int *most = f->max_threads, *required = f->required_threads;
    if (most[0] && !limit(kernel, "the number of threads of a block (launch bounds)", count,
                          (uint64_t)most[0] * (uint64_t)most[1] * (uint64_t)most[2]))
        return false;
    for (int i = 0; required[0] && i < 3; i++)
        if (threads[i] != (uint32_t)required[i])
            return limit(kernel, "a block size other than .reqntid", threads[i],
                         threads[i] > (uint32_t)required[i] ? (uint64_t)required[i]
                                                            : (uint64_t)threads[i] - 1);
    if (dynamic_shared > (uint64_t)1 << 32) dynamic_shared = (uint64_t)1 << 32;
    return limit(kernel, "shared memory of a block", f->shared_bytes + dynamic_shared,
                 (sg_get_options()->arch >= 90 ? 227u : 163u) << 10);
}

static bool launch(sg_kernel *kernel, const uint32_t blocks[3], const uint32_t threads[3],
                   uint64_t dynamic_shared, const void *params, bool together) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t launches;
    pthread_mutex_lock(&lock); /* one launch at a time, whatever the number of streams */
    bool ok = within_limits(kernel, blocks, threads, dynamic_shared) && make_program(kernel);
    if (ok) {
        sg_grid grid = {
            .program = kernel->program,
            .dynamic_shared = dynamic_shared,
            .params = params,
            .launch = ++launches,
            .together = together,
            .counters = sg_counters_of(kernel->function->name, blocks, threads, dynamic_shared),
        };
        memcpy(grid.blocks, blocks, sizeof grid.blocks);
        memcpy(grid.threads, threads, sizeof grid.threads);
        const uint64_t block_count = (uint64_t)blocks[0] * blocks[1] * blocks[2];
        const uint64_t warps = ((uint64_t)threads[0] * threads[1] * threads[2] + 31) / 32;
        grid.counters->launches++;
        grid.counters->blocks += block_count;
        grid.counters->warps += block_count * warps;
        ok = sg_run(&grid);
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

bool sg_kernel_launch(sg_kernel *kernel, const uint32_t blocks[3], const uint32_t threads[3],
                      uint64_t dynamic_shared, const void *params) {
    return launch(kernel, blocks, threads, dynamic_shared, params, false);
}

bool sg_kernel_launch_together(sg_kernel *kernel, const uint32_t blocks[3],
                               const uint32_t threads[3], uint64_t dynamic_shared,
                               const void *params) {
    return launch(kernel, blocks, threads, dynamic_shared, params, true);
}
