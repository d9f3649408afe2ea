#include "infer/generate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "infer/closing.h"
#include "infer/event_step.h"
#include "infer/text_encoder.h"

enum {
    CLOSES = 8,                   /* last bars before one that does not close is taken */
    MOST_NOTES = 128,             /* in any bar */
    GUIDED = MOTET_MOST_SEQUENCES /* with guidance: with and without text and controls */
};

struct motet_session {
    const motet_engine *engine;
    motet_arenas arenas;
    motet_text_acts text;
    motet_attribute_acts attributes;
    motet_score_acts score;
    motet_score_cache caches[GUIDED]; /* for 1 and 2 sequences, on the same memory */
    motet_score_input input;
    int32_t *text_ids, *text_offsets;
    motet_event_step step;

    /* of the piece at hand */
    const motet_request *request;
    motet_score_cache *cache;
    motet_constraints constraints;
    motet_score_cursor cursor;
    motet_event *events;
    int64_t count, capacity;
    int64_t window_first; /* index of the event that the window begins with */
    motet_generation_stats stats;
};

static void layout(motet_session *s) {
    const motet_settings *settings = &s->engine->checkpoint.settings;
    motet_arenas *arenas = &s->arenas;
    int32_t rows = GUIDED * settings->model_window, text = settings->model_text_limit;
    int32_t memory = text + GUIDED * MOTET_MAX_CONTROLS;
    int width = settings->model_width / settings->model_heads;
    motet_text_layout(&s->text, arenas, settings, text, MOTET_F32);
    motet_attributes_layout(&s->attributes, arenas, settings, 1, MOTET_F32);
    motet_score_acts_layout(&s->score, &arenas->device, settings, rows, memory, text, MOTET_F32, 0);
    motet_score_cache_layout(&s->caches[1], arenas, settings, GUIDED, settings->model_window,
                             memory, MOTET_F32);
    s->caches[0] = s->caches[1];
    s->caches[0].sequences = 1;
    for (int i = 0; i < settings->model_layers; i++)
        s->caches[0].k[i].dims[0] = s->caches[0].v[i].dims[0] = 1;
    motet_event_step_layout(&s->step, arenas, settings);
#define INTS(count) motet_arena_take(&arenas->shared, count, sizeof(int32_t))
    s->caches[0].row_offsets = INTS(3);
    s->input.offsets = INTS(GUIDED + 2);
    s->input.events = INTS((int64_t)rows * MOTET_EVENT_FEATURES);
    s->input.context = INTS((int64_t)rows * MOTET_CONTEXT_FEATURES);
    s->input.angles = INTS((int64_t)rows * width);
    s->input.memory_offsets = INTS(GUIDED + 2);
    s->input.memory_text = INTS(memory);
    s->input.memory_controls = INTS(memory);
    s->text_ids = INTS(text);
    s->text_offsets = INTS(2);
#undef INTS
    if (s->caches[0].row_offsets) s->caches[0].row_offsets[1] = s->caches[0].row_offsets[2] = 1;
}

motet_status motet_session_make(motet_session **session, const motet_engine *engine) {
    motet_session *s = calloc(1, sizeof *s);
    if (!s) return MOTET_FAIL(MOTET_E_MEMORY, "cannot allocate a session");
    s->engine = engine;
    s->arenas = motet_arenas_on(engine->backend->memory);
    layout(s);
    motet_status status = motet_arenas_bind(&s->arenas);
    if (status != MOTET_OK) {
        free(s);
        return status;
    }
    layout(s);
    *session = s;
    return MOTET_OK;
}

