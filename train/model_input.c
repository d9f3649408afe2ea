#include "train/model_input.h"

#include <string.h>

#include "infer/field_decoder.h"

enum { STREAM_DROPOUT = 0x64726f70 }; /* "drop" */

static int32_t round_up(int64_t count) {
    return (int32_t)((count + MOTET_ROW_STEP - 1) / MOTET_ROW_STEP * MOTET_ROW_STEP);
}

motet_input_limits motet_input_limits_for(const motet_settings *settings) {
    motet_input_limits limits = {.rows = settings->train_rows};
    limits.sequences = limits.rows / 16 + 2;
    int32_t captions = settings->train_rows / 2;
    if (captions < 2 * settings->model_text_limit) captions = 2 * settings->model_text_limit;
    limits.text_rows = round_up(captions + MOTET_ROW_STEP);
    limits.memory_rows =
        round_up((int64_t)limits.text_rows + (int64_t)limits.sequences * MOTET_MAX_CONTROLS);
    return limits;
}

void motet_model_input_layout(motet_model_input *input, motet_arena *arena,
                              const motet_settings *settings) {
    motet_input_limits limits = motet_input_limits_for(settings);
    int64_t rows = limits.rows, sequences = limits.sequences;
    int width = settings->model_width / settings->model_heads;
#define INTS(count) motet_arena_take(arena, count, sizeof(int32_t))
    input->score.offsets = INTS(sequences + 2);
    input->score.events = INTS(rows * MOTET_EVENT_FEATURES);
    input->score.context = INTS(rows * MOTET_CONTEXT_FEATURES);
    input->score.angles = INTS(rows * width);
    input->score.memory_offsets = INTS(sequences + 2);
    input->score.memory_text = INTS(limits.memory_rows);
    input->score.memory_controls = INTS(limits.memory_rows);
    input->text_ids = INTS(limits.text_rows);
    input->text_offsets = INTS(sequences + 2);
    for (int f = 0; f < MOTET_FIELDS; f++) {
        int64_t most = round_up(rows);
        input->field_rows[f] = INTS(most);
        input->field_targets[f] = INTS(most);
        input->field_values[f] = INTS(most * motet_field_earlier(f));
    }
    input->attribute_targets = INTS(sequences * (MOTET_ATTRIBUTES - 1));
    input->program_targets = INTS(sequences * MOTET_PROGRAMS);
#undef INTS
}

/* What is asked of a window's piece, before anything is dropped. */
static motet_controls controls_of(const motet_piece *piece) {
    motet_controls controls = motet_controls_none();
    controls.tempo = motet_tempo_bin(piece->tempo_bpm);
    controls.metre = piece->metre;
    controls.key = piece->key == MOTET_NO_KEY ? -1 : piece->key;
    controls.bars = (int)piece->bars;
    controls.density = piece->density;
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        if (motet_piece_has_program(piece, p) && controls.program_count < 16)
            controls.programs[controls.program_count++] = (uint8_t)p;
    return controls;
}

static void drop_controls(motet_controls *controls, motet_rng *rng, float chance) {
    int *values[] = {&controls->tempo, &controls->metre,   &controls->key,
                     &controls->bars,  &controls->density, &controls->program_count};
    for (int i = 0; i < 6; i++)
        if (motet_rng_uniform(rng) < chance) *values[i] = i == 5 ? 0 : -1;
}

static void add_target(motet_model_input *input, int field, int32_t row, int32_t target,
                       const int32_t *earlier) {
    int32_t at = input->field_counts[field]++;
    int count = motet_field_earlier(field), first = field - count;
    input->field_rows[field][at] = row;
    input->field_targets[field][at] = target;
    for (int j = 0; j < count; j++)
        input->field_values[field][at * count + j] = motet_field_offset(first + j) + earlier[j];
    input->targets++;
}

static void add_window(motet_model_input *input, const motet_window *window, int32_t first_row,
                       int width) {
    motet_score_cursor cursor;
    motet_row row;
    motet_cursor_start(&cursor, &row, window->first_bar, (int32_t)window->piece->bars,
                       window->piece->key);
    for (int32_t i = 0; i < window->count; i++) {
        int64_t at = first_row + i;
        memcpy(input->score.events + at * MOTET_EVENT_FEATURES, row.event, sizeof row.event);
        memcpy(input->score.context + at * MOTET_CONTEXT_FEATURES, row.context, sizeof row.context);
        motet_cursor_angles(input->score.angles + at * width, &cursor, width);

        int32_t symbols[7];
        int count = motet_event_symbols(symbols, &window->events[i], cursor.shift), first, fields;
        motet_type_fields(symbols[0], &first, &fields);
        add_target(input, MOTET_FIELD_TYPE, (int32_t)at, symbols[0], NULL);
        for (int k = 0; k + 1 < count; k++)
            add_target(input, first + k, (int32_t)at, symbols[1 + k], symbols + 1);
        motet_cursor_advance(&cursor, &row, window->events);
    }
}

