/* instrument_table: what instrument.c looks up. */
#ifndef MOTET_DATA_INSTRUMENT_TABLE_H
#define MOTET_DATA_INSTRUMENT_TABLE_H

#include <stdint.h>

#define MOTET_PROGRAM_WORDS 8

/* One General MIDI program. A word belongs to one program alone. */
typedef struct motet_instrument {
    const char *name;
    uint8_t lowest, highest;
    const char *words[MOTET_PROGRAM_WORDS + 1]; /* the nickname first; NULL-terminated */
} motet_instrument;

/* By program; 128 is the drum kit. */
extern const motet_instrument motet_instruments[129];

#endif
