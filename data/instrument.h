/* instrument: General MIDI programs by name, nickname and number, with families, ranges and words.
 */
#ifndef MOTET_DATA_INSTRUMENT_H
#define MOTET_DATA_INSTRUMENT_H

#include <stdint.h>

#include "data/score.h"

/* "Acoustic Grand Piano", ... "Drums" for 128. */
const char *motet_program_name(int program);

/* The short word that a musician says: "piano", "cello", "nylon guitar", "drums". */
const char *motet_program_nickname(int program);

/* The k-th synonym a prompt may use ("violoncello", "fiddle"), k = 0 the nickname; NULL past the
 * last. */
const char *motet_program_word(int program, int k);

/* The range in which the instrument sounds as itself, MIDI pitches inclusive; drums 27..87. */
void motet_program_range(int program, int *lowest, int *highest);

/* Exact name, nickname, synonym or number ("41" is the GM number 1..128, "drums"), any case. -1 if
 * unknown; then *nearest (may be NULL) is the closest spelling known. */
int motet_program_parse(const char *text, const char **nearest);

/* Family 0..16 (program / 8; 16 drums) and its name: "piano", "chromatic percussion", ... */
const char *motet_program_family_name(int family);

#endif
