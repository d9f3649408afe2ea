/* piano_roll: a score as a picture: blocks in a terminal, SVG on a page. */
#ifndef MOTET_PIANO_ROLL_H
#define MOTET_PIANO_ROLL_H

#include <stdio.h>

#include "data/analysis.h"

/* Draws into a stream, `columns` wide and `rows` high, one character for a time and a band of
 * pitches; unicode 0: plain ASCII; colour: ANSI colours, one for each instrument. */
void motet_piano_roll_print(FILE *stream, const motet_score *score, int columns, int rows,
                            int unicode, int colour);

/* An SVG document (malloc'd, NUL-terminated): notes as bars coloured by instrument, bar lines and
 * numbers, chords above, a legend. */
motet_status motet_piano_roll_svg(char **svg, const motet_score *score,
                                  const motet_analysis *analysis);

#endif
