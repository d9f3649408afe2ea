/* controls: what is asked of a piece beside its text, as tokens of the decoder's memory. */
#ifndef MOTET_CONTROLS_H
#define MOTET_CONTROLS_H

#include <stdint.h>

#include "data/events.h"

/* -1 where nothing is asked. */
typedef struct motet_controls {
    int tempo;   /* bin */
    int metre;   /* index */
    int key;     /* 0..23 */
    int bars;    /* 1.. */
    int density; /* level */
    int program_count;
    uint8_t programs[16];
} motet_controls;

motet_controls motet_controls_none(void);

/* Symbols of the control table: one that is always there, then tempo, metre, key, bars (log
 * buckets), density, programs. */
enum {
    MOTET_CONTROL_ALWAYS = 0,
    MOTET_CONTROL_TEMPO = 1,
    MOTET_CONTROL_METRE = MOTET_CONTROL_TEMPO + MOTET_TEMPOS,
    MOTET_CONTROL_KEY = MOTET_CONTROL_METRE + MOTET_METRES,
    MOTET_CONTROL_BARS = MOTET_CONTROL_KEY + 24,
    MOTET_CONTROL_BARS_LEVELS = 16,
    MOTET_CONTROL_DENSITY = MOTET_CONTROL_BARS + MOTET_CONTROL_BARS_LEVELS,
    MOTET_CONTROL_PROGRAM = MOTET_CONTROL_DENSITY + MOTET_DENSITIES,
    MOTET_CONTROL_SYMBOLS = MOTET_CONTROL_PROGRAM + MOTET_PROGRAMS
};
#define MOTET_MAX_CONTROLS (6 + 16)

/* Bars -> level: 1, 2, 3-4, 5-6, 7-8, 9-12, 13-16, 17-20, 21-24, 25-32, 33-40, 41-48, 49-64, 65-96,
 * 97-128, more. */
int motet_bars_level(int bars);

/* Symbols of the controls asked, ALWAYS first; returns their number (1..MOTET_MAX_CONTROLS). A
 * value outside its range counts as not asked. */
int motet_control_symbols(int32_t symbols[MOTET_MAX_CONTROLS], const motet_controls *controls);

#endif
