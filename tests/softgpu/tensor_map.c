/* Boxes of tensors, row by row. */
#include "tests/softgpu/tensor_map.h"

uint64_t sg_tensor_map_box_bytes(const sg_tensor_map *map) {
    uint64_t bytes = map->element_bytes;
    for (int i = 0; i < SG_TENSOR_RANK; i++)
        bytes *= map->box[i];
    return bytes;
}

bool sg_tensor_map_row(sg_box_row *row, const sg_tensor_map *map, const int32_t *corner,
                       uint64_t index) {
    const uint64_t row_bytes = (uint64_t)map->box[0] * map->element_bytes;
    uint64_t address = map->address, rest = index;
    bool inside = true;
    for (int i = 1; i < map->rank; i++) {
        const int64_t at = (int64_t)corner[i] + (int64_t)(rest % map->box[i]);
        rest /= map->box[i];
        inside &= at >= 0 && (uint64_t)at < map->dims[i];
        address += (uint64_t)at * map->strides[i - 1];
    }
    if (rest) return false;
    const int64_t first = corner[0] < 0 ? -(int64_t)corner[0] : 0;
    int64_t last = (int64_t)map->dims[0] - corner[0];
    if (last > map->box[0]) last = map->box[0];
    row->at = index * row_bytes;
    row->first = row->last = 0;
    row->address = 0;
    if (!inside || first >= last) return true;
    row->first = (uint64_t)first * map->element_bytes;
    row->last = (uint64_t)last * map->element_bytes;
    row->address = address + (uint64_t)((int64_t)corner[0] + first) * map->element_bytes;
    return true;
}
