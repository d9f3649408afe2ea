/* settings: every number a user can set, in one table. From it come the struct, the INI parser with
 * its range checks, the --section.key=value overrides, --help, and the text kept in checkpoints.
 *
 * X(section, key, type, default, lowest, highest, "what it means")   types: INT, I64, F32, STR
 */
#ifndef MOTET_SETTINGS_H
#define MOTET_SETTINGS_H

#include <stdint.h>

#include "kernels/core/status.h"

#define MOTET_SETTING_TEXT 512

/* clang-format off */
#define MOTET_MODEL_SETTINGS(X)                                                                        \
    X(model, width, INT, 256, 16, 8192, "D: width of the score and field decoders")                    \
    X(model, layers, INT, 6, 1, 64, "layers of the score decoder")                                     \
    X(model, heads, INT, 4, 1, 128, "attention heads; width / heads is 16, 32, 64 or 128")             \
    X(model, ffn, INT, 640, 16, 32768, "hidden width of the score decoder's SwiGLU")                   \
    X(model, field_ffn, INT, 192, 16, 32768, "hidden width of each field's SwiGLU")                    \
    X(model, window, INT, 512, 16, 65536, "events the score decoder sees at once")                     \
    X(model, text_vocab, INT, 30522, 8, 1000000, "tokens of the text encoder")                         \
    X(model, text_width, INT, 384, 16, 8192, "width of the text encoder")                              \
    X(model, text_layers, INT, 6, 1, 64, "layers of the text encoder")                                 \
    X(model, text_heads, INT, 12, 1, 128, "attention heads of the text encoder")                       \
    X(model, text_ffn, INT, 1536, 16, 32768, "hidden width of the text encoder's feed-forward")        \
    X(model, text_positions, INT, 512, 16, 65536, "learned positions of the text encoder")             \
    X(model, text_limit, INT, 96, 8, 512, "tokens of a prompt that are read")

#define MOTET_RUN_SETTINGS(X)                                                                          \
    X(data, corpus, STR, "", 0, 0, "corpus files (.h5), separated by commas")                          \
    X(data, weights, STR, "", 0, 0, "weights of sources, such as mma:1,lieder:0.5")                    \
    X(train, steps, I64, 10000, 0, 1000000000, "optimizer steps in all")                               \
    X(train, rows, INT, 4096, 16, 1048576, "events in one micro-batch")                                \
    X(train, accumulate, INT, 1, 1, 4096, "micro-batches in one step")                                 \
    X(train, dtype, STR, "bf16", 0, 0, "activations and products: bf16 or f32")                        \
    X(train, recompute, STR, "none", 0, 0, "activations computed again in the backward pass: none, selective, full") \
    X(train, part, STR, "all", 0, 0, "what learns: all, or attributes (the heads on the text alone)")      \
    X(train, seed, I64, 1, 0, INT64_MAX, "seed of initialisation, data order and dropouts")            \
    X(train, muon_lr, F32, 0.004, 0, 1, "learning rate of matrices (Muon)")                            \
    X(train, muon_momentum, F32, 0.95, 0, 0.9999, "momentum of Muon")                                  \
    X(train, adamw_lr, F32, 0.002, 0, 1, "learning rate of everything else (AdamW)")                   \
    X(train, beta1, F32, 0.9, 0, 0.9999, "AdamW's first moment")                                       \
    X(train, beta2, F32, 0.98, 0, 0.99999, "AdamW's second moment")                                    \
    X(train, weight_decay, F32, 0.02, 0, 10, "decoupled weight decay of matrices")                     \
    X(train, warmup, I64, 100, 0, 1000000, "steps of linear warm-up")                                  \
    X(train, final_lr, F32, 0.05, 0, 1, "end of the cosine, as a share of the learning rate")          \
    X(train, clip, F32, 1.0, 0, 1000000, "global gradient norm; 0: no clipping")                       \
    X(train, caption_dropout, F32, 0.15, 0, 1, "share of windows without their caption")               \
    X(train, control_dropout, F32, 0.3, 0, 1, "chance of each control to be left out")                 \
    X(train, unconditional, F32, 0.12, 0, 1, "share of windows without caption and controls")          \
    X(train, attribute_weight, F32, 0.1, 0, 100, "weight of the attribute heads' loss")                \
    X(train, text_frozen, INT, 1, 0, 1, "1: the text encoder stays as it is")                          \
    X(train, eval_every, I64, 250, 0, 1000000000, "steps between evaluations; 0: only at the end")     \
    X(train, eval_batches, INT, 8, 1, 100000, "batches of an evaluation")                              \
    X(train, save_every, I64, 500, 0, 1000000000, "steps between checkpoints; 0: only at the end")     \
    X(train, log_every, I64, 10, 1, 1000000, "steps between log lines")                                \
    X(train, device, STR, "auto", 0, 0, "auto (a GPU if there is one), cpu, cuda, cuda:N")             \
    X(train, communicator, STR, "auto", 0, 0, "between ranks: auto, mpi, nccl")                        \
    X(train, shard, INT, 1, 0, 1, "1: each rank updates a part of the weights (ZeRO-1); 0: all do all") \
    X(train, overlap, INT, 1, 0, 1, "1: gradients travel while the backward pass still runs")           \
    X(train, bucket_mb, F32, 25, 0.001, 4096, "megabytes of gradients that travel together")           \
    X(train, timeout, INT, 25, 0, 86400, "seconds to wait for a rank in a step; 0: for ever")          \
    X(train, start_timeout, INT, 45, 1, 86400, "seconds until all ranks must have come")               \
    X(train, spike_loss, F32, 2, 0, 1000000, "leave an update out above so many median losses; 0: never")  \
    X(train, spike_norm, F32, 10, 0, 1000000, "the same of gradient norms")                            \
    X(train, rollbacks, INT, 3, 0, 1000000, "times to go back to a checkpoint after three left out")   \
    X(train, replica_hash, INT, 100, 0, 1000000, "steps between comparisons of the ranks' weights; 0: never") \
    X(train, threads, INT, 0, 0, 1024, "OpenMP threads; 0: all cores")                                 \
    X(run, dir, STR, "runs/mini", 0, 0, "run directory: log, checkpoints, resolved settings")          \
    X(run, encoder, STR, "", 0, 0, "safetensors of a pretrained text encoder (Hugging Face BERT)")     \
    X(run, vocab, STR, "", 0, 0, "vocab.txt of the text encoder")                                      \
    X(run, keep, INT, 2, 1, 10000, "checkpoints kept beside the best one")                \
    X(run, metrics, STR, "", 0, 0, "PORT or HOST:PORT where Prometheus finds the newest numbers")
