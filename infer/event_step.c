#include "infer/event_step.h"

#include <string.h>

enum { STREAM_SAMPLE = 0x73616d70 /* "samp" */ };

void motet_event_step_layout(motet_event_step *step, motet_arenas *arenas,
                             const motet_settings *settings) {
    const int64_t scratch = (int64_t)motet_field_draw_scratch(
        MOTET_MOST_SEQUENCES, settings->model_width, settings->model_field_ffn);
    motet_event_rules_make(&step->rules, MOTET_RMS_EPS);
    step->rules.words = motet_arena_take(&arenas->shared, step->rules.spec.words, sizeof(int32_t));
    step->params = motet_arena_take(&arenas->shared, 1, sizeof *step->params);
    step->drawn = motet_arena_take(&arenas->shared, 1, sizeof *step->drawn);
    step->scratch = motet_arena_tensor(&arenas->device, MOTET_F32, 1, &scratch);
}

void motet_event_step_free(motet_event_step *step, const motet_backend *backend) {
    if (step->graph) backend->graphs->free(step->graph);
    step->graph = NULL;
}

void motet_event_step_start(motet_event_step *step, const motet_constraints *constraints,
                            const motet_request *request) {
    step->draws = 0;
    motet_event_rules_start(&step->rules, constraints);
    motet_event_step_set(step, constraints, request);
}

void motet_event_step_set(motet_event_step *step, const motet_constraints *constraints,
                          const motet_request *request) {
    const motet_sampling *sampling = &request->sampling;
    motet_event_rules_update(&step->rules, constraints);
    *step->params = (motet_field_params){.sample = {.temperature = sampling->temperature,
                                                    .guidance = sampling->guidance,
                                                    .repetition_penalty = 1,
                                                    .top_p = sampling->top_p,
                                                    .min_p = sampling->min_p,
                                                    .top_k = sampling->top_k,
                                                    .seed = request->seed,
                                                    .stream = STREAM_SAMPLE,
                                                    .counter = step->draws},
                                         .tries = MOTET_EVENT_TRIES};
}

motet_status motet_event_step_draw(motet_event_step *step, const motet_engine *engine,
                                   const motet_score_acts *acts, const motet_score_cache *cache) {
    const motet_event_rules *rules = &step->rules;
    return engine->backend->field_draw(
        step->drawn, motet_tensor_rows(acts->states, 0, cache->sequences), engine->weights->fields,
        engine->weights->field_values, motet_vector(rules->words, MOTET_I32, rules->spec.words),
        step->params, &rules->spec, step->scratch);
}

static motet_status by_ops(motet_event_step *step, const motet_engine *engine,
                           motet_score_acts *acts, motet_score_cache *cache,
                           const motet_score_input *input) {
    MOTET_TRY(motet_score_step(acts, cache, engine->backend, engine->weights,
                               &engine->checkpoint.settings, input));
    return motet_event_step_draw(step, engine, acts, cache);
}

/* A graph has the memory's rows in its arguments: one that was recorded for others is forgotten. */
static void forget_others(motet_event_step *step, const motet_graphs *graphs,
                          const motet_score_cache *cache, const motet_score_input *input) {
    const size_t bytes = (size_t)(cache->sequences + 1) * sizeof(int32_t);
    if (step->sequences == cache->sequences &&
        memcmp(step->memory_offsets, input->memory_offsets, bytes) == 0)
        return;
    graphs->free(step->graph);
    step->graph = NULL;
    step->ran = 0;
    step->sequences = cache->sequences;
    memcpy(step->memory_offsets, input->memory_offsets, bytes);
}

motet_status motet_event_step_run(motet_event_step *step, const motet_engine *engine,
                                  motet_score_acts *acts, motet_score_cache *cache,
                                  const motet_score_input *input) {
    const motet_graphs *graphs = engine->backend->graphs;
    if (!graphs) return by_ops(step, engine, acts, cache, input);
    forget_others(step, graphs, cache, input);
    if (!step->ran) {
        MOTET_TRY(by_ops(step, engine, acts, cache, input));
        step->ran = 1;
        return MOTET_OK;
    }
    if (step->graph) {
        MOTET_TRY(motet_score_cache_extend(cache));
    } else {
        MOTET_TRY(graphs->begin());
        motet_status asked = by_ops(step, engine, acts, cache, input);
        motet_status ended = graphs->end(&step->graph);
        if (asked != MOTET_OK) {
            graphs->free(step->graph);
            step->graph = NULL;
            return asked;
        }
        MOTET_TRY(ended);
    }
    step->graph_launches++;
    return graphs->launch(step->graph);
}
