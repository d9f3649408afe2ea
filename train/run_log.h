/* run_log: where a line about a run goes: to log.jsonl, which is the truth, and from there to those
 * who draw or scrape numbers, TensorBoard and Prometheus. That log.jsonl cannot be written is the
 * caller's to judge; the others are warned about once and then left out.
 */
#ifndef MOTET_RUN_LOG_H
#define MOTET_RUN_LOG_H

#include "train/log_jsonl.h"
#include "train/prometheus.h"
#include "train/tensorboard.h"

typedef struct motet_run_log {
    motet_log_jsonl jsonl;
    motet_tensorboard board;
    motet_prometheus *metrics; /* NULL: not asked for */
} motet_run_log;

#define MOTET_RUN_LOG_CLOSED                          \
    {                                                 \
        .jsonl = {.file = -1}, .board = {.file = -1 } \
    }

/* step: the last one that is done. metrics: address of the page for Prometheus, "" for none. */
motet_status motet_run_log_open(motet_run_log *log, const char *run_path, int64_t step,
                                const char *metrics);
void motet_run_log_close(motet_run_log *log);

/* Frees the line; NULL means that memory was out. */
motet_status motet_run_log_write(motet_run_log *log, json_t *line);

#endif
