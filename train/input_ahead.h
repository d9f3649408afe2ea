/* input_ahead: the input of the next micro-batch, made by the host (windows read, captions
 * tokenised, features and angles written) while the device is busy with this one. Two inputs in
 * shared memory take turns: ops read the one, the host writes the other. */
#ifndef MOTET_INPUT_AHEAD_H
#define MOTET_INPUT_AHEAD_H

#include "data/loader.h"
#include "train/model_input.h"

typedef struct motet_input_ahead motet_input_ahead;

/* Loader, tokenizer and settings stay the caller's. memory: of the back-end that reads the inputs.
 */
motet_status motet_input_ahead_make(motet_input_ahead **ahead, motet_loader *loader,
                                    const motet_wordpiece *tokenizer,
                                    const motet_settings *settings, const motet_memory *memory);
void motet_input_ahead_free(motet_input_ahead *ahead);

/* The input of micro-batch `index`, the same whether it was made ahead or is made now. It stays as
 * it is until the next take; ops that read the one before must have ended. next: what
 * motet_input_ahead_prepare will make. */
motet_status motet_input_ahead_take(const motet_model_input **input, motet_input_ahead *ahead,
                                    int64_t index, int64_t next);

/* Makes the input that was announced. What fails here fails again, and is reported, when it is
 * taken. */
void motet_input_ahead_prepare(void *ahead);

#endif
