/* midi_write: score -> Standard MIDI File, format 1, 480 ticks a quarter, through libsmf.
 *
 * Track 0 is the conductor: tempo map, time signatures where the metre changes, key signature, the
 * title as sequence name and the texts. Then one track per program, in order of program: track
 * name, program change, notes. Drums are on channel 10. With more than 15 melodic programs, the
 * ones that never sound together share a channel, with program changes between; MOTET_E_UNSUPPORTED
 * if that cannot be done.
 */
#ifndef MOTET_DATA_MIDI_WRITE_H
#define MOTET_DATA_MIDI_WRITE_H

#include <stddef.h>

#include "data/score.h"

#define MOTET_MIDI_PPQ 480

typedef struct motet_midi_texts {
    const char *const
        *lines; /* UTF-8; longer ones are split at characters into pieces <= 127 bytes */
    int count;
} motet_midi_texts;

/* *bytes is malloc'd, *size long, a complete file. texts may be NULL. */
motet_status motet_midi_write(unsigned char **bytes, size_t *size, const motet_score *score,
                              const motet_midi_texts *texts);

/* The same to a path by way of a temporary file beside it, fsync and rename: on failure the old
 * file stays as it was and nothing new is left behind. */
motet_status motet_midi_write_file(const char *path, const motet_score *score,
                                   const motet_midi_texts *texts);

#endif
