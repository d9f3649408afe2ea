/* Modules and kernels. */
#include <stdlib.h>
#include <string.h>

#include "tests/softgpu/driver.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

/* What a block has without asking, and the most that it can ask for. */
static uint64_t shared_without_asking(void) {
    return 48 << 10;
}
static uint64_t shared_at_most(void) {
    return (sg_get_options()->arch >= 90 ? 227u : 163u) << 10;
}

SG_ENTRY CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    SG_READY;
    if (!module || !image) return CUDA_ERROR_INVALID_VALUE;
    SG_CHECK(sg_not_in_capture());
    char sentence[400] = "";
    sg_loaded *loaded;
    if (!sg_loaded_make(&loaded, image, sentence, sizeof sentence)) {
        sg_report(SG_R_UNKNOWN, NULL, NULL, 0, "cuModuleLoadData: %s", sentence);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    void *handle = sg_handle_make(SG_H_MODULE, loaded);
    if (!handle) {
        sg_loaded_free(loaded);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    sg_the_driver.counts.modules++;
    *module = handle;
    return CUDA_SUCCESS;
}

static void end_function_of(void *handle, void *object, void *module) {
    sg_function_handle *function = object;
    if (function->module != module) return;
    sg_handle_end(handle);
    free(function);
}

SG_ENTRY CUresult cuModuleUnload(CUmodule module) {
    SG_READY;
    sg_loaded *loaded = sg_handle_get(SG_H_MODULE, module, "cuModuleUnload");
    if (!loaded) return CUDA_ERROR_INVALID_HANDLE;
    SG_CHECK(sg_not_in_capture());
    sg_handle_each(SG_H_FUNCTION, end_function_of, module);
    sg_handle_end(module);
    sg_loaded_free(loaded);
    return CUDA_SUCCESS;
}

typedef struct wanted {
    void *module, *handle;
    const sg_kernel *kernel;
} wanted;

static void find_function(void *handle, void *object, void *user) {
    const sg_function_handle *function = object;
    wanted *w = user;
    if (function->module == w->module && function->kernel == w->kernel) w->handle = handle;
}

/* Asking twice gives the same handle, as the driver does. */
SG_ENTRY CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    SG_READY;
    if (!function || !name) return CUDA_ERROR_INVALID_VALUE;
    sg_loaded *loaded = sg_handle_get(SG_H_MODULE, module, "cuModuleGetFunction");
    if (!loaded) return CUDA_ERROR_INVALID_HANDLE;
    sg_kernel *kernel = sg_loaded_kernel(loaded, name);
    if (!kernel) return CUDA_ERROR_NOT_FOUND;
    wanted known = {.module = module, .kernel = kernel};
    sg_handle_each(SG_H_FUNCTION, find_function, &known);
    if (!known.handle) {
        sg_function_handle *made = malloc(sizeof *made);
        if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
        const uint64_t used = sg_kernel_function(kernel)->shared_bytes;
        const uint64_t left = shared_without_asking() > used ? shared_without_asking() - used : 0;
        *made = (sg_function_handle){
            .module = module, .kernel = kernel, .shared_allowed = (uint32_t)left};
        known.handle = sg_handle_make(SG_H_FUNCTION, made);
        if (!known.handle) {
            free(made);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    *function = known.handle;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
    SG_READY;
    sg_function_handle *function = sg_handle_get(SG_H_FUNCTION, handle, "cuFuncSetAttribute");
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0)
        return CUDA_ERROR_INVALID_VALUE;
    const uint64_t used = sg_kernel_function(function->kernel)->shared_bytes;
    if (used + (uint64_t)value > shared_at_most()) return CUDA_ERROR_INVALID_VALUE;
    function->shared_allowed = (uint32_t)value;
    return CUDA_SUCCESS;
}

CUresult sg_kernel_node(sg_node *node, CUfunction handle, const uint32_t blocks[3],
                        const uint32_t threads[3], uint32_t shared_bytes, void **params,
                        const char *call) {
    const sg_function_handle *function = sg_handle_get(SG_H_FUNCTION, handle, call);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    const sg_function *f = sg_kernel_function(function->kernel);
    if (shared_bytes > function->shared_allowed) {
        sg_report(SG_R_LAUNCH, NULL, NULL, 0,
                  "%s is launched with %u bytes of dynamic shared memory, %u were allowed", f->name,
                  shared_bytes, function->shared_allowed);
        return CUDA_ERROR_INVALID_VALUE;
    }
    const uint64_t block_threads = (uint64_t)threads[0] * threads[1] * threads[2];
    if (block_threads == 0 || block_threads > 1024 || threads[2] > 64 || blocks[0] == 0 ||
        blocks[1] == 0 || blocks[2] == 0 || blocks[0] > 0x7fffffffu || blocks[1] > 65535 ||
        blocks[2] > 65535) {
        sg_report(SG_R_LAUNCH, NULL, NULL, 0,
                  "%s is launched with %u x %u x %u blocks of %u x %u x %u threads", f->name,
                  blocks[0], blocks[1], blocks[2], threads[0], threads[1], threads[2]);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (f->param_count > 0 && !params) return CUDA_ERROR_INVALID_VALUE;
    *node = (sg_node){.kind = SG_NODE_KERNEL, .function = handle, .shared_bytes = shared_bytes};
    memcpy(node->blocks, blocks, sizeof node->blocks);
    memcpy(node->threads, threads, sizeof node->threads);
    node->params = calloc(1, f->param_bytes ? f->param_bytes : 1);
    if (!node->params) return CUDA_ERROR_OUT_OF_MEMORY;
    for (int i = 0; i < f->param_count; i++)
        memcpy(node->params + f->symbols[i].offset, params[i], f->symbols[i].bytes);
    return CUDA_SUCCESS;
}
