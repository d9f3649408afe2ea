#include "data/midi_chunk.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DELTA 0x0fffffff /* four bytes of seven bits */

motet_status motet_chunk_put(motet_chunk_buffer *out, const void *bytes, size_t count) {
    if (count > out->room - out->size) {
        size_t room = out->room ? 2 * out->room : 4096;
        if (room < out->size + count) room = out->size + count;
        unsigned char *grown = realloc(out->bytes, room);
        if (!grown) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %zu bytes of MIDI", room);
        out->bytes = grown;
        out->room = room;
    }
    memcpy(out->bytes + out->size, bytes, count);
    out->size += count;
    return MOTET_OK;
}

motet_status motet_chunk_delta(motet_chunk_buffer *out, int64_t delta) {
    while (delta > MAX_DELTA) { /* an empty text carries the time that one delta cannot */
        MOTET_TRY(motet_chunk_put(out, "\xff\xff\xff\x7f\xff\x01\x00", 7));
        delta -= MAX_DELTA;
    }
    unsigned char bytes[4];
    int used = 0;
    for (int shift = 21; shift >= 0; shift -= 7)
        if (delta >> shift || shift == 0 || used)
            bytes[used++] = (unsigned char)((delta >> shift & 0x7f) | (shift ? 0x80 : 0));
    return motet_chunk_put(out, bytes, (size_t)used);
}

motet_status motet_chunk_begin(motet_chunk_buffer *out, size_t *start) {
    *start = out->size;
    return motet_chunk_put(out, "MTrk\0\0\0", 8);
}

motet_status motet_chunk_end(motet_chunk_buffer *out, size_t start, int64_t delta) {
    MOTET_TRY(motet_chunk_delta(out, delta));
    MOTET_TRY(motet_chunk_put(out, "\xff\x2f", 3));
    size_t length = out->size - start - 8;
    if (length > INT32_MAX)
        return MOTET_FAIL(MOTET_E_DATA, "a track of more than 2 GiB is more than can be read");
    for (int i = 0; i < 4; i++)
        out->bytes[start + 4 + (size_t)i] = (unsigned char)(length >> (24 - 8 * i));
    return MOTET_OK;
}
