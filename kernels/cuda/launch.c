#include "kernels/cuda/launch.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/driver.h"

/* Modules and kernels are static tables of the launchers that remember what they were loaded as;
 * when the device is closed they have to forget. */
static motet_cuda_module **modules;
static motet_cuda_kernel **kernels;
static int module_count, kernel_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static motet_status remember(void *list, int *count, void *entry) {
    void ***entries = list;
    if ((*count & (*count - 1)) == 0) { /* a power of two is full */
        size_t room = *count ? 2 * (size_t)*count : 1;
        void **more = realloc(*entries, room * sizeof *more);
        if (!more) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a list of %zu kernels", room);
        *entries = more;
    }
    (*entries)[(*count)++] = entry;
    return MOTET_OK;
}

static motet_status load(motet_cuda_module *module) {
    CUmodule handle;
    MOTET_TRY(remember(&modules, &module_count, module));
    CUresult result = motet_driver.cuModuleLoadData(&handle, module->image);
    if (result == CUDA_SUCCESS) {
        module->handle = handle;
        return MOTET_OK;
    }
    module_count--;
    return motet_driver_fail(result, __FILE__, __LINE__, "cuModuleLoadData",
                             "loading the kernels of %s", module->noun);
}

static motet_status find(motet_cuda_kernel *kernel) {
    if (!kernel->module->handle) MOTET_TRY(load(kernel->module));
    CUfunction function;
    MOTET_DRIVE(cuModuleGetFunction, (&function, kernel->module->handle, kernel->name),
                "looking for the kernel %s of %s", kernel->name, kernel->module->noun);
    MOTET_TRY(remember(&kernels, &kernel_count, kernel));
    kernel->shared_bytes = 0;
    __atomic_store_n(&kernel->function, (void *)function, __ATOMIC_RELEASE);
    return MOTET_OK;
}

/* More dynamic shared memory than a block has without asking must be asked for. */
static motet_status allow(motet_cuda_kernel *kernel, size_t bytes) {
    if (bytes <= kernel->shared_bytes) return MOTET_OK;
    MOTET_DRIVE(cuFuncSetAttribute,
                (kernel->function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)bytes),
                "allowing %s %zu bytes of shared memory", kernel->name, bytes);
    __atomic_store_n(&kernel->shared_bytes, bytes, __ATOMIC_RELEASE);
    return MOTET_OK;
}

static motet_status ready(motet_cuda_kernel *kernel, size_t shared_bytes) {
    if (__atomic_load_n(&kernel->function, __ATOMIC_ACQUIRE) &&
        shared_bytes <= __atomic_load_n(&kernel->shared_bytes, __ATOMIC_ACQUIRE))
        return MOTET_OK;
    pthread_mutex_lock(&lock);
    motet_status status = kernel->function ? MOTET_OK : find(kernel);
    if (status == MOTET_OK) status = allow(kernel, shared_bytes);
    pthread_mutex_unlock(&lock);
    return status;
}

void motet_cuda_unload_all(void) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < kernel_count; i++)
        kernels[i]->function = NULL, kernels[i]->shared_bytes = 0;
    for (int i = 0; i < module_count; i++) {
        (void)motet_driver.cuModuleUnload(modules[i]->handle);
        modules[i]->handle = NULL;
    }
    free(kernels);
    free(modules);
    kernels = NULL, modules = NULL;
    kernel_count = module_count = 0;
    pthread_mutex_unlock(&lock);
}

static motet_status launch(motet_cuda_kernel *kernel, motet_cuda_grid grid, int threads,
                           size_t shared_bytes, void **arguments, CUlaunchAttribute *attribute) {
    const motet_cuda_device *device = motet_cuda_get_device();
    if (!device) return MOTET_FAIL(MOTET_E_USAGE, "the CUDA device is closed already");
    if (grid.x < 0 || grid.y < 0 || grid.z < 0 || grid.x > INT_MAX || grid.y > 65535 ||
        grid.z > 65535)
        return MOTET_FAIL(MOTET_E_USAGE, "%s wants a grid of %lld x %lld x %lld blocks",
                          kernel->name, (long long)grid.x, (long long)grid.y, (long long)grid.z);
    if (threads < 1 || threads > 1024)
        return MOTET_FAIL(MOTET_E_USAGE, "%s wants blocks of %d threads", kernel->name, threads);
    if (shared_bytes > device->limits.shared_bytes)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "%s wants %zu bytes of shared memory, a block of %s has %zu",
                          kernel->name, shared_bytes, device->name, device->limits.shared_bytes);
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return MOTET_OK;
    MOTET_TRY(motet_cuda_enter());
    MOTET_TRY(ready(kernel, shared_bytes));
    if (attribute) {
        const CUlaunchConfig config = {.gridDimX = (unsigned)grid.x,
                                       .gridDimY = (unsigned)grid.y,
                                       .gridDimZ = (unsigned)grid.z,
                                       .blockDimX = (unsigned)threads,
                                       .blockDimY = 1,
                                       .blockDimZ = 1,
                                       .sharedMemBytes = (unsigned)shared_bytes,
                                       .hStream = motet_cuda_stream(),
                                       .attrs = attribute,
                                       .numAttrs = 1};
        MOTET_DRIVE(cuLaunchKernelEx, (&config, kernel->function, arguments, NULL), "launching %s",
                    kernel->name);
        return MOTET_OK;
    }
    MOTET_DRIVE(cuLaunchKernel,
                (kernel->function, (unsigned)grid.x, (unsigned)grid.y, (unsigned)grid.z,
                 (unsigned)threads, 1, 1, (unsigned)shared_bytes, motet_cuda_stream(), arguments,
                 NULL),
                "launching %s", kernel->name);
    return MOTET_OK;
}

motet_status motet_cuda_launch(motet_cuda_kernel *kernel, motet_cuda_grid grid, int threads,
                               size_t shared_bytes, void **arguments) {
    return launch(kernel, grid, threads, shared_bytes, arguments, NULL);
}

motet_status motet_cuda_launch_together(motet_cuda_kernel *kernel, motet_cuda_grid grid,
                                        int threads, size_t shared_bytes, void **arguments) {
    CUlaunchAttribute together = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
    return launch(kernel, grid, threads, shared_bytes, arguments, &together);
}
