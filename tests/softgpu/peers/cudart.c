/* The little of the CUDA runtime that CUTLASS's and CUB's host sides call, straight on softgpu.
 * nvcc's registration calls give us each fatbin and the names of its kernels. Everything runs at
 * once and in order; streams are ignored. Only for the referees in this folder. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "tests/softgpu/launch.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/options.h"

#define MAX_KERNELS 4096

typedef struct fat_binary {
    const void *image;
    sg_loaded *loaded;
} fat_binary;

typedef struct registered {
    fat_binary *binary;
    const void *host;
    const char *name;
} registered;

static registered kernels[MAX_KERNELS];
static int kernel_count;
static cudaError_t last;

static cudaError_t said(cudaError_t error) {
    if (error != cudaSuccess) last = error;
    return error;
}

void **__cudaRegisterFatBinary(const void *image);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int limit, void *tid, void *bid, void *block, void *grid, int *size);
void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext,
                       size_t size, int constant, int global);
cudaError_t __cudaPopCallConfiguration(struct dim3 *grid, struct dim3 *block, size_t *shared,
                                       void *stream);
unsigned __cudaPushCallConfiguration(struct dim3 grid, struct dim3 block, size_t shared,
                                     void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, struct dim3 grid, struct dim3 block,
                               void **args, size_t shared, cudaStream_t stream);

void **__cudaRegisterFatBinary(const void *image) {
    fat_binary *binary = calloc(1, sizeof *binary);
    if (binary) binary->image = image;
    return (void **)binary;
}
void __cudaRegisterFatBinaryEnd(void **handle) {
    (void)handle;
}
void __cudaUnregisterFatBinary(void **handle) {
    free(handle);
}
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int limit, void *tid, void *bid, void *block, void *grid, int *size) {
    (void)device, (void)limit, (void)tid, (void)bid, (void)block, (void)grid, (void)size;
    if (kernel_count < MAX_KERNELS)
        kernels[kernel_count++] = (registered){(fat_binary *)handle, host, name};
}
void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext,
                       size_t size, int constant, int global) {
    (void)handle, (void)host, (void)device, (void)name, (void)ext, (void)size, (void)constant,
        (void)global;
}

static struct {
    struct dim3 grid, block;
    size_t shared;
    void *stream;
} pushed[16];
static int depth;

unsigned __cudaPushCallConfiguration(struct dim3 grid, struct dim3 block, size_t shared,
                                     void *stream) {
    if (depth == 16) return 1;
    pushed[depth].grid = grid, pushed[depth].block = block;
    pushed[depth].shared = shared, pushed[depth++].stream = stream;
    return 0;
}
cudaError_t __cudaPopCallConfiguration(struct dim3 *grid, struct dim3 *block, size_t *shared,
                                       void *stream) {
    if (!depth) return said(cudaErrorInvalidConfiguration);
    depth--;
    *grid = pushed[depth].grid, *block = pushed[depth].block, *shared = pushed[depth].shared;
    memcpy(stream, &pushed[depth].stream, sizeof(void *));
    return cudaSuccess;
}

static registered *find(const void *host) {
    for (int i = 0; i < kernel_count; i++)
        if (kernels[i].host == host) return &kernels[i];
    return NULL;
}

static sg_kernel *load(registered *kernel) {
    char sentence[512];
    if (!kernel->binary->loaded && !sg_loaded_make(&kernel->binary->loaded, kernel->binary->image,
                                                   sentence, sizeof sentence)) {
        fprintf(stderr, "cudart: %s\n", sentence);
        return NULL;
    }
    return sg_loaded_kernel(kernel->binary->loaded, kernel->name);
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host) {
    *kernel = (cudaKernel_t)find(host);
    return said(*kernel ? cudaSuccess : cudaErrorInvalidDeviceFunction);
}

cudaError_t __cudaLaunchKernel(cudaKernel_t handle, struct dim3 grid, struct dim3 block,
                               void **args, size_t shared, cudaStream_t stream) {
    (void)stream;
    sg_kernel *kernel = load((registered *)handle);
    if (!kernel) return said(cudaErrorInvalidDeviceFunction);
    const sg_function *function = sg_kernel_function(kernel);
    unsigned char *params = calloc(1, function->param_bytes + 1);
    if (!params) return said(cudaErrorMemoryAllocation);
    for (int i = 0; i < function->param_count; i++)
        memcpy(params + function->symbols[i].offset, args[i], function->symbols[i].bytes);
    bool ran = sg_kernel_launch(kernel, (uint32_t[]){grid.x, grid.y, grid.z},
                                (uint32_t[]){block.x, block.y, block.z}, shared, params);
    free(params);
    return said(ran ? cudaSuccess : cudaErrorLaunchFailure);
}

/* Attributes that change nothing here pass; a cluster of several blocks does not. */
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *host, void **args) {
    for (unsigned i = 0; i < config->numAttrs; i++) {
        const cudaLaunchAttribute *a = &config->attrs[i];
        if (a->id == cudaLaunchAttributeClusterDimension &&
            a->val.clusterDim.x * a->val.clusterDim.y * a->val.clusterDim.z != 1)
            return said(cudaErrorNotSupported);
    }
    return __cudaLaunchKernel((cudaKernel_t)find(host), config->gridDim, config->blockDim, args,
                              config->dynamicSmemBytes, config->stream);
}

