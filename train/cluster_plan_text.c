/* A plan as text and as JSON. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/cluster_plan.h"

typedef struct page {
    char *text;
    size_t size;
    FILE *file;
} page;

char *motet_cluster_plan_text(const motet_cluster_plan *plan, const motet_settings *settings) {
    page p = {0};
    p.file = open_memstream(&p.text, &p.size);
    if (!p.file) return NULL;
    const double mb = 1e6, ms = 1e3;
    const motet_plan_row *last = &plan->rows[plan->count - 1];
    const motet_machine *m = plan->machine;
    fprintf(p.file,
            "predicted for %s\n%s, %s, buckets of %g MB, overlap %s, %d events a micro-batch\n\n",
            m->what, settings->train_dtype,
            settings->train_shard ? "ZeRO-1" : "plain data parallel",
            (double)settings->train_bucket_mb, settings->train_overlap ? "on" : "off",
            settings->train_rows);
    fprintf(p.file, "%9s %10s %10s %8s %11s %10s %9s %9s %9s %9s %12s %6s\n", "ranks", "accumulate",
            "MB a rank", "sent MB", "received MB", "step ms", "compute", "update", "comm",
            "exposed", "events/s", "scale");
    for (int i = 0; i < plan->count; i++) {
        const motet_plan_row *r = &plan->rows[i];
        char size[32];
        snprintf(size, sizeof size, "%dx%d", r->nodes, r->ranks_a_node);
        fprintf(p.file,
                "%9s %10d %10.1f %8.1f %11.1f %10.2f %9.2f %9.2f %9.2f %9.2f %12.0f %5.0f%%%s\n",
                size, r->accumulate, (double)r->bytes / mb, (double)r->sent / mb,
                (double)r->received / mb, r->step_s * ms, r->compute_s * ms, r->update_s * ms,
                r->comm_s * ms, r->exposed_s * ms, r->events_s, 100 * r->efficiency,
                r->fits ? "" : "  does not fit");
    }
    const motet_plan_memory *k = &last->memory;
    fprintf(p.file,
            "\na rank of %dx%d: masters %.1f MB, gradients %.1f, sums of gradients %.1f, moments "
            "%.1f, compute copies %.1f, activations %.1f, input %.1f, staging %.1f\n",
            last->nodes, last->ranks_a_node, (double)k->masters / mb, (double)k->gradients / mb,
            (double)k->sums / mb, (double)k->moments / mb, (double)k->compute / mb,
            (double)k->activations / mb, (double)k->input / mb, (double)k->staging / mb);
    fprintf(p.file, "constants: %s\n", m->source);
    if (last->accumulate != settings->train_accumulate)
        fprintf(p.file,
                "train.accumulate = %d is not for %d ranks: %d is planned there, with as many "
                "more events a step\n",
                settings->train_accumulate, last->ranks, last->accumulate);
    int failed = ferror(p.file) | fclose(p.file);
    if (!failed) return p.text;
    free(p.text);
    return NULL;
}

static json_t *row_of(const motet_plan_row *r) {
    const motet_plan_memory *m = &r->memory;
    json_t *memory = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "masters", (json_int_t)m->masters, "gradients",
        (json_int_t)m->gradients, "sums", (json_int_t)m->sums, "moments", (json_int_t)m->moments,
        "compute", (json_int_t)m->compute, "activations", (json_int_t)m->activations, "input",
        (json_int_t)m->input, "staging", (json_int_t)m->staging);
    return json_pack("{s:i, s:i, s:i, s:i, s:o, s:I, s:b, s:I, s:I, s:i, s:f, s:f, s:f, s:f, s:f, "
                     "s:f, s:f}",
                     "nodes", r->nodes, "ranks_a_node", r->ranks_a_node, "ranks", r->ranks,
                     "accumulate", r->accumulate, "memory", memory, "bytes", (json_int_t)r->bytes,
                     "fits", r->fits, "sent_bytes", (json_int_t)r->sent, "received_bytes",
                     (json_int_t)r->received, "buckets", r->buckets, "compute_seconds",
                     r->compute_s, "update_seconds", r->update_s, "comm_seconds", r->comm_s,
                     "exposed_comm_seconds", r->exposed_s, "step_seconds", r->step_s,
                     "events_per_s", r->events_s, "efficiency", r->efficiency);
}

char *motet_cluster_plan_json(const motet_cluster_plan *plan) {
    const motet_machine *m = plan->machine;
    json_t *rows = json_array();
    for (int i = 0; rows && i < plan->count; i++)
        json_array_append_new(rows, row_of(&plan->rows[i]));
    json_t *all =
        json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "machine", m->name,
                  "what", m->what, "source", m->source, "flops", m->flops, "update_flops",
                  m->update_flops, "memory_bytes_per_s", m->memory_bytes_s, "device_bytes",
                  m->device_bytes, "link_bytes_per_s", m->link_bytes_s, "net_bytes_per_s",
                  m->net_bytes_s, "message_seconds", m->message_s, "rows", rows);
    char *text = all ? json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(7)) : NULL;
    size_t length = text ? strlen(text) : 0;
    json_decref(all);
    if (text) text[length] = '\n'; /* in place of the NUL */
    char *lines = text ? strndup(text, length + 1) : NULL;
    free(text);
    return lines;
}

motet_status motet_cluster_plan_print(char **text, const motet_settings *settings, const char *size,
                                      const char *machine_name, int json) {
    const motet_machine *machine;
    motet_cluster_plan plan;
    int nodes, ranks_a_node;
    *text = NULL;
    MOTET_TRY(motet_cluster_plan_size(&nodes, &ranks_a_node, size));
    MOTET_TRY(motet_machine_find(&machine, machine_name ? machine_name : "h100"));
    MOTET_TRY(motet_cluster_plan_make(&plan, settings, machine, nodes, ranks_a_node, 1));
    *text = json ? motet_cluster_plan_json(&plan) : motet_cluster_plan_text(&plan, settings);
    motet_cluster_plan_free(&plan);
    return *text ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory for the plan");
}
