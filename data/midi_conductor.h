/* midi_conductor: the tempo, metre and key events of all tracks, gathered into one. For the
 * sanitiser. */
#ifndef MOTET_DATA_MIDI_CONDUCTOR_H
#define MOTET_DATA_MIDI_CONDUCTOR_H

#include "data/midi_chunk.h"

typedef struct motet_conductor_event {
    int32_t time;
    uint32_t order;           /* of reading */
    uint8_t length, bytes[8]; /* a whole meta event, from 0xff on */
} motet_conductor_event;

/* Zeroed, it is empty. The owner frees events. */
typedef struct motet_conductor {
    motet_conductor_event *events;
    uint32_t count, room;
    int thinned;
} motet_conductor;

/* Adds a meta event: meta holds its type and length <= 4 bytes of data. */
motet_status motet_conductor_add(motet_conductor *conductor, int64_t time,
                                 const unsigned char *meta, int length);

/* Sorts by time; of two events of a type at one time the one read later holds, and a tempo that
 * changes nothing goes. libsmf searches its tempo map for every event: a map of more than budget
 * entries (kept within 512..20,000) is thinned. */
void motet_conductor_tidy(motet_conductor *conductor, int64_t budget);

/* Writes the events as a track. */
motet_status motet_conductor_write(motet_chunk_buffer *out, const motet_conductor *conductor);

#endif