static void add_memory(motet_model_input *input, const motet_controls *controls, int32_t text_first,
                       int32_t text_count) {
    motet_score_input *score = &input->score;
    for (int32_t i = 0; i < text_count; i++) {
        score->memory_text[score->memory_rows] = text_first + i;
        score->memory_controls[score->memory_rows++] = -1;
    }
    int32_t symbols[MOTET_MAX_CONTROLS];
    int count = motet_control_symbols(symbols, controls);
    for (int i = 0; i < count; i++) {
        score->memory_text[score->memory_rows] = -1;
        score->memory_controls[score->memory_rows++] = symbols[i];
    }
}

static void add_attribute_targets(motet_model_input *input, int32_t sequence,
                                  const motet_controls *controls) {
    int32_t *targets = input->attribute_targets + sequence * (MOTET_ATTRIBUTES - 1);
    targets[MOTET_ATTRIBUTE_TEMPO] = controls->tempo;
    targets[MOTET_ATTRIBUTE_METRE] = controls->metre;
    targets[MOTET_ATTRIBUTE_KEY] = controls->key;
    targets[MOTET_ATTRIBUTE_BARS] = motet_bars_level(controls->bars);
    targets[MOTET_ATTRIBUTE_DENSITY] = controls->density;
    int32_t *programs = input->program_targets + sequence * MOTET_PROGRAMS;
    memset(programs, 0, MOTET_PROGRAMS * sizeof *programs);
    for (int i = 0; i < controls->program_count; i++)
        programs[controls->programs[i]] = 1;
}

/* Rows up to a multiple of MOTET_ROW_STEP: shapes repeat, and padding adds nothing to any sum. */
static void pad(motet_model_input *input) {
    for (int f = 0; f < MOTET_FIELDS; f++) {
        int32_t count = input->field_counts[f], most = round_up(count);
        int earlier = motet_field_earlier(f);
        for (int32_t i = count; i < most; i++) {
            input->field_rows[f][i] = -1;
            input->field_targets[f][i] = -1;
            for (int j = 0; j < earlier; j++)
                input->field_values[f][i * earlier + j] = -1;
        }
        input->field_counts[f] = most;
    }
    input->texts = input->score.sequences;
    int32_t text_rows = round_up(input->text_rows);
    if (text_rows > input->text_rows) {
        memset(input->text_ids + input->text_rows, 0,
               (size_t)(text_rows - input->text_rows) * sizeof *input->text_ids);
        input->text_rows = text_rows;
        input->text_offsets[++input->texts] = text_rows;
    }
    motet_score_input *score = &input->score;
    int32_t memory_rows = round_up(score->memory_rows);
    for (; score->memory_rows < memory_rows; score->memory_rows++) {
        score->memory_text[score->memory_rows] = -1;
        score->memory_controls[score->memory_rows] = -1;
    }
    score->memory_offsets[score->sequences + 1] = memory_rows;
    score->offsets[score->sequences + 1] = score->rows;
}

motet_status motet_model_input_build(motet_model_input *input, const motet_batch *batch,
                                     const motet_wordpiece *tokenizer,
                                     const motet_settings *settings, int64_t step, int rank,
                                     int evaluate) {
    motet_input_limits limits = motet_input_limits_for(settings);
    int width = settings->model_width / settings->model_heads;
    if (batch->rows > limits.rows || batch->window_count > limits.sequences)
        return MOTET_FAIL(MOTET_E_USAGE, "a batch of %d events in %d windows; at most %d in %d",
                          batch->rows, batch->window_count, limits.rows, limits.sequences);
    motet_score_input *score = &input->score;
    score->rows = score->memory_rows = input->text_rows = input->targets = 0;
    score->sequences = batch->window_count;
    score->offsets[0] = score->memory_offsets[0] = input->text_offsets[0] = 0;
    memset(input->field_counts, 0, sizeof input->field_counts);
    motet_rng rng = motet_rng_make((uint64_t)settings->train_seed, STREAM_DROPOUT);

    for (int32_t s = 0; s < batch->window_count; s++) {
        const motet_window *window = &batch->windows[s];
        rng.counter = ((uint64_t)step << 28) | ((uint64_t)rank << 16) | ((uint64_t)s << 4);
        rng.left = 0;
        motet_controls controls = controls_of(window->piece);
        add_attribute_targets(input, s, &controls);

        int32_t text_count = 0, text_first = input->text_rows;
        int32_t room = limits.text_rows - MOTET_ROW_STEP - text_first;
        if (room > settings->model_text_limit) room = settings->model_text_limit;
        if (room >= 2)
            MOTET_TRY(motet_wordpiece_encode(input->text_ids + text_first, &text_count, room, NULL,
                                             tokenizer, window->caption, strlen(window->caption)));
        input->text_rows += text_count;
        input->text_offsets[s + 1] = input->text_rows;

        int32_t heard = text_count;
        if (!evaluate) {
            float fate = motet_rng_uniform(&rng);
            if (fate < settings->train_unconditional)
                heard = 0, controls = motet_controls_none();
            else if (fate < settings->train_unconditional + settings->train_caption_dropout)
                heard = 0;
            drop_controls(&controls, &rng, settings->train_control_dropout);
        }
        add_memory(input, &controls, text_first, heard);
        score->memory_offsets[s + 1] = score->memory_rows;
        add_window(input, window, score->rows, width);
        score->rows += window->count;
        score->offsets[s + 1] = score->rows;
    }
    input->events = score->rows;
    pad(input);
    return MOTET_OK;
}
