/* Allocations. Copies are a stream's: driver_stream.c. */
#include "tests/softgpu/driver.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/shadow.h"

SG_ENTRY CUresult cuMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    SG_READY;
    uint64_t available, all;
    sg_memory_free_bytes(&available, &all);
    *free_bytes = available;
    *total_bytes = all;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuMemAlloc(CUdeviceptr *address, size_t bytes) {
    SG_READY;
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    SG_CHECK(sg_not_in_capture());
    uint64_t taken;
    if (!sg_memory_take(&taken, bytes, "cuMemAlloc")) return CUDA_ERROR_OUT_OF_MEMORY;
    sg_the_driver.counts.allocations++;
    *address = taken;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) {
    SG_READY;
    const unsigned understood = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP;
    if (bytes == 0 || (flags & ~understood)) return CUDA_ERROR_INVALID_VALUE;
    SG_CHECK(sg_not_in_capture());
    if (!sg_memory_take_host(pointer, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
    sg_the_driver.counts.allocations++;
    return CUDA_SUCCESS;
}

/* Of the attributes only the type; memory that the driver does not know has none. */
SG_ENTRY CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute,
                                        CUdeviceptr address) {
    SG_READY;
    const sg_region *block = sg_region_find(address);
    if (!value || attribute != CU_POINTER_ATTRIBUTE_MEMORY_TYPE || !block || block->freed)
        return CUDA_ERROR_INVALID_VALUE;
    *(unsigned *)value = block->pinned ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    return CUDA_SUCCESS;
}

static CUresult give_back(uint64_t address, bool pinned, const char *call) {
    if (address == 0) return CUDA_SUCCESS;
    SG_CHECK(sg_not_in_capture());
    if (sg_is_device_address(address) == pinned || !sg_memory_give_back(address)) {
        char where[200];
        sg_memory_where(where, sizeof where, address);
        sg_report(SG_R_HANDLE, NULL, NULL, 0, "%s: %#llx is no block of its kind (%s)", call,
                  (unsigned long long)address, where);
        return CUDA_ERROR_INVALID_VALUE;
    }
    sg_the_driver.counts.frees++;
    return CUDA_SUCCESS;
}

SG_ENTRY CUresult cuMemFree(CUdeviceptr address) {
    SG_READY;
    return give_back(address, false, "cuMemFree");
}

SG_ENTRY CUresult cuMemFreeHost(void *pointer) {
    SG_READY;
    return give_back((uint64_t)(uintptr_t)pointer, true, "cuMemFreeHost");
}