void motet_session_free(motet_session *session) {
    if (!session) return;
    motet_event_step_free(&session->step, session->engine->backend);
    motet_arenas_free(&session->arenas);
    free(session->events);
    free(session);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* One sequence's memory: text_count text rows, then controls. */
static void add_memory(motet_score_input *input, int32_t text_count,
                       const motet_controls *controls) {
    int32_t symbols[MOTET_MAX_CONTROLS];
    int count = motet_control_symbols(symbols, controls);
    for (int32_t i = 0; i < text_count + count; i++) {
        input->memory_text[input->memory_rows] = i < text_count ? i : -1;
        input->memory_controls[input->memory_rows++] =
            i < text_count ? -1 : symbols[i - text_count];
    }
    input->memory_offsets[++input->sequences] = input->memory_rows;
}

/* Reads the prompt, makes the plan, and fills the decoder's memory for each sequence. */
static motet_status hear(motet_session *s, motet_plan *plan) {
    const motet_backend *backend = s->engine->backend;
    const motet_checkpoint *model = &s->engine->checkpoint;
    const motet_weights *weights = s->engine->weights;
    const motet_settings *settings = &model->settings;
    const char *prompt = s->request->prompt;
    int32_t tokens;
    motet_tensor states;
    MOTET_TRY(backend->memory->synchronize()); /* a piece that was stopped may have left ops */
    MOTET_TRY(motet_wordpiece_encode(s->text_ids, &tokens, settings->model_text_limit,
                                     &s->stats.prompt_truncated, model->tokenizer, prompt,
                                     strlen(prompt)));
    s->stats.prompt_tokens = tokens;
    s->text_offsets[1] = tokens;
    MOTET_TRY(motet_text_forward(&states, &s->text, backend, &weights->text, settings, s->text_ids,
                                 s->text_offsets, 1));
    MOTET_TRY(motet_attributes_forward(&s->attributes, backend, &weights->attributes, settings,
                                       states, s->text_offsets, 1));
    MOTET_TRY(backend->memory->synchronize()); /* the plan reads the logits */
    motet_plan_make(plan, s->request, &s->attributes);

    motet_controls nothing = motet_controls_none();
    int32_t heard = tokens > 2 ? tokens : 0; /* [CLS] [SEP] alone say nothing */
    s->input.sequences = s->input.memory_rows = 0;
    s->input.memory_offsets[0] = 0;
    add_memory(&s->input, heard, &plan->controls);
    if (s->cache->sequences == GUIDED) add_memory(&s->input, 0, &nothing);
    return motet_score_memory(&s->score, backend, weights, &s->input, states);
}

/* Writes a row of the window for every sequence: they differ in memory, not in what was written. */
static void put_row(motet_session *s, const motet_row *row, int32_t at, int32_t rows) {
    const motet_settings *settings = &s->engine->checkpoint.settings;
    int width = settings->model_width / settings->model_heads;
    for (int32_t sequence = 0; sequence < s->cache->sequences; sequence++) {
        int64_t place = (int64_t)sequence * rows + at;
        memcpy(s->input.events + place * MOTET_EVENT_FEATURES, row->event, sizeof row->event);
        memcpy(s->input.context + place * MOTET_CONTEXT_FEATURES, row->context,
               sizeof row->context);
        motet_cursor_angles(s->input.angles + place * width, &s->cursor, width);
    }
}

/* Begins a window at a bar: reads events [first, count) anew. The state of its last row ends up in
 * the first rows of score.states, one for each sequence, as after a step. */
static motet_status open_window(motet_session *s, int64_t first, int32_t first_bar) {
    const motet_engine *engine = s->engine;
    const motet_plan *plan = s->constraints.plan;
    int32_t rows = (int32_t)(s->count - first) + 1, sequences = s->cache->sequences;
    s->window_first = first;
    motet_row row;
    motet_cursor_start(&s->cursor, &row, first_bar, plan->bars, plan->key);
    put_row(s, &row, 0, rows);
    for (int32_t i = 1; i < rows; i++) {
        motet_cursor_advance(&s->cursor, &row, s->events + first);
        put_row(s, &row, i, rows);
    }
    s->input.rows = rows * sequences;
    s->input.sequences = sequences;
    for (int32_t i = 0; i <= sequences; i++)
        s->input.offsets[i] = i * rows;
    s->input.offsets[sequences + 1] = s->input.rows;
    MOTET_TRY(motet_score_forward(&s->score, s->cache, engine->backend, engine->weights,
                                  &engine->checkpoint.settings, &s->input));
    for (int32_t i = 0; i < sequences && rows > 1; i++)
        MOTET_TRY(engine->backend->convert(
            motet_tensor_rows(s->score.states, i, 1),
            motet_tensor_rows(s->score.states, (int64_t)(i + 1) * rows - 1, 1)));
    return MOTET_OK;
}

/* The window is full: go on from the earliest bar that leaves half of it free. */
static motet_status reopen_window(motet_session *s) {
    int32_t half = s->engine->checkpoint.settings.model_window / 2;
    int64_t first = s->count;
    int32_t bar = s->constraints.bar + 1;
    for (int64_t i = s->count - 1; i >= 0 && (s->count - i <= half || first == s->count); i--)
        if (s->events[i].type == MOTET_EVENT_BAR) {
            first = i;
            bar--;
        }
    return open_window(s, first, bar);
}

static motet_status draw(motet_session *s) {
    return motet_event_step_draw(&s->step, s->engine, &s->score, s->cache);
}

/* Asks for the event after the last one. */
static motet_status ask(motet_session *s) {
    motet_event_step_set(&s->step, &s->constraints, s->request);
    if (s->cache->lengths[0] >= s->cache->capacity) {
        MOTET_TRY(reopen_window(s));
        return draw(s);
    }
    motet_row row;
    motet_cursor_advance(&s->cursor, &row, s->events + s->window_first);
    put_row(s, &row, 0, 1);
    s->input.rows = s->cache->sequences;
    return motet_event_step_run(&s->step, s->engine, &s->score, s->cache, &s->input);
}

/* Waits for the event that was asked for: drawn under the plan's promises, anew while it breaks the
 * grammar, at last under both. */
static motet_status receive(motet_session *s, motet_event *event) {
    MOTET_TRY(s->engine->backend->memory->synchronize());
    const motet_field_result *drawn = s->step.drawn;
    double mass = 0;
    for (int i = 0; i < drawn->count; i++)
        mass += drawn->legal_mass[i];
    s->step.draws += (uint64_t)drawn->draws;
    s->stats.drawn_fields += drawn->draws;
    s->stats.rejected += drawn->tries - 1;
    s->stats.forced += drawn->tries == MOTET_EVENT_TRIES;
    s->stats.legal_mass += mass;
    s->stats.accepted_fields += drawn->count;
    motet_event_from_symbols(event, drawn->symbols, s->constraints.shift);
    return MOTET_OK;
}

static motet_status reserve(motet_session *s, int64_t most) {
    if (most <= s->capacity) return MOTET_OK;
    motet_event *events = realloc(s->events, (size_t)most * sizeof *events);
    if (!events) return MOTET_FAIL(MOTET_E_MEMORY, "cannot allocate %lld events", (long long)most);
    s->events = events;
    s->capacity = most;
    return MOTET_OK;
}

static motet_status append(motet_session *s, const motet_event *event) {
    if (s->count == s->capacity) MOTET_TRY(reserve(s, 2 * s->capacity));
    s->events[s->count++] = *event;
    s->stats.notes += event->type == MOTET_EVENT_NOTE;
    motet_constraints_advance(&s->constraints, event);
    return MOTET_OK;
}

/* Where the last bar begins: what a second try of it goes back to (in the same window only: its
 * cache rows are still there). */
typedef struct mark {
    motet_constraints constraints;
    motet_score_cursor cursor;
    int64_t count, notes, window_first;
    int32_t length;
} mark;

static mark mark_here(const motet_session *s) {
    return (mark){s->constraints, s->cursor,       s->count,
                  s->stats.notes, s->window_first, s->cache->lengths[0]};
}

/* Back to just after the last bar's header. */
static void go_back(motet_session *s, const mark *to) {
    s->constraints = to->constraints;
    s->cursor = to->cursor;
    s->count = to->count;
    s->stats.notes = to->notes;
    for (int32_t i = 0; i < s->cache->sequences; i++)
        s->cache->lengths[i] = to->length;
}

static motet_status write_piece(motet_session *s, motet_plan *plan,
                                motet_generation_progress *progress, void *user) {
    double start = seconds();
    int64_t launches = s->step.graph_launches;
    MOTET_TRY(hear(s, plan));
    s->stats.encode_seconds = seconds() - start;
    int32_t most = s->engine->checkpoint.settings.model_window / 2 - 2;
    if (most > MOST_NOTES) most = MOST_NOTES;
    /* All that the piece may have, so that none is taken while it is written: promised instruments
     * come in even where a bar is full. */
    MOTET_TRY(reserve(s, (int64_t)plan->bars * (1 + most + plan->promised_count) + 1));
    motet_constraints_start(&s->constraints, plan, most);
    motet_event_step_start(&s->step, &s->constraints, s->request);
    MOTET_TRY(open_window(s, 0, 0));
    MOTET_TRY(draw(s));
    mark last_bar = {0};
    for (int closes = 1;;) {
        motet_event event;
        MOTET_TRY(receive(s, &event));
        if (event.type == MOTET_EVENT_END && plan->closes && s->request->sampling.temperature > 0 &&
            closes < CLOSES && s->window_first == last_bar.window_first &&
            !motet_closing_is_firm(s->events + last_bar.count, s->count - last_bar.count,
                                   plan->key)) {
            closes++;
            go_back(s, &last_bar);
            MOTET_TRY(ask(s));
            continue;
        }
        MOTET_TRY(append(s, &event));
        if (event.type == MOTET_EVENT_BAR && s->constraints.bar + 1 == plan->bars)
            last_bar = mark_here(s);
        if (event.type != MOTET_EVENT_NOTE && progress && s->constraints.bar >= 0 &&
            progress(user, event.type == MOTET_EVENT_END ? plan->bars : s->constraints.bar,
                     plan->bars))
            return MOTET_FAIL(MOTET_E_USAGE, "stopped in bar %d", s->constraints.bar + 1);
        if (event.type == MOTET_EVENT_END) break;
        MOTET_TRY(ask(s));
    }
    s->stats.events = s->count;
    s->stats.graph_launches = s->step.graph_launches - launches;
    s->stats.generate_seconds = seconds() - start - s->stats.encode_seconds;
    return MOTET_OK;
}

motet_status motet_generate(motet_event **events, int64_t *count, motet_plan *plan,
                            motet_generation_stats *stats, motet_session *session,
                            const motet_request *request, motet_generation_progress *progress,
                            void *user) {
    MOTET_TRY(motet_request_check(request));
    session->request = request;
    session->cache = &session->caches[request->sampling.guidance == 1 ? 0 : 1];
    session->count = 0;
    session->stats = (motet_generation_stats){0};
    motet_status status = write_piece(session, plan, progress, user);
    if (stats) *stats = session->stats;
    MOTET_TRY(status);
    const size_t bytes = (size_t)session->count * sizeof **events;
    *events = malloc(bytes);
    if (!*events) return MOTET_FAIL(MOTET_E_MEMORY, "cannot allocate %zu bytes of events", bytes);
    memcpy(*events, session->events, bytes);
    *count = session->count;
    return MOTET_OK;
}
