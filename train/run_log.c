#include "train/run_log.h"

#include "kernels/core/log.h"

motet_status motet_run_log_open(motet_run_log *log, const char *run_path, int64_t step,
                                const char *metrics) {
    *log = (motet_run_log)MOTET_RUN_LOG_CLOSED;
    if (*metrics) MOTET_TRY(motet_prometheus_open(&log->metrics, metrics));
    motet_status status = motet_log_jsonl_open(&log->jsonl, run_path);
    if (status == MOTET_OK) status = motet_tensorboard_open(&log->board, run_path, step + 1);
    if (status != MOTET_OK) motet_run_log_close(log);
    return status;
}

void motet_run_log_close(motet_run_log *log) {
    motet_log_jsonl_close(&log->jsonl);
    motet_tensorboard_close(&log->board);
    motet_prometheus_close(log->metrics);
    log->metrics = NULL;
}

static void draw(motet_run_log *log, const json_t *line) {
    if (log->board.file >= 0 && motet_tensorboard_write(&log->board, line) != MOTET_OK) {
        motet_log(MOTET_LOG_WARN, "%s; TensorBoard gets no more of this run", motet_error());
        motet_tensorboard_close(&log->board);
    }
    if (log->metrics && motet_prometheus_write(log->metrics, line) != MOTET_OK) {
        motet_log(MOTET_LOG_WARN, "%s; the page for Prometheus is closed", motet_error());
        motet_prometheus_close(log->metrics);
        log->metrics = NULL;
    }
}

motet_status motet_run_log_write(motet_run_log *log, json_t *line) {
    json_t *kept = json_incref(line);
    motet_status status = motet_log_jsonl_write(&log->jsonl, line);
    if (status == MOTET_OK) draw(log, kept);
    json_decref(kept);
    return status;
}
