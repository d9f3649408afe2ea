/* optimizer_step: the weights while they are trained, and one update of all of them.
 *
 * Master weights, gradients and moments are f32. What the model computes with is a second set: for
 * bf16 training every matrix is a bf16 copy of its master, made after each update, while vectors
 * (norms, biases) are the masters themselves; for f32 training all are. Matrices of the hidden
 * layers are updated by Muon, everything else by AdamW, the text encoder not at all: it has no
 * gradients and no moments.
 *
 * On several ranks each may keep the moments of its own part only, and update that (zero.h). Then
 * the functions marked "collective" are called by all ranks alike.
 */
#ifndef MOTET_OPTIMIZER_STEP_H
#define MOTET_OPTIMIZER_STEP_H

#include "infer/weights.h"
#include "kernels/backend.h"
#include "train/communicator.h"
#include "train/zero.h"

/* One parameter with all that belongs to it. */
typedef struct motet_trained {
    char name[96];
    motet_update update;
    motet_tensor master, gradient, compute;
    motet_tensor first, second; /* Muon: momentum, none; AdamW: both moments; frozen: none. No data
                                   where this rank does not have all of them */
    int whole;                  /* this rank has all of the moments */
} motet_trained;

typedef struct motet_optimizer {
    motet_weights *master, *gradients, *compute; /* one table each */
    motet_trained *parameters;                   /* [count] in the order of the table */
    int count;
    motet_dtype dtype;          /* of the compute copies */
    const motet_memory *memory; /* where all of it is */
    motet_communicator *communicator;
    int sharded;            /* other ranks own parts */
    motet_zero_part *parts; /* [piece_count] what is updated at once, and by whom */
    motet_trained *pieces;  /* [piece_count] views of the parameters, part by part */
    int piece_count;
    /* private */
    motet_part *traffic; /* [piece_count] room for lists */
    motet_arena collected;
    motet_arena master_memory, gradient_memory, moment_memory, compute_memory;
    motet_arena text_memory, shared_memory;
    void *scratch; /* scratch_bytes for each of the threads */
    size_t scratch_bytes;
    int threads;
    double *squares; /* [piece_count], shared memory; 0 where there is no gradient */
} motet_optimizer;

/* Takes all memory, in that of the back-end that will run, and draws the initial weights.
 * pretrained: the text encoder's weights (f32, the host's, the caller's for as long as the
 * optimizer lives: a back-end with memory of its own gets a copy), or NULL to draw these, too.
 * Weights at rest are only in master: call motet_optimizer_refresh before computing with them. */
motet_status motet_optimizer_make(motet_optimizer **optimizer, const motet_settings *settings,
                                  const motet_text_weights *pretrained, const motet_memory *memory);

/* The same for one of several ranks; train.shard decides whether each keeps only its own moments.
 * The communicator is the caller's. */
motet_status motet_optimizer_make_rank(motet_optimizer **optimizer, const motet_settings *settings,
                                       const motet_text_weights *pretrained,
                                       const motet_memory *memory,
                                       motet_communicator *communicator);
void motet_optimizer_free(motet_optimizer *optimizer); /* NULL is fine */

/* Copies masters to the compute set: those that are trained, and with text != 0 the encoder's. */
motet_status motet_optimizer_refresh(motet_optimizer *optimizer, const motet_backend *backend,
                                     int text);

/* Sets all gradients to zero. */
motet_status motet_optimizer_zero(motet_optimizer *optimizer);

/* Global norm of all gradients, summed in the order of the table, the same bits on every rank. May
 * be NaN or infinite. Waits for the back-end. Collective. */
motet_status motet_optimizer_norm(double *norm, motet_optimizer *optimizer,
                                  const motet_backend *backend);

/* One update with learning rates times lr_factor and gradients scaled so that their global norm is
 * at most train.clip (0: as they are); refreshes the compute set. norm: from the function above,
 * must be finite. step: 1 for the first. Weight decay acts on the matrices of Muon only.
 * Collective. */
motet_status motet_optimizer_step(motet_optimizer *optimizer, const motet_backend *backend,
                                  const motet_settings *settings, int64_t step, float lr_factor,
                                  double norm);

typedef struct motet_optimizer_bytes {
    size_t master, gradients, moments, compute;
} motet_optimizer_bytes;
motet_optimizer_bytes motet_optimizer_memory(const motet_optimizer *optimizer);

/* Sets every output bias to log frequencies: counts [motet_field_total()], one more each. */
motet_status motet_optimizer_output_bias(motet_optimizer *optimizer, const int64_t *counts);

/* The master weights where the host can read them: master itself, or a copy of it in an arena that
 * the caller frees; table is a place for its tensors. */
motet_status motet_optimizer_host_master(const motet_weights **weights, motet_weights *table,
                                         motet_arena *arena, const motet_optimizer *optimizer,
                                         const motet_settings *settings);

#endif
