/* state_manifest: what a checkpoint folder holds and where it comes from, as manifest.json. A
 * folder is used only after every file agrees with its manifest.
 */
#ifndef MOTET_STATE_MANIFEST_H
#define MOTET_STATE_MANIFEST_H

#include "train/train_state.h"

#define MOTET_STATE_FILE "state.safetensors"
#define MOTET_MODEL_FILE "model.safetensors"

/* Hashes the folder's files and writes manifest.json beside them. */
motet_status motet_state_manifest_write(const char *folder, int64_t step,
                                        const motet_state_context *context);

/* MOTET_E_DATA, naming the file, if the manifest is missing, no manifest or not the one that was
 * written, or a file's size or hash is another; MOTET_E_USAGE if the [model] settings, the encoder
 * or (unless other_corpus) the corpora are not those of the context. */
motet_status motet_state_manifest_check(const char *folder, const motet_state_context *context,
                                        int other_corpus);

#endif
