/* log_jsonl: the log of a run, one JSON object a line, appended. Every object has "kind":
 *
 *   start    settings as one object, parameters, bytes
 *   train    step, seconds (in all), loss (nats an event), field, attribute, lr, grad_norm,
 *            events_per_s; means over the steps since the last such line; on several ranks rank
 *            0's comm_seconds (in exchanges, a step), exposed_comm_seconds (of them, not hidden
 *            behind the backward pass), sent_bytes (a step)
 *   eval     step, loss, field, attribute: {"tempo": {"loss": ..., "accuracy": ...}, ...}
 *   skip     step, reason, loss, grad_norm: an update that was left out
 *   rollback step, to, shifted, reason: back to the checkpoint of step `to`; data `shifted` ahead
 *   save     step, path, seconds (until it was on the disk), save_stall_seconds (training waited),
 *            save_stall_share (of the seconds of the steps since the last one)
 *   save_failed   step, reason
 *   lost     lines: so many are missing here, since the disk was full
 *   resume, end   step
 *
 * Numbers that are not finite are null. Each line is one write, so a reader never sees half of one
 * but at the end of the file after a crash; the next open cuts that off.
 */
#ifndef MOTET_LOG_JSONL_H
#define MOTET_LOG_JSONL_H

#include <jansson.h>

#include "train/model_gradient.h"

typedef struct motet_log_jsonl {
    int file;
    char path[512];
} motet_log_jsonl;

motet_status motet_log_jsonl_open(motet_log_jsonl *log, const char *run_path);
void motet_log_jsonl_close(motet_log_jsonl *log);

/* An object to add to, with its kind and step; NULL when memory is out (write then says so). */
json_t *motet_log_jsonl_object(const char *kind, int64_t step);
void motet_log_jsonl_real(json_t *object, const char *key, double value);
/* Adds loss, field and attribute: means in nats. */
void motet_log_jsonl_losses(json_t *object, const motet_losses *losses);

/* Appends a line and frees the object. MOTET_E_IO on a full disk. */
motet_status motet_log_jsonl_write(motet_log_jsonl *log, json_t *object);

#endif
