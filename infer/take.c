#include "infer/take.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/midi_write.h"
#include "infer/postprocess.h"

motet_status motet_take_make(motet_take *take, motet_engine *engine, const motet_request *request,
                             motet_generation_progress *progress, void *user) {
    *take = (motet_take){.request = request,
                         .model_hash = motet_safetensors_hash(engine->checkpoint.file)};
    motet_session *session;
    motet_event *events;
    int64_t count;
    MOTET_TRY(motet_session_make(&session, engine));
    motet_status status = motet_generate(&events, &count, &take->plan, &take->stats, session,
                                         request, progress, user);
    motet_session_free(session);
    if (status != MOTET_OK) return status;
    status = motet_postprocess(&take->score, events, count, &take->plan,
                               *request->prompt ? request->prompt : "motet");
    free(events);
    if (status == MOTET_OK) status = motet_analyse(&take->analysis, &take->score);
    if (status != MOTET_OK) motet_take_free(take);
    return status;
}

void motet_take_free(motet_take *take) {
    motet_score_free(&take->score);
    motet_analysis_free(&take->analysis);
}

motet_status motet_take_midi(unsigned char **bytes, size_t *size, const motet_take *take) {
    const motet_sampling *s = &take->request->sampling;
    char prompt[MOTET_MAX_PROMPT + 16], seed[64], sampling[160], model[64];
    snprintf(prompt, sizeof prompt, "prompt: %s", take->request->prompt);
    snprintf(seed, sizeof seed, "seed: %llu", (unsigned long long)take->request->seed);
    snprintf(sampling, sizeof sampling,
             "sampling: temperature %g, top-p %g, min-p %g, top-k %d, guidance %g%s",
             (double)s->temperature, (double)s->top_p, (double)s->min_p, s->top_k,
             (double)s->guidance, take->request->free ? ", free" : "");
    snprintf(model, sizeof model, "motet model: %s", take->model_hash);
    const char *lines[] = {prompt, seed, sampling, model};
    motet_midi_texts texts = {lines, 4};
    return motet_midi_write(bytes, size, &take->score, &texts);
}
