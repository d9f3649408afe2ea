/* A CUDA driver for cuDNN to compile with where no GPU is: it says yes to what making a plan needs
 * (loading the kernel that NVRTC made) and no to all that would need a device. */
#include <stddef.h>

enum { YES = 0, NO_DEVICE = 100 };
static int something; /* handles point here */

#define REFUSE(name)      \
    int name(void);       \
    int name(void) {      \
        return NO_DEVICE; \
    }
REFUSE(cuInit)
REFUSE(cuDriverGetVersion)
REFUSE(cuDeviceGet)
REFUSE(cuDeviceGetCount)
REFUSE(cuCtxGetCurrent)
REFUSE(cuCtxGetLimit)
REFUSE(cuCtxPopCurrent)
REFUSE(cuCtxPushCurrent)
REFUSE(cuStreamGetCtx)
REFUSE(cuLinkCreate)
REFUSE(cuLinkAddData)
REFUSE(cuLinkComplete)
REFUSE(cuLinkDestroy)
REFUSE(cuLaunchKernel)
REFUSE(cuLaunchKernelEx)
REFUSE(cuLaunchCooperativeKernel)
REFUSE(cuOccupancyMaxPotentialClusterSize)

int cuGetErrorName(int error, const char **name);
int cuGetErrorName(int error, const char **name) {
    *name = error == YES ? "CUDA_SUCCESS" : "CUDA_ERROR_NO_DEVICE";
    return YES;
}
int cuGetErrorString(int error, const char **text);
int cuGetErrorString(int error, const char **text) {
    *text = error == YES ? "no error" : "there is no device: tests/device/fake_driver.c";
    return YES;
}

int cuLibraryLoadData(void **library, const void *code, void *a, void *b, unsigned c, void *d,
                      void *e, unsigned f);
int cuLibraryLoadData(void **library, const void *code, void *a, void *b, unsigned c, void *d,
                      void *e, unsigned f) {
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    *library = &something;
    return code ? YES : NO_DEVICE;
}
int cuLibraryLoadFromFile(void);
int cuLibraryLoadFromFile(void) {
    return NO_DEVICE;
}
int cuLibraryGetKernel(void **kernel, void *library, const char *name);
int cuLibraryGetKernel(void **kernel, void *library, const char *name) {
    *kernel = &something;
    return library && name ? YES : NO_DEVICE;
}
int cuLibraryUnload(void *library);
int cuLibraryUnload(void *library) {
    return library ? YES : NO_DEVICE;
}
int cuKernelGetAttribute(int *value, int attribute, void *kernel, int device);
int cuKernelGetAttribute(int *value, int attribute, void *kernel, int device) {
    (void)attribute, (void)device;
    *value = 0;
    return kernel ? YES : NO_DEVICE;
}
int cuKernelSetAttribute(int attribute, int value, void *kernel, int device);
int cuKernelSetAttribute(int attribute, int value, void *kernel, int device) {
    (void)attribute, (void)value, (void)device;
    return kernel ? YES : NO_DEVICE;
}
