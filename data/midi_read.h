/* midi_read: Standard MIDI File -> score. Bytes go through the sanitiser (data/midi_sanitize.h),
 * then libsmf, then onto the grid: channels and program changes become programs, channel 10 the
 * drums, the sustain pedal lengthens notes, overlapping notes of one pitch are cut, pickups are
 * aligned to the bar line, metres that events cannot say are split into ones they can.
 */
#ifndef MOTET_DATA_MIDI_READ_H
#define MOTET_DATA_MIDI_READ_H

#include <stddef.h>

#include "data/score.h"

/* What had to be repaired or dropped, for `motet-data inspect` and the builder's counts. */
typedef struct motet_midi_report {
    int32_t bytes_skipped;     /* of damaged or unknown material */
    int32_t tracks;            /* track chunks found */
    int32_t tracks_repaired;   /* truncated, lying length, no End Of Track, ... */
    int32_t notes_hanging;     /* note-on without note-off: ended at the track's end */
    int32_t notes_overlapping; /* cut where the same pitch began again */
    int32_t notes_merged;      /* several tracks or channels on one (start, program, pitch) */
    int32_t notes_pedalled;    /* lengthened by the sustain pedal */
    int32_t metres_split;      /* bars of an unlisted metre, written as several */
    int32_t pickup_ticks;      /* silence put in front of the first note's bar, 0 if none */
    char first_repair[120];    /* "track 3: no End Of Track at byte 1234", "" if none */
} motet_midi_report;

/* Reads a file's bytes; name is for messages. *score is the caller's to free, also after a repair.
 * MOTET_E_DATA with name and byte offset if nothing can be saved: no MThd, format 2, SMPTE
 * division, no notes, more than 4 million events, longer than 10,000 bars. report may be NULL. */
motet_status motet_midi_read(motet_score *score, motet_midi_report *report,
                             const unsigned char *bytes, size_t size, const char *name);

/* The same from a path; MOTET_E_IO if it cannot be read or is larger than 64 MiB. */
motet_status motet_midi_read_file(motet_score *score, motet_midi_report *report, const char *path);

#endif