/* clang-format on */

#define MOTET_SETTING_FIELD(section, key, type, ...) MOTET_SETTING_FIELD_##type(section##_##key);
#define MOTET_SETTING_FIELD_INT(name) int name
#define MOTET_SETTING_FIELD_I64(name) int64_t name
#define MOTET_SETTING_FIELD_F32(name) float name
#define MOTET_SETTING_FIELD_STR(name) char name[MOTET_SETTING_TEXT]

/* Members are named section_key: settings.model_width, settings.train_steps. */
typedef struct motet_settings {
    MOTET_MODEL_SETTINGS(MOTET_SETTING_FIELD)
    MOTET_RUN_SETTINGS(MOTET_SETTING_FIELD)
} motet_settings;

/* Every setting at its default. */
void motet_settings_default(motet_settings *settings);

/* Reads an INI file ([section], key = value, # or ; comments) over what is there. MOTET_E_USAGE
 * with file, line and the nearest known key on an unknown one; with the range on a value outside
 * it. */
motet_status motet_settings_read_file(motet_settings *settings, const char *path);
motet_status motet_settings_read_text(motet_settings *settings, const char *text, const char *name);

/* One override, "section.key=value" (leading "--" allowed). Errors as above, without file and line.
 */
motet_status motet_settings_override(motet_settings *settings, const char *assignment);

/* What no range says: heads divide widths, head widths are those of the kernels, dtype is a known
 * one. */
motet_status motet_settings_check(const motet_settings *settings);

/* Whether train.part says that only the attribute heads learn. */
int motet_settings_attributes_only(const motet_settings *settings);

/* All settings as INI text (model_only: just [model]), malloc'd. Reading it back gives the same
 * values bit for bit. NULL when memory is out. */
char *motet_settings_text(const motet_settings *settings, int model_only);

/* The table as --help prints it, one line a setting, malloc'd. */
char *motet_settings_help(void);

#endif
