#include "infer/piano_roll.h"

#include <stdlib.h>
#include <string.h>

static void pitch_span(const motet_score *score, int *lowest, int *highest) {
    *lowest = 127, *highest = 0;
    for (int32_t i = 0; i < score->note_count; i++) {
        if (score->notes[i].program == MOTET_PROGRAM_DRUMS) continue;
        if (score->notes[i].pitch < *lowest) *lowest = score->notes[i].pitch;
        if (score->notes[i].pitch > *highest) *highest = score->notes[i].pitch;
    }
    if (*lowest > *highest) *lowest = 60, *highest = 71;
}

/* Instruments in order of program: each gets a number for its colour. */
static void number_programs(uint8_t numbers[MOTET_PROGRAMS], const motet_score *score) {
    uint8_t used[MOTET_PROGRAMS] = {0}, next = 0;
    for (int32_t i = 0; i < score->note_count; i++)
        used[score->notes[i].program] = 1;
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        numbers[p] = used[p] ? next++ : 0;
}

enum { MOST_COLUMNS = 160, MOST_ROWS = 40, EMPTY = 255 };

static void mark(uint8_t *cells, int row, int columns, int32_t start, int32_t length, int32_t ticks,
                 uint8_t value) {
    int first = (int)((int64_t)start * columns / ticks);
    int last = (int)(((int64_t)start + length - 1) * columns / ticks);
    for (int c = first; c <= last && c < columns; c++)
        cells[row * MOST_COLUMNS + c] = value;
}

void motet_piano_roll_print(FILE *stream, const motet_score *score, int columns, int rows,
                            int unicode, int colour) {
    static uint8_t cells[2 * MOST_ROWS * MOST_COLUMNS];
    if (columns > MOST_COLUMNS) columns = MOST_COLUMNS;
    if (rows > MOST_ROWS) rows = MOST_ROWS;
    int lines = unicode ? 2 * rows : rows, lowest, highest; /* half blocks: two bands a row */
    int32_t ticks = motet_score_ticks(score);
    uint8_t numbers[MOTET_PROGRAMS];
    if (columns < 1 || rows < 1 || ticks < 1) return;
    pitch_span(score, &lowest, &highest);
    number_programs(numbers, score);
    memset(cells, EMPTY, sizeof cells);
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        if (note->program == MOTET_PROGRAM_DRUMS) continue;
        int line = (highest - note->pitch) * lines / (highest - lowest + 1);
        mark(cells, line, columns, note->start_ticks, note->duration_ticks, ticks,
             numbers[note->program]);
    }
    for (int row = 0; row < rows; row++) {
        fputs("  ", stream);
        for (int c = 0; c < columns; c++) {
            const uint8_t *top = &cells[(unicode ? 2 * row : row) * MOST_COLUMNS + c];
            int upper = top[0] != EMPTY, lower = unicode && top[MOST_COLUMNS] != EMPTY;
            if (colour && (upper || lower))
                fprintf(stream, "\033[3%dm", 1 + (upper ? top[0] : top[MOST_COLUMNS]) % 6);
            fputs(!upper && !lower ? " "
                  : !unicode       ? "#"
                  : upper && lower ? "\xe2\x96\x88"
                  : upper          ? "\xe2\x96\x80"
                                   : "\xe2\x96\x84",
                  stream);
            if (colour && (upper || lower)) fputs("\033[0m", stream);
        }
        fputc('\n', stream);
    }
}
