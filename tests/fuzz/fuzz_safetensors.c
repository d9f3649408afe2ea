/* Any bytes either open, and then every tensor can be read to its last byte, or are refused with a
 * sentence. */
#include <stdlib.h>
#include <string.h>

#include "data/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    motet_safetensors *file;
    unsigned char *copy = malloc(size ? size : 1); /* aligned, and exact for asan */
    if (!copy) return 0;
    memcpy(copy, bytes, size);
    if (motet_safetensors_open_bytes(&file, copy, size, "fuzz") == MOTET_OK) {
        volatile unsigned char sum = 0;
        for (int i = 0; i < motet_safetensors_count(file); i++) {
            motet_tensor t;
            if (motet_safetensors_get(&t, file, motet_safetensors_name(file, i))) continue;
            int64_t count = motet_tensor_count(t) * (int64_t)motet_dtype_bytes(t.dtype);
            for (int64_t k = 0; k < count; k++)
                sum ^= ((const unsigned char *)t.data)[k];
            for (int64_t k = 0; t.scale && k < t.dims[0]; k++)
                sum ^= t.scale[k] > 0;
        }
        (void)motet_safetensors_meta(file, "config");
        (void)motet_safetensors_verify(file, size % 2);
        (void)motet_safetensors_hash(file);
        motet_safetensors_close(file);
    } else if (!*motet_error()) {
        abort();
    }
    free(copy);
    return 0;
}
