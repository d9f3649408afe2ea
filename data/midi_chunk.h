/* midi_chunk: the bytes of Standard MIDI File tracks, written one after another. For the sanitiser
 * and for tests that make files. Every function fails with MOTET_E_MEMORY alone, unless it says so.
 */
#ifndef MOTET_DATA_MIDI_CHUNK_H
#define MOTET_DATA_MIDI_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/status.h"

/* Zeroed, it is empty. The owner frees bytes. */
typedef struct motet_chunk_buffer {
    unsigned char *bytes;
    size_t size, room;
} motet_chunk_buffer;

motet_status motet_chunk_put(motet_chunk_buffer *out, const void *bytes, size_t count);

/* A delta time >= 0; more than four bytes can say is spread over empty text events. */
motet_status motet_chunk_delta(motet_chunk_buffer *out, int64_t delta);

/* Opens a track; its place goes to *start. */
motet_status motet_chunk_begin(motet_chunk_buffer *out, size_t *start);

/* Writes End Of Track after delta, and the length into the header at start. MOTET_E_DATA if that is
 * more than 2 GiB. */
motet_status motet_chunk_end(motet_chunk_buffer *out, size_t start, int64_t delta);

#endif
