#include "infer/score_input.h"

#include <math.h>
#include <stddef.h>

enum { NOTE_LEVELS = 24, LEFT_LEVELS = 34, PHRASE_BARS = 8 };

/* weights.context: one run of rows for each context feature. */
enum {
    CONTEXT_METRE = 0,
    CONTEXT_TEMPO = CONTEXT_METRE + MOTET_METRES,
    CONTEXT_CHORD = CONTEXT_TEMPO + MOTET_TEMPOS,
    CONTEXT_DENSITY = CONTEXT_CHORD + MOTET_CHORDS,
    CONTEXT_ECHO = CONTEXT_DENSITY + MOTET_DENSITIES,
    CONTEXT_NOTES = CONTEXT_ECHO + MOTET_ECHOES,
    CONTEXT_LEFT = CONTEXT_NOTES + NOTE_LEVELS,
    CONTEXT_PHRASE = CONTEXT_LEFT + LEFT_LEVELS,
    CONTEXT_MODEL_END = CONTEXT_PHRASE + PHRASE_BARS, /* the echoed bar has no more notes */
    CONTEXT_MODEL = CONTEXT_MODEL_END + 1             /* then the note fields' symbols */
};

int motet_event_feature_total(void) {
    return MOTET_ROW_TYPES + motet_field_total() - MOTET_EVENT_TYPES;
}

int motet_context_feature_total(void) {
    return CONTEXT_MODEL + motet_field_total() - motet_field_offset(MOTET_FIELD_NOTE);
}

/* 0..15 exactly, then coarser: the decoder counts towards the density that the bar announced. */
static int note_level(int notes) {
    static const int lowest[] = {16, 20, 24, 32, 40, 48, 64, 96};
    if (notes < 16) return notes;
    int level = 15;
    for (int i = 0; i < 8 && notes >= lowest[i]; i++)
        level++;
    return level;
}

/* Bars after the current one: 0..32, then "more". */
static int left_level(int left) {
    return left < 0 ? 0 : left < LEFT_LEVELS ? left : LEFT_LEVELS - 1;
}

/* The next note of the echoed bar as the last context features. */
static void fill_model(const motet_score_cursor *cursor, int32_t *context,
                       const motet_event *window) {
    for (int i = 0; i < MOTET_NOTE_FIELDS; i++)
        context[i] = -1;
    if (cursor->model < 0) return;
    int32_t symbols[7];
    motet_event_symbols(symbols, &window[cursor->model], cursor->shift);
    if (symbols[0] != MOTET_EVENT_NOTE) {
        context[0] = CONTEXT_MODEL_END;
        return;
    }
    int first = motet_field_offset(MOTET_FIELD_NOTE);
    for (int i = 0; i < MOTET_NOTE_FIELDS; i++)
        context[i] =
            CONTEXT_MODEL + motet_field_offset(MOTET_FIELD_NOTE + i) - first + symbols[1 + i];
}

static void fill_context(const motet_score_cursor *cursor, motet_row *row,
                         const motet_event *window) {
    int32_t *context = row->context;
    context[0] = cursor->metre < 0 ? -1 : CONTEXT_METRE + cursor->metre;
    context[1] = cursor->tempo < 0 ? -1 : CONTEXT_TEMPO + cursor->tempo;
    context[2] = cursor->chord < 0 ? -1 : CONTEXT_CHORD + cursor->chord;
    context[3] = cursor->density < 0 ? -1 : CONTEXT_DENSITY + cursor->density;
    context[4] = cursor->echo < 0 ? -1 : CONTEXT_ECHO + cursor->echo;
    context[5] = CONTEXT_NOTES + note_level(cursor->notes);
    context[6] = CONTEXT_LEFT + left_level(cursor->bars - 1 - cursor->bar);
    context[7] = CONTEXT_PHRASE + (cursor->bar + PHRASE_BARS) % PHRASE_BARS;
    fill_model(cursor, context + 8, window);
}