/* Of the driver's entry points only this one is asked for. */
cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function, unsigned version,
                                             unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *status) {
    (void)version, (void)flags;
    bool known = strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
    *function = known ? (void *)(uintptr_t)&cuTensorMapEncodeTiled : NULL;
    if (status) *status = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return said(known ? cudaSuccess : cudaErrorSymbolNotFound);
}

cudaError_t cudaMalloc(void **pointer, size_t bytes) {
    uint64_t address;
    if (!sg_memory_take(&address, bytes ? bytes : 1, "cudaMalloc"))
        return said(cudaErrorMemoryAllocation);
    *pointer = (void *)(uintptr_t)address;
    return cudaSuccess;
}
cudaError_t cudaFree(void *pointer) {
    return said(!pointer || sg_memory_give_back((uint64_t)(uintptr_t)pointer)
                    ? cudaSuccess
                    : cudaErrorInvalidValue);
}
static void *reach(const void *pointer, size_t bytes, bool written) {
    uint64_t address = (uint64_t)(uintptr_t)pointer;
    /* Beyond the device's memory are the host's large blocks. */
    if (address < SG_DEVICE_BASE || address - SG_DEVICE_BASE >= (uint64_t)8 << 40)
        return (void *)(uintptr_t)pointer;
    return sg_memory_host(address, bytes, written);
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    (void)kind;
    if (!bytes) return cudaSuccess;
    void *target = reach(to, bytes, true), *source = reach(from, bytes, false);
    if (!target || !source) return said(cudaErrorInvalidValue);
    memmove(target, source, bytes);
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    (void)stream;
    return cudaMemcpy(to, from, bytes, kind);
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
    (void)stream;
    void *target = bytes ? reach(to, bytes, true) : to;
    if (!target) return said(cudaErrorInvalidValue);
    if (bytes) memset(target, value, bytes);
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void) {
    return last;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    (void)stream;
    return last;
}
cudaError_t cudaGetLastError(void) {
    cudaError_t error = last;
    last = cudaSuccess;
    return error;
}
cudaError_t cudaPeekAtLastError(void) {
    return last;
}
cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    return said(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
    (void)device;
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
        *value = sg_get_options()->arch / 10;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = sg_get_options()->arch % 10;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = 4;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = 48 << 10;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (sg_get_options()->arch >= 90 ? 227 : 163) << 10;
        break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = (sg_get_options()->arch >= 90 ? 228 : 164) << 10;
        break;
    case cudaDevAttrMaxGridDimX:
        *value = INT32_MAX;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = 2048;
        break;
    case cudaDevAttrWarpSize:
        *value = 32;
        break;
    default:
        *value = 0;
        return said(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *host) {
    memset(attributes, 0, sizeof *attributes);
    registered *kernel = find(host);
    sg_kernel *loaded = kernel ? load(kernel) : NULL;
    if (!loaded) return said(cudaErrorInvalidDeviceFunction);
    attributes->ptxVersion = attributes->binaryVersion = sg_get_options()->arch;
    attributes->maxThreadsPerBlock = 1024;
    attributes->sharedSizeBytes = sg_kernel_function(loaded)->shared_bytes;
    attributes->numRegs = 64;
    return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *host, enum cudaFuncAttribute attribute, int value) {
    (void)host, (void)attribute, (void)value;
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *host,
                                                                   int threads, size_t shared,
                                                                   unsigned flags) {
    (void)host, (void)shared, (void)flags;
    *blocks = threads > 0 ? 1024 / threads : 1;
    return cudaSuccess;
}
const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaSuccess ? "no error" : "an error on softgpu";
}
const char *cudaGetErrorName(cudaError_t error) {
    return cudaGetErrorString(error);
}
