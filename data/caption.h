/* caption: what a person might have typed to get this piece. Sentences are composed from the
 * analysis and from labels that came with the file, in many phrasings, a pure function of a seed.
 */
#ifndef MOTET_DATA_CAPTION_H
#define MOTET_DATA_CAPTION_H

#include "data/analysis.h"
#include "kernels/core/rng.h"

/* What a manifest says of a file; any may be NULL. UTF-8. */
typedef struct motet_labels {
    const char *title, *composer, *kind; /* "art song, voice and piano" */
    const char *genre, *mood;            /* "bossa nova", "cheerful" */
    const char *caption; /* ready-made text; used as it is in half of the variants */
} motet_labels;

#define MOTET_CAPTION_BYTES 400

/* Writes one caption (UTF-8, NUL-terminated) of 1..4 sentences or just a few words, lower or mixed
 * case, naming a random part of: genre, mood, kind, composer, instruments, key, tempo (bpm or
 * word), metre, number of bars, density, form. Different seeds give different facts, order and
 * words; what it says is always true of the piece. */
motet_status motet_caption_write(char buffer[MOTET_CAPTION_BYTES], const motet_score *score,
                                 const motet_analysis *analysis, const motet_labels *labels,
                                 uint64_t seed);

#endif
