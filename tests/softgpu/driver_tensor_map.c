/* cuTensorMapEncodeTiled. */
#include <string.h>

#include "tests/softgpu/driver.h"
#include "tests/softgpu/report.h"
#include "tests/softgpu/tensor_map.h"

static int element_bytes(CUtensorMapDataType type) {
    switch ((int)type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
        return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
        return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ:
        return 4;
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
        return 8;
    default:
        return 0;
    }
}

static bool is_integer(CUtensorMapDataType type) {
    return type == CU_TENSOR_MAP_DATA_TYPE_UINT8 || type == CU_TENSOR_MAP_DATA_TYPE_UINT16 ||
           type == CU_TENSOR_MAP_DATA_TYPE_UINT32 || type == CU_TENSOR_MAP_DATA_TYPE_INT32 ||
           type == CU_TENSOR_MAP_DATA_TYPE_UINT64 || type == CU_TENSOR_MAP_DATA_TYPE_INT64;
}

static CUresult refuse(const char *why) {
    sg_report(SG_R_LAUNCH, NULL, NULL, 0, "cuTensorMapEncodeTiled: %s", why);
    return CUDA_ERROR_INVALID_VALUE;
}

/* What the documentation asks of each dimension. NULL: fine. */
static const char *wrong_sizes(cuuint32_t rank, const cuuint64_t *dims, const cuuint64_t *strides,
                               const cuuint32_t *box, const cuuint32_t *steps) {
    for (cuuint32_t i = 0; i < rank; i++) {
        if (!dims[i] || dims[i] > (cuuint64_t)1 << 32)
            return "a dimension of the tensor is 0 or above 2^32";
        if (!box[i] || box[i] > 256) return "a dimension of the box is 0 or above 256";
        if (steps[i] != 1)
            return steps[i] && steps[i] <= 8 ? "element strides other than 1 are not known here"
                                             : "an element stride is 0 or above 8";
        if (i && strides[i - 1] % 16) return "a stride is no multiple of 16 bytes";
        if (i && strides[i - 1] >= (cuuint64_t)1 << 40) return "a stride is 2^40 or more";
    }
    return NULL;
}

SG_ENTRY CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type,
                                         cuuint32_t rank, void *address, const cuuint64_t *dims,
                                         const cuuint64_t *strides, const cuuint32_t *box,
                                         const cuuint32_t *steps, CUtensorMapInterleave interleave,
                                         CUtensorMapSwizzle swizzle,
                                         CUtensorMapL2promotion promotion,
                                         CUtensorMapFloatOOBfill fill) {
    SG_LOCKED; /* computes only: needs no context */
    const int bytes = element_bytes(type);
    if (!map || !dims || !box || !steps || (rank > 1 && !strides)) return refuse("NULL is given");
    if ((uintptr_t)map % 64) return refuse("the tensor map is not aligned to 64 bytes");
    if (!bytes) return refuse("this data type is not known");
    if (rank < 1 || rank > SG_TENSOR_RANK) return refuse("a rank other than 1 to 5");
    if ((uintptr_t)address % 16) return refuse("the tensor's address is no multiple of 16");
    if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE)
        return refuse("interleaved layouts are not known here");
    if (promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B) return refuse("this promotion is unknown");
    if (swizzle > CU_TENSOR_MAP_SWIZZLE_128B) return refuse("this swizzle is not known here");
    if (fill > CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA ||
        (fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE && is_integer(type)))
        return refuse("this fill does not go with the data type");
    const char *why = wrong_sizes(rank, dims, strides, box, steps);
    if (why) return refuse(why);
    const uint64_t row = (uint64_t)box[0] * (uint64_t)bytes;
    if (row % 16) return refuse("a row of the box is no multiple of 16 bytes");
    if (swizzle != CU_TENSOR_MAP_SWIZZLE_NONE && row > (uint64_t)16 << swizzle)
        return refuse("a row of the box is wider than the swizzle");
    sg_tensor_map made = {.magic = SG_TENSOR_MAP_MAGIC,
                          .address = (uint64_t)(uintptr_t)address,
                          .rank = (uint8_t)rank,
                          .element_bytes = (uint8_t)bytes,
                          .swizzle = (uint8_t)swizzle,
                          .nan = fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ? 0 : 0xff};
    for (cuuint32_t i = 0; i < SG_TENSOR_RANK; i++) {
        made.dims[i] = i < rank ? dims[i] : 1;
        made.box[i] = i < rank ? (uint16_t)box[i] : 1;
        if (i && i < rank) made.strides[i - 1] = strides[i - 1];
    }
    memset(map, 0, sizeof *map);
    memcpy(map, &made, sizeof made);
    return CUDA_SUCCESS;
}
