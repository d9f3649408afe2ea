#include "train/log_jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/attributes.h"

/* What a machine that stopped left at the end. Lines are far below 64 KiB. */
static void cut_half_line(int file) {
    char tail[1 << 16];
    off_t size = lseek(file, 0, SEEK_END);
    off_t from = size > (off_t)sizeof tail ? size - (off_t)sizeof tail : 0;
    ssize_t got = size > 0 ? pread(file, tail, (size_t)(size - from), from) : 0;
    if (got != size - from || got <= 0 || tail[got - 1] == '\n') return;
    while (got > 0 && tail[got - 1] != '\n')
        got--;
    if (got > 0 || from == 0) (void)!ftruncate(file, from + got);
}

motet_status motet_log_jsonl_open(motet_log_jsonl *log, const char *run_path) {
    snprintf(log->path, sizeof log->path, "%s/log.jsonl", run_path);
    log->file = open(log->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->file < 0) return MOTET_FAIL(MOTET_E_IO, "%s: cannot be opened: %m", log->path);
    cut_half_line(log->file);
    return MOTET_OK;
}

void motet_log_jsonl_close(motet_log_jsonl *log) {
    if (log->file >= 0) close(log->file);
    log->file = -1;
}

json_t *motet_log_jsonl_object(const char *kind, int64_t step) {
    return json_pack("{s:s, s:I}", "kind", kind, "step", (json_int_t)step);
}

void motet_log_jsonl_real(json_t *object, const char *key, double value) {
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

void motet_log_jsonl_losses(json_t *object, const motet_losses *losses) {
    motet_log_jsonl_real(object, "loss", motet_losses_per_event(losses));
    json_t *fields = json_object(), *attributes = json_object();
    for (int f = 0; f < MOTET_FIELDS; f++)
        if (losses->field_count[f] > 0)
            motet_log_jsonl_real(fields, motet_field_name(f),
                                 losses->field[f] / (double)losses->field_count[f]);
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        double count = (double)losses->attribute_count[a];
        if (!(count > 0)) continue;
        json_t *one = json_object();
        motet_log_jsonl_real(one, "loss", losses->attribute[a] / count);
        motet_log_jsonl_real(one, "accuracy", (double)losses->attribute_right[a] / count);
        json_object_set_new(attributes, motet_attribute_name(a), one);
    }
    json_object_set_new(object, "field", fields);
    json_object_set_new(object, "attribute", attributes);
}

motet_status motet_log_jsonl_write(motet_log_jsonl *log, json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(7)) : NULL;
    json_decref(object);
    size_t length = text ? strlen(text) : 0;
    if (!text) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for a line", log->path);
    text[length] = '\n'; /* in place of the NUL */
    ssize_t written = write(log->file, text, length + 1);
    free(text);
    if (written == (ssize_t)length + 1) return MOTET_OK;
    int error = written < 0 ? errno : ENOSPC;
    if (written > 0) (void)!ftruncate(log->file, lseek(log->file, 0, SEEK_END) - written);
    return MOTET_FAIL(MOTET_E_IO, "%s: cannot be written: %s", log->path, strerror(error));
}
