#include "infer/controls.h"

#include <stddef.h>

motet_controls motet_controls_none(void) {
    return (motet_controls){.tempo = -1, .metre = -1, .key = -1, .bars = -1, .density = -1};
}

int motet_bars_level(int bars) {
    static const int highest[MOTET_CONTROL_BARS_LEVELS - 1] = {1,  2,  4,  6,  8,  12, 16, 20,
                                                               24, 32, 40, 48, 64, 96, 128};
    int level = 0;
    while (level < MOTET_CONTROL_BARS_LEVELS - 1 && bars > highest[level])
        level++;
    return level;
}

int motet_control_symbols(int32_t symbols[MOTET_MAX_CONTROLS], const motet_controls *controls) {
    const struct {
        int value, first, size;
    } single[] = {
        {controls->tempo, MOTET_CONTROL_TEMPO, MOTET_TEMPOS},
        {controls->metre, MOTET_CONTROL_METRE, MOTET_METRES},
        {controls->key, MOTET_CONTROL_KEY, 24},
        {controls->bars < 1 ? -1 : motet_bars_level(controls->bars), MOTET_CONTROL_BARS,
         MOTET_CONTROL_BARS_LEVELS},
        {controls->density, MOTET_CONTROL_DENSITY, MOTET_DENSITIES},
    };
    int count = 0;
    symbols[count++] = MOTET_CONTROL_ALWAYS;
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        if (single[i].value < 0 || single[i].value >= single[i].size) continue;
        symbols[count++] = single[i].first + single[i].value;
    }
    for (int i = 0; i < controls->program_count && i < 16; i++) {
        if (controls->programs[i] >= MOTET_PROGRAMS) continue;
        symbols[count++] = MOTET_CONTROL_PROGRAM + controls->programs[i];
    }
    return count;
}
