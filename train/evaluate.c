#include "train/evaluate.h"

#include <string.h>

motet_status motet_evaluate(motet_losses *losses, motet_training *t) {
    memset(losses, 0, sizeof *losses);
    if (!t->valid)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s: no piece is held out for validation",
                          t->settings.data_corpus);
    for (int i = 0; i < t->settings.train_eval_batches; i++) {
        MOTET_TRY(motet_loader_batch(&t->batch, t->valid, i, 0));
        MOTET_TRY(motet_model_input_build(&t->input, &t->batch, t->encoder.tokenizer, &t->settings,
                                          i, 0, 1));
        MOTET_TRY(motet_gradient_run(losses, NULL, t->gradient, &t->backend, t->optimizer->compute,
                                     &t->settings, &t->input, 1));
    }
    return MOTET_OK;
}
