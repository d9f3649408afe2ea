/* cluster_plan: what a run would need and do on so many ranks, without starting it: memory of a
 * rank, bytes on the wire, and a simple model of time. `motet-train --plan NODESxRANKS`.
 *
 * Memory and bytes follow the rules of the trainer itself (zero.h, buckets.h, communicator.h) and
 * are exact: memory is that of the arenas, bytes are the communicator's of a step that neither
 * saves, evaluates nor compares the ranks. Times are products over a machine's speed (machine.h),
 *
 *     step = compute + update + exposed communication
 *     compute = FLOPs of the rank's micro-batches / flops
 *     update  = the dearest rank's part: FLOPs of Muon, 28 bytes an element of AdamW
 *     exposed = gradients' travel that the last backward pass (2/3 of a micro-batch) does not hide,
 *               at least the last bucket's; the weights' way back; what is small
 *     travel  = bytes / bandwidth, of the node's link or of the network, whichever takes longer,
 *               + message_s for each peer and bucket
 *
 * which leaves out: stragglers, contention of the network, the loader, the host.
 */
#ifndef MOTET_CLUSTER_PLAN_H
#define MOTET_CLUSTER_PLAN_H

#include <stdint.h>

#include "configs/settings.h"
#include "train/machine.h"

#define MOTET_PLAN_RANKS 4096 /* most */

/* Bytes of one rank; what has room for all of a kind is what one rank needs. */
typedef struct motet_plan_memory {
    int64_t masters, gradients, sums, moments, compute; /* compute: with Muon's scratch */
    int64_t activations, input, staging;
} motet_plan_memory;

typedef struct motet_plan_row {
    int nodes, ranks_a_node, ranks;
    int accumulate;           /* of the run: train.accumulate, or the next multiple of ranks */
    motet_plan_memory memory; /* of the rank that needs most */
    int64_t bytes;            /* sum of it */
    int64_t sent, received;   /* a step, by the rank that sends, receives most */
    int buckets;
    double compute_s, update_s, comm_s, exposed_s, step_s;
    double events_s;   /* of all ranks */
    double efficiency; /* events_s a rank, of that of one rank */
    int fits;          /* the device's memory holds it */
} motet_plan_row;

typedef struct motet_cluster_plan {
    const motet_machine *machine;
    motet_plan_row *rows;
    int count;
    int threads; /* OpenMP threads of a rank on CPUs: scratch of each */
} motet_cluster_plan;

/* "8x4" -> nodes, ranks a node; a single number is one node. MOTET_E_USAGE otherwise. */
motet_status motet_cluster_plan_size(int *nodes, int *ranks_a_node, const char *text);

/* Rows for one rank, 2, 4, ... of a node, then 2, 4, ... nodes up to what is asked for. threads: of
 * a rank on CPUs. */
motet_status motet_cluster_plan_make(motet_cluster_plan *plan, const motet_settings *settings,
                                     const motet_machine *machine, int nodes, int ranks_a_node,
                                     int threads);
void motet_cluster_plan_free(motet_cluster_plan *plan);

/* One rank's, exactly: what the communicator counts in a step, and the arenas' sizes. */
motet_status motet_cluster_plan_rank(motet_plan_memory *memory, int64_t *sent, int64_t *received,
                                     const motet_settings *settings, const motet_machine *machine,
                                     int rank, int ranks, int threads);

/* For people, and for programs (one object: machine, constants, rows); malloc'd, NULL when memory
 * is out. */
char *motet_cluster_plan_text(const motet_cluster_plan *plan, const motet_settings *settings);
char *motet_cluster_plan_json(const motet_cluster_plan *plan);

/* One of them from what a user types: size as above; machine: a name, NULL for "h100"; malloc'd. */
motet_status motet_cluster_plan_print(char **text, const motet_settings *settings, const char *size,
                                      const char *machine, int json);

#endif
