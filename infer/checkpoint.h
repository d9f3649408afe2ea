/* checkpoint: one safetensors file with everything a model needs: weights, [model] settings,
 * vocabulary of the tokenizer, all in its metadata. Loaded by mmap: weights are views into the
 * file.
 *
 * Metadata: motet.format "2"; motet.sha256, the file's own hash (format "1" had none: such files
 * are read unchecked); motet.settings, the [model] section as INI text; motet.vocab, the
 * text of vocab.txt; and any notes of the writer. Tensors: those that motet_weights_visit names,
 * f32, bf16, or (matrices that it lets be quantised) i8 with NAME.scale. Other tensors are passed
 * over.
 */
#ifndef MOTET_CHECKPOINT_H
#define MOTET_CHECKPOINT_H

#include "data/safetensors.h"
#include "data/wordpiece.h"
#include "infer/weights.h"

#define MOTET_CHECKPOINT_FORMAT "2"

typedef struct motet_checkpoint {
    motet_settings settings; /* [model] as in the file */
    motet_weights weights;   /* views into file */
    motet_wordpiece *tokenizer;
    motet_safetensors *file;
} motet_checkpoint;

/* Hashes the whole file first. MOTET_E_DATA, naming the file and what is wrong: other bytes than
 * its hash says, no motet settings, settings out of range, a
 * tensor missing, of another shape or dtype, a scale that is not a finite number >= 0, a vocabulary
 * of another size. MOTET_E_UNSUPPORTED for a later format. Settings are checked before anything is
 * sized by them. On failure *checkpoint is empty and need not be closed. */
motet_status motet_checkpoint_open(motet_checkpoint *checkpoint, const char *path);
void motet_checkpoint_close(motet_checkpoint *checkpoint);

/* A note that the writer left (steps, corpus, losses), or NULL. Valid until close. */
const char *motet_checkpoint_note(const motet_checkpoint *checkpoint, const char *key);

/* Writes weights in f32, bf16 or i8 as a checkpoint. precision: MOTET_F32, MOTET_BF16, or MOTET_I8
 * (matrices as int8 with a scale a row, the rest bf16); text_precision likewise for the encoder.
 * notes: more metadata, may be NULL; keys must not begin with "motet.". Refuses what open would
 * refuse: MOTET_E_USAGE for a slot without data, other shapes, settings or a vocabulary that do not
 * fit; MOTET_E_DATA for a value that is not finite where int8 is asked. The file appears whole or
 * not at all. */
motet_status motet_checkpoint_write(const char *path, const motet_weights *weights,
                                    const motet_settings *settings, const char *vocab,
                                    motet_dtype precision, motet_dtype text_precision,
                                    const motet_named_text *notes, int note_count);

/* Fills the text encoder's slots from a Hugging Face BERT safetensors file (names with or without
 * the prefix "bert.", norms as weight/bias or gamma/beta): views into the mapping, which must stay
 * open. MOTET_E_DATA, naming tensor and shapes, if the file holds another encoder than the settings
 * say. */
motet_status motet_text_weights_from_hugging_face(motet_text_weights *weights,
                                                  const motet_settings *settings,
                                                  motet_safetensors *file);

#endif
