#include "train/evaluate.h"

#include <stdlib.h>
#include <string.h>

/* Batches are dealt out to the ranks; each has its own losses, so that their sum has one order. */
static motet_status run_batches(motet_losses *slots, motet_training *t) {
    const motet_communicator *c = t->communicator;
    for (int64_t i = c->rank; i < t->settings.train_eval_batches; i += c->ranks) {
        MOTET_TRY(motet_loader_batch(&t->batch, t->valid, i, 0));
        MOTET_TRY(motet_model_input_build(&t->input, &t->batch, t->encoder.tokenizer, &t->settings,
                                          i, 0, 1));
        MOTET_TRY(motet_gradient_run(slots++, NULL, t->gradient, &t->backend, t->optimizer->compute,
                                     &t->settings, &t->input, 1));
    }
    return MOTET_OK;
}

motet_status motet_evaluate(motet_losses *losses, motet_training *t) {
    memset(losses, 0, sizeof *losses);
    if (!t->valid)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s: no piece is held out for validation",
                          t->settings.data_corpus);
    const motet_communicator *c = t->communicator;
    int64_t count = t->settings.train_eval_batches, row = (count + c->ranks - 1) / c->ranks;
    motet_losses *slots = calloc((size_t)(row * c->ranks), sizeof *slots);
    if (!slots) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the losses of an evaluation");
    motet_status status = run_batches(slots + c->rank * row, t);
    if (status == MOTET_OK) status = motet_training_add_losses(losses, slots, t, count);
    free(slots);
    return status;
}
