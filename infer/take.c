#include "infer/take.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/instrument.h"
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

/* Appends to a text that has room for size bytes in all; what does not fit is cut. */
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
                                                         const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

/* What was asked by flag, as flags: the take can be asked for again. "" if nothing was. */
static void spell_flags(char *text, size_t size, const motet_request *request) {
    const motet_facts *facts = &request->facts;
    *text = 0;
    if (facts->bars > 0) append(text, size, " --bars %d", facts->bars);
    if (facts->tempo_bpm > 0) append(text, size, " --tempo %.10g", facts->tempo_bpm);
    if (facts->numerator > 0)
        append(text, size, " --metre %d/%d", facts->numerator, facts->denominator);
    if (facts->key >= 0) append(text, size, " --key '%s'", motet_key_name(facts->key));
    for (int i = 0; i < facts->program_count; i++)
        append(text, size, "%s%s", i ? "," : " --programs '",
               motet_program_nickname(facts->programs[i]));
    if (facts->program_count > 0) append(text, size, "'");
    if (request->free) append(text, size, " --free");
}

motet_status motet_take_midi(unsigned char **bytes, size_t *size, const motet_take *take) {
    const motet_sampling *s = &take->request->sampling;
    char prompt[MOTET_MAX_PROMPT + 16], seed[64], sampling[160], model[64], flags[512], asked[528];
    snprintf(prompt, sizeof prompt, "prompt: %s", take->request->prompt);
    snprintf(seed, sizeof seed, "seed: %llu", (unsigned long long)take->request->seed);
    snprintf(sampling, sizeof sampling,
             "sampling: temperature %g, top-p %g, min-p %g, top-k %d, guidance %g",
             (double)s->temperature, (double)s->top_p, (double)s->min_p, s->top_k,
             (double)s->guidance);
    snprintf(model, sizeof model, "motet model: %s", take->model_hash);
    spell_flags(flags, sizeof flags, take->request);
    snprintf(asked, sizeof asked, "flags:%s", flags);
    const char *lines[] = {prompt, seed, sampling, model, asked};
    motet_midi_texts texts = {lines, *flags ? 5 : 4};
    return motet_midi_write(bytes, size, &take->score, &texts);
}
