#include "data/midi_conductor.h"

#include <stdlib.h>
#include <string.h>

motet_status motet_conductor_add(motet_conductor *conductor, int64_t time,
                                 const unsigned char *meta, int length) {
    if (conductor->count == conductor->room) {
        uint32_t room = conductor->room ? 2 * conductor->room : 256;
        motet_conductor_event *grown =
            room > conductor->room ? realloc(conductor->events, room * sizeof *grown) : NULL;
        if (!grown) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %u tempo events", room);
        conductor->events = grown;
        conductor->room = room;
    }
    motet_conductor_event event = {(int32_t)time, conductor->count, (uint8_t)(length + 3), {0xff}};
    event.bytes[1] = meta[0];
    event.bytes[2] = (uint8_t)length;
    memcpy(event.bytes + 3, meta + 1, (size_t)length);
    conductor->events[conductor->count++] = event;
    return MOTET_OK;
}

static int by_time(const void *left, const void *right) {
    const motet_conductor_event *a = left, *b = right;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void motet_conductor_tidy(motet_conductor *conductor, int64_t budget) {
    motet_conductor_event *events = conductor->events;
    if (!conductor->count) return;
    qsort(events, conductor->count, sizeof *events, by_time);
    uint32_t kept = 0, last[256]; /* by type, the place of the last one kept */
    memset(last, 0xff, sizeof last);
    for (uint32_t i = 0; i < conductor->count; i++) {
        motet_conductor_event event = events[i];
        uint32_t *before = &last[event.bytes[1]];
        if (*before != UINT32_MAX && events[*before].time == event.time) {
            events[*before] = event;
            continue;
        }
        if (*before != UINT32_MAX && event.bytes[1] == 0x51 &&
            memcmp(events[*before].bytes, event.bytes, sizeof event.bytes) == 0)
            continue;
        *before = kept;
        events[kept++] = event;
    }
    conductor->count = kept;
    budget = budget < 512 ? 512 : budget > 20000 ? 20000 : budget;
    if (kept <= budget) return;
    uint32_t step = (uint32_t)((kept + budget - 1) / budget);
    conductor->count = 0;
    conductor->thinned = 1;
    for (uint32_t i = 0; i < kept; i += step)
        events[conductor->count++] = events[i];
}

motet_status motet_conductor_write(motet_chunk_buffer *out, const motet_conductor *conductor) {
    size_t start = 0;
    int64_t time = 0;
    MOTET_TRY(motet_chunk_begin(out, &start));
    for (uint32_t i = 0; i < conductor->count; i++) {
        const motet_conductor_event *event = &conductor->events[i];
        MOTET_TRY(motet_chunk_delta(out, event->time - time));
        MOTET_TRY(motet_chunk_put(out, event->bytes, event->length));
        time = event->time;
    }
    return motet_chunk_end(out, start, 0);
}
