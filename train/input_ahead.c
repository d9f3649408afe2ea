#include "train/input_ahead.h"

#include <stdlib.h>

typedef struct place {
    motet_model_input input;
    int64_t index; /* -1: nothing is in it */
} place;

struct motet_input_ahead {
    motet_loader *loader;
    const motet_wordpiece *tokenizer;
    const motet_settings *settings;
    motet_batch batch;
    motet_arena memory;
    place places[2];
    int taken;
    int64_t next;
};

motet_status motet_input_ahead_make(motet_input_ahead **result, motet_loader *loader,
                                    const motet_wordpiece *tokenizer,
                                    const motet_settings *settings, const motet_memory *memory) {
    motet_input_ahead *ahead = calloc(1, sizeof *ahead);
    *result = NULL;
    if (!ahead) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the inputs of a step");
    ahead->loader = loader;
    ahead->tokenizer = tokenizer;
    ahead->settings = settings;
    ahead->memory = motet_arenas_on(memory).shared;
    ahead->next = -1;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 2; i++) {
            motet_model_input_layout(&ahead->places[i].input, &ahead->memory, settings);
            ahead->places[i].index = -1;
        }
        motet_status status = pass ? MOTET_OK : motet_arena_bind(&ahead->memory);
        if (status != MOTET_OK) {
            free(ahead);
            return status;
        }
    }
    *result = ahead;
    return MOTET_OK;
}

void motet_input_ahead_free(motet_input_ahead *ahead) {
    if (!ahead) return;
    motet_arena_free(&ahead->memory);
    motet_batch_free(&ahead->batch);
    free(ahead);
}

static motet_status build(place *p, motet_input_ahead *ahead, int64_t index) {
    p->index = -1;
    MOTET_TRY(motet_loader_batch(&ahead->batch, ahead->loader, index, 0));
    MOTET_TRY(motet_model_input_build(&p->input, &ahead->batch, ahead->tokenizer, ahead->settings,
                                      index, 0, 0));
    p->index = index;
    return MOTET_OK;
}

motet_status motet_input_ahead_take(const motet_model_input **input, motet_input_ahead *ahead,
                                    int64_t index, int64_t next) {
    ahead->taken = !ahead->taken;
    place *p = &ahead->places[ahead->taken];
    if (p->index != index) MOTET_TRY(build(p, ahead, index));
    ahead->next = next;
    *input = &p->input;
    return MOTET_OK;
}

void motet_input_ahead_prepare(void *user) {
    motet_input_ahead *ahead = user;
    if (ahead->next >= 0) (void)build(&ahead->places[!ahead->taken], ahead, ahead->next);
    ahead->next = -1;
}
