#include "kernels/cuda/complaint.h"

#include "kernels/cuda/device.h"

motet_status motet_cuda_complaints_take(void) {
    motet_complaint *slot = motet_cuda_get_device()->complaints;
    const motet_complaint said = *slot;
    if (said.code == MOTET_COMPLAINT_NONE) return MOTET_OK;
    *slot = (motet_complaint){0};
    switch (said.code) {
#define X(name, sentence)        \
    case MOTET_COMPLAINT_##name: \
        return MOTET_FAIL(MOTET_E_USAGE, sentence, said.row, said.value);
        MOTET_COMPLAINTS(X)
#undef X
    default:
        return MOTET_FAIL(MOTET_E_IO, "a kernel left complaint %d, which nobody knows", said.code);
    }
}
