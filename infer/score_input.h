/* score_input: events as rows that the score decoder reads, and the decoder's memory.
 *
 * Row i of a window stands for what was written before event i: row 0 is START (bar 0) or CONTINUE
 * (a window from the middle), row i+1 is event i. Beside the event's own fields a row says where it
 * is: the bar's metre, chord, density and echo, notes so far in the bar, bars left, place in the
 * 8-bar phrase.
 */
#ifndef MOTET_SCORE_INPUT_H
#define MOTET_SCORE_INPUT_H

#include "infer/controls.h"
#include "infer/field_codec.h"

#define MOTET_EVENT_FEATURES                                             \
    7 /* rows of weights.events summed: type and fields; -1 where absent \
       */
#define MOTET_CONTEXT_FEATURES 13 /* rows of weights.context summed; -1 where absent */
#define MOTET_ECHO_BARS 17 /* bars that a cursor remembers: the current one and 16 before it */

/* Types beyond those of events: what opens a window. */
enum { MOTET_ROW_START = MOTET_EVENT_TYPES, MOTET_ROW_CONTINUE, MOTET_ROW_TYPES };

/* One row's table rows. */
typedef struct motet_row {
    int32_t event[MOTET_EVENT_FEATURES];
    int32_t context[MOTET_CONTEXT_FEATURES];
} motet_row;

typedef struct motet_score_input {
    int32_t rows, sequences;
    int32_t *offsets; /* [sequences+2], the last twice: padding of the memory has no rows here */
    int32_t *events;  /* [rows, MOTET_EVENT_FEATURES]: rows of weights.events */
    int32_t *context; /* [rows, MOTET_CONTEXT_FEATURES]: rows of weights.context */
    float *angles;    /* [rows, W]: cos, sin of the rotary angles (kernels/rope.h) */
    int32_t memory_rows;
    int32_t *memory_offsets; /* [sequences+1] */
    int32_t *memory_text;    /* [memory_rows]: row of the projected text states, -1 for a control */
    int32_t *memory_controls; /* [memory_rows]: row of weights.controls, -1 for a text token */
} motet_score_input;

/* Follows a piece event by event and says each row. */
typedef struct motet_score_cursor {
    int32_t shift;     /* of the key */
    int32_t index;     /* row in the window */
    int32_t first_bar; /* where the window begins */
    int32_t bar, bars; /* current bar of the piece, first_bar - 1 before the first; bars in all */
    int32_t notes;     /* so far in the bar */
    int32_t starts[MOTET_ECHO_BARS]; /* index of the BAR event of bar b at b % MOTET_ECHO_BARS */
    int32_t model;     /* index of the next event of the bar that is echoed; -1: there is none */
    int32_t bar_ticks; /* length of the current bar */
    int32_t metre, tempo, chord, density, echo; /* of the current bar; -1 before the first */
    float time_bars; /* since the window's first bar: bars + position / bar length */
} motet_score_cursor;

int motet_event_feature_total(void);   /* rows of weights.events */
int motet_context_feature_total(void); /* rows of weights.context */

/* First row of a window that begins with bar first_bar of a piece of `bars` bars in this key. */
void motet_cursor_start(motet_score_cursor *cursor, motet_row *row, int32_t first_bar, int32_t bars,
                        int key);

/* The row after event window[cursor->index]; window: the events since the window's first bar. */
void motet_cursor_advance(motet_score_cursor *cursor, motet_row *row, const motet_event *window);

/* cos [W/2] and sin [W/2] for the current row: pairs 0..W/4-1 turn with the index in the window,
 * the others with musical time, at wavelengths of whole bars and simple fractions of one. */
void motet_cursor_angles(float *out, const motet_score_cursor *cursor, int width);

#endif
