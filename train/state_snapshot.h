/* state_snapshot: weights, moments and counters as they were at one moment, in the host's memory: a
 * thread can write them while training goes on. Its memory is taken once and used again.
 */
#ifndef MOTET_STATE_SNAPSHOT_H
#define MOTET_STATE_SNAPSHOT_H

#include "train/optimizer_step.h"
#include "train/train_state.h"

/* A trained tensor with the name that it has at rest: master/NAME, first/NAME, second/NAME. */
typedef struct motet_state_tensor {
    char name[112];
    motet_tensor tensor; /* no data: moments that other ranks have */
    int parameter, kind; /* index in the optimizer's table; 0 master, 1 first, 2 second */
} motet_state_tensor;

/* Lists what the optimizer has, where it is, into list [3 * optimizer->count]; their number. */
int motet_state_list(motet_state_tensor *list, const motet_optimizer *optimizer);

typedef struct motet_state_snapshot {
    motet_counters counters;
    motet_weights *master; /* all weights, f32; the frozen encoder's may be the optimizer's own */
    motet_state_tensor
        *tensors; /* [count] in motet_state_list's order; moments only if asked for */
    int count;
    motet_arena arena, text; /* private */
} motet_state_snapshot;

/* Copies the state; {0} before the first time, and then of the same optimizer. moments: also these
 * (of a sharded optimizer between motet_training_collect and _release, on rank 0). Waits for the
 * back-end. After MOTET_E_MEMORY the snapshot is empty. */
motet_status motet_state_snapshot_take(motet_state_snapshot *snapshot,
                                       const motet_optimizer *optimizer,
                                       const motet_counters *counters,
                                       const motet_settings *settings, int moments);
void motet_state_snapshot_free(motet_state_snapshot *snapshot);

#endif
