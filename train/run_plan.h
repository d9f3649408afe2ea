/* run_plan: what a run with these settings would need, without starting it. */
#ifndef MOTET_RUN_PLAN_H
#define MOTET_RUN_PLAN_H

#include "configs/settings.h"

#define MOTET_RECOMPUTE_LEVELS 3 /* of train.recompute: none, selective, full */

typedef struct motet_run_plan {
    int64_t muon, adamw, frozen; /* parameters */
    /* bytes by lifetime */
    int64_t master, gradients, moments, compute, encoder_file; /* model */
    int64_t activations;                                       /* as train.recompute says */
    int64_t activations_at[MOTET_RECOMPUTE_LEVELS];
    /* floating-point operations of one step, a multiply-add counted as two; the products of the
     * layers and of attention, forward and backward, at full windows and captions */
    double trunk, attention, fields, memory, text;
} motet_run_plan;

motet_status motet_run_plan_make(motet_run_plan *plan, const motet_settings *settings);

/* A table for people, malloc'd; NULL when memory is out. */
char *motet_run_plan_text(const motet_run_plan *plan, const motet_settings *settings);

#endif
