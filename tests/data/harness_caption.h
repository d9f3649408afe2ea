/* harness_caption: reads a caption back and fails the test where it is not true of the piece. */
#ifndef MOTET_TESTS_DATA_HARNESS_CAPTION_H
#define MOTET_TESTS_DATA_HARNESS_CAPTION_H

#include "data/caption.h"

/* Kinds of statements, as indices of the counts of those found. */
enum { SAYS_BPM, SAYS_PACE, SAYS_KEY, SAYS_METRE, SAYS_BARS, SAYS_INSTRUMENT, SAYS };

/* Checks form (no leftovers of the machinery, articles) and truth of all that it can read: bpm,
 * pace, key, metre, bars, instruments. What labels say is not questioned. Counts what it read. */
void check_caption(int says[SAYS], const char *caption, const motet_score *score,
                   const motet_analysis *analysis, const motet_labels *labels);

#endif
