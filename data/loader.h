/* loader: which windows of which pieces make a batch: a pure function of (seed, step, rank), so
 * that a resumed run and one on another number of ranks see the same data in the same order.
 *
 * A batch is `rows` events in all: whole windows of at most `window` events that begin at a bar,
 * the last one cut so that the sum is exact. Pieces are drawn with replacement, each in proportion
 * to its number of windows times its source's weight; the window's first bar uniformly over those
 * from which at least half a window follows (bar 0 with probability 1/4 at least).
 */
#ifndef MOTET_DATA_LOADER_H
#define MOTET_DATA_LOADER_H

#include "data/caption.h"
#include "data/corpus.h"

typedef struct motet_window {
    const motet_piece *piece; /* belongs to the corpus */
    int64_t piece_index;
    const motet_event *events; /* belongs to the batch; events[0] is a BAR */
    int32_t count;             /* >= 1 */
    int32_t first_bar;         /* of the piece, 0-based */
    char caption[MOTET_CAPTION_BYTES];
} motet_window;

typedef struct motet_batch {
    motet_window *windows;
    int32_t window_count;
    int32_t rows; /* sum of counts */
    /* private */
    motet_event *events;
    int32_t window_capacity, event_capacity;
} motet_batch;

typedef struct motet_loader motet_loader;
typedef struct motet_loader_options {
    int split;            /* MOTET_SPLIT_* */
    int32_t rows, window; /* events a batch, events a window */
    uint64_t seed;
    const char *weights; /* "mma:1,lieder:0.5": source weights, the rest 1; NULL for all 1. A name
                            also means sources that go on from it after a blank */
} motet_loader_options;

/* Reads every piece of the split once to find its bars (and to check its events). MOTET_E_USAGE if
 * a weight names an unknown source or no piece is left. corpora [count] stay the caller's and must
 * outlive the loader. */
motet_status motet_loader_make(motet_loader **loader, motet_corpus *const *corpora, int count,
                               const motet_loader_options *options);
void motet_loader_free(motet_loader *loader);

/* Fills the batch of (step, rank). The batch's memory is made by the first call and reused; zero it
 * before that, motet_batch_free at the end. */
motet_status motet_loader_batch(motet_batch *batch, motet_loader *loader, int64_t step, int rank);
void motet_batch_free(motet_batch *batch);

#endif
