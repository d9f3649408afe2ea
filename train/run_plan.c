#include "train/run_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/model_gradient.h"

/* Bars are roughly every 20th event; it only scales the fields' share. */
static const double bar_share = 0.05;

typedef struct tally {
    motet_run_plan *plan;
    const motet_settings *settings;
    double rows, memory_rows, text_rows; /* of a step */
    int64_t compute_bytes;
} tally;

static int begins(const char *name, const char *prefix) {
    return !strncmp(name, prefix, strlen(prefix));
}

static double field_rows(const tally *t, const char *name) {
    for (int f = 0; f < MOTET_FIELDS; f++) {
        const char *field = motet_field_name(f);
        size_t length = strlen(field);
        if (strncmp(name, field, length) || name[length] != '.') continue;
        int bar = f >= MOTET_FIELD_BAR && f < MOTET_FIELD_NOTE;
        return t->rows * (f == MOTET_FIELD_TYPE ? 1 : bar ? bar_share : 1 - bar_share);
    }
    return 0; /* "values": a table */
}

static void add_products(tally *t, const motet_parameter *p) {
    double one = 2.0 * (double)p->dims[0] * (double)p->dims[1]; /* a row, forward */
    const char *last = strrchr(p->name, '.');
    if (begins(p->name, "text.encoder."))
        t->plan->text += one * t->text_rows;
    else if (begins(p->name, "fields."))
        t->plan->fields += 3 * one * field_rows(t, p->name + strlen("fields."));
    else if (p->update != MOTET_UPDATE_MUON)
        return; /* tables that are looked up */
    else if (last && !strcmp(last, ".text_proj"))
        t->plan->memory += 2 * one * t->text_rows; /* no gradient into the frozen encoder */
    else if (last && !strcmp(last, ".cross_kv"))
        t->plan->memory += 3 * one * t->memory_rows;
    else
        t->plan->trunk += 3 * one * t->rows;
}

static motet_status add_parameter(void *user, const motet_parameter *p, motet_tensor *slot) {
    tally *t = user;
    (void)slot;
    int64_t count = p->dims[0] * (p->rank == 2 ? p->dims[1] : 1);
    int drawn = !*t->settings->run_encoder;
    if (p->update == MOTET_UPDATE_TEXT) {
        t->plan->frozen += count;
        *(drawn ? &t->plan->master : &t->plan->encoder_file) += 4 * count;
    } else {
        int muon = p->update == MOTET_UPDATE_MUON;
        *(muon ? &t->plan->muon : &t->plan->adamw) += count;
        t->plan->master += 4 * count;
        t->plan->gradients += 4 * count;
        t->plan->moments += (muon ? 4 : 8) * count;
    }
    if (p->rank == 2 && t->compute_bytes < 4) t->plan->compute += t->compute_bytes * count;
    if (p->rank == 2) add_products(t, p);
    return MOTET_OK;
}

/* Scores and sums of attention, 2 FLOPs each a multiply-add; the backward pass is 2.5 times that.
 */
static double attention_flops(const tally *t) {
    const motet_settings *s = t->settings;
    double width = s->model_width, windows = t->rows / s->model_window;
    double self = 4 * t->rows * 0.5 * s->model_window * width;
    double cross = 4 * t->rows * (t->memory_rows / windows) * width;
    return 3.5 * s->model_layers * (self + cross);
}

static const char *const levels[MOTET_RECOMPUTE_LEVELS] = {"none", "selective", "full"};

static motet_status count_activations(motet_run_plan *plan, const motet_settings *settings,
                                      motet_dtype dtype) {
    motet_settings s = *settings;
    for (int i = 0; i < MOTET_RECOMPUTE_LEVELS; i++) {
        snprintf(s.train_recompute, sizeof s.train_recompute, "%s", levels[i]);
        plan->activations_at[i] = motet_gradient_count(&s, dtype);
        if (plan->activations_at[i] < 0)
            return MOTET_FAIL(MOTET_E_MEMORY, "no memory to count activations");
        if (!strcmp(levels[i], settings->train_recompute))
            plan->activations = plan->activations_at[i];
    }
    return MOTET_OK;
}

motet_status motet_run_plan_make(motet_run_plan *plan, const motet_settings *s) {
    memset(plan, 0, sizeof *plan);
    MOTET_TRY(motet_settings_check(s));
    motet_dtype dtype = strcmp(s->train_dtype, "bf16") ? MOTET_F32 : MOTET_BF16;
    double windows = (double)s->train_rows * s->train_accumulate / s->model_window;
    tally t = {.plan = plan,
               .settings = s,
               .rows = (double)s->train_rows * s->train_accumulate,
               .text_rows = windows * s->model_text_limit,
               .memory_rows = windows * (s->model_text_limit + MOTET_MAX_CONTROLS),
               .compute_bytes = (int64_t)motet_dtype_bytes(dtype)};
    motet_weights *weights = calloc(1, sizeof *weights);
    if (!weights) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the weights' table");
    motet_status status = motet_weights_visit(weights, s, add_parameter, &t);
    free(weights);
    if (status != MOTET_OK) return status;
    plan->attention = attention_flops(&t);
    return count_activations(plan, s, dtype);
}

char *motet_run_plan_text(const motet_run_plan *p, const motet_settings *s) {
    char *text = malloc(4096);
    if (!text) return NULL;
    const double mb = 1e6, gf = 1e9;
    int64_t model = p->master + p->gradients + p->moments + p->compute;
    double flops = p->trunk + p->attention + p->fields + p->memory + p->text;
    snprintf(text, 4096,
             "parameters   trained %" PRId64 " (Muon %" PRId64 ", AdamW %" PRId64
             "), text encoder, frozen %" PRId64 "\n"
             "model        %9.1f MB: masters %.1f, gradients %.1f, moments %.1f, %s copies %.1f\n"
             "encoder      %9.1f MB mapped from its file\n"
             "activations  %9.1f MB with train.recompute = %.20s (none %.1f, selective %.1f, full "
             "%.1f)\n"
             "a step       %9.1f GFLOP: layers %.1f, attention %.1f, fields %.1f, memory %.1f, "
             "text %.1f\n"
             "             %d x %d events, %.2f MFLOP an event\n",
             p->muon + p->adamw, p->muon, p->adamw, p->frozen, (double)model / mb,
             (double)p->master / mb, (double)p->gradients / mb, (double)p->moments / mb,
             s->train_dtype, (double)p->compute / mb, (double)p->encoder_file / mb,
             (double)p->activations / mb, s->train_recompute, (double)p->activations_at[0] / mb,
             (double)p->activations_at[1] / mb, (double)p->activations_at[2] / mb, flops / gf,
             p->trunk / gf, p->attention / gf, p->fields / gf, p->memory / gf, p->text / gf,
             s->train_accumulate, s->train_rows,
             flops / 1e6 / ((double)s->train_rows * s->train_accumulate));
    return text;
}
