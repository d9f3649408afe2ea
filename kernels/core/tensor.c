#include "kernels/core/tensor.h"

const char *motet_dtype_name(motet_dtype dtype) {
    switch (dtype) {
    case MOTET_F32:
        return "f32";
    case MOTET_BF16:
        return "bf16";
    case MOTET_I8:
        return "i8";
    case MOTET_I32:
        return "i32";
    }
    return "?";
}