void motet_cursor_start(motet_score_cursor *cursor, motet_row *row, int32_t first_bar, int32_t bars,
                        int key) {
    *cursor = (motet_score_cursor){.shift = motet_key_shift(key),
                                   .first_bar = first_bar,
                                   .bar = first_bar - 1,
                                   .bars = bars,
                                   .bar_ticks = 4 * MOTET_TICKS_PER_QUARTER,
                                   .model = -1,
                                   .metre = -1,
                                   .tempo = -1,
                                   .chord = -1,
                                   .density = -1,
                                   .echo = -1};
    row->event[0] = first_bar == 0 ? MOTET_ROW_START : MOTET_ROW_CONTINUE;
    for (int i = 1; i < MOTET_EVENT_FEATURES; i++)
        row->event[i] = -1;
    fill_context(cursor, row, NULL);
}

static void enter_bar(motet_score_cursor *cursor, const motet_event *event,
                      const int32_t symbols[7]) {
    int numerator, denominator;
    motet_metre_at(event->field[MOTET_BAR_METRE], &numerator, &denominator);
    cursor->bar++;
    cursor->notes = 0;
    cursor->bar_ticks = motet_metre_ticks(numerator, denominator);
    cursor->metre = symbols[1 + MOTET_BAR_METRE];
    cursor->tempo = symbols[1 + MOTET_BAR_TEMPO];
    cursor->chord = symbols[1 + MOTET_BAR_CHORD];
    cursor->density = symbols[1 + MOTET_BAR_DENSITY];
    cursor->echo = symbols[1 + MOTET_BAR_ECHO];
    cursor->time_bars = (float)(cursor->bar - cursor->first_bar);
    cursor->starts[cursor->bar % MOTET_ECHO_BARS] = cursor->index - 1;
    int back = motet_echo_bars(cursor->echo);
    int32_t echoed = cursor->bar - (back ? back : 1);
    cursor->model = echoed >= cursor->first_bar ? cursor->starts[echoed % MOTET_ECHO_BARS] + 1 : -1;
}

/* Whether note a stands at or before note b in the order of a bar. */
static int not_after(const motet_event *a, const motet_event *b) {
    for (int i = MOTET_NOTE_POSITION; i <= MOTET_NOTE_PITCH; i++)
        if (a->field[i] != b->field[i]) return a->field[i] < b->field[i];
    return 1;
}

void motet_cursor_advance(motet_score_cursor *cursor, motet_row *row, const motet_event *window) {
    const motet_event *event = &window[cursor->index++];
    int32_t symbols[7];
    int count = motet_event_symbols(symbols, event, cursor->shift);
    int first, fields;
    motet_type_fields(event->type, &first, &fields);
    if (event->type == MOTET_EVENT_BAR) {
        enter_bar(cursor, event, symbols);
    } else if (event->type == MOTET_EVENT_NOTE) {
        cursor->notes++;
        cursor->time_bars = (float)(cursor->bar - cursor->first_bar) +
                            (float)event->field[MOTET_NOTE_POSITION] / (float)cursor->bar_ticks;
        while (cursor->model >= 0 && window[cursor->model].type == MOTET_EVENT_NOTE &&
               not_after(&window[cursor->model], event))
            cursor->model++;
    }
    row->event[0] = event->type;
    for (int i = 1; i < MOTET_EVENT_FEATURES; i++)
        row->event[i] = i < count ? MOTET_ROW_TYPES - MOTET_EVENT_TYPES +
                                        motet_field_offset(first + i - 1) + symbols[i]
                                  : -1;
    fill_context(cursor, row, window);
}

void motet_cursor_angles(float *out, const motet_score_cursor *cursor, int width) {
    /* In bars, most useful first, so that narrow heads have the best. */
    static const float wavelengths[16] = {1, 2,      4,  0.5f,     8, 0.25f,   16, 1 / 3.0f,
                                          3, 0.125f, 32, 1 / 6.0f, 6, 0.0625f, 64, 1 / 12.0f};
    int half = width / 2, quarter = width / 4;
    for (int i = 0; i < half; i++) {
        double angle =
            i < quarter ? cursor->index * pow(1000.0, -(double)i / quarter)
                        : 6.283185307179586 * cursor->time_bars / wavelengths[(i - quarter) % 16];
        out[i] = (float)cos(angle);
        out[half + i] = (float)sin(angle);
    }
}
