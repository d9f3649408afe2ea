#include "tests/softgpu/report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/softgpu/counters.h"
#include "tests/softgpu/options.h"

#define MOST_PRINTED 50 /* a broken kernel reports every instruction */

typedef struct kept {
    sg_reported report;
    const void *instruction; /* with launch: what makes a report a repetition */
    uint64_t launch;
} kept;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static kept *reports;
static int report_count, report_room;
static int made; /* sg_report_clear does not change what the process ends with */

static const char *const words[] = {
#define X(name, word) [SG_R_##name] = word,
    SG_REPORTS(X)
#undef X
};

static void write_json_string(FILE *file, const char *text) {
    fputc('"', file);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void write_json(const char *path, const sg_reported *r, const char *place) {
    FILE *file = fopen(path, "a");
    if (!file) {
        fprintf(stderr, "softgpu: cannot write reports to %s\n", path);
        return;
    }
    fputs("{\"kind\": ", file);
    write_json_string(file, words[r->kind]);
    fputs(", \"kernel\": ", file);
    write_json_string(file, r->kernel);
    fputs(", \"file\": ", file);
    write_json_string(file, r->file);
    fprintf(file, ", \"line\": %d, \"ptx_line\": %d, \"place\": ", r->line, r->ptx_line);
    write_json_string(file, place);
    fputs(", \"sentence\": ", file);
    write_json_string(file, r->sentence);
    fputs("}\n", file);
    fclose(file);
}

/* Asked before the text is made, since a broken loop reports a million times. */
static bool repeated(sg_report_kind kind, const void *instruction, uint64_t launch) {
    if (!instruction) return false;
    bool found = false;
    pthread_mutex_lock(&lock);
    for (int i = report_count - 1; i >= 0 && !found; i--)
        found = reports[i].instruction == instruction && reports[i].launch == launch &&
                reports[i].report.kind == kind;
    pthread_mutex_unlock(&lock);
    return found;
}

static void keep(sg_reported *r, const void *instruction, uint64_t launch, const char *place,
                 const char *where) {
    const sg_options *options = sg_get_options();
    pthread_mutex_lock(&lock);
    if (report_count == report_room) {
        const int room = report_room ? 2 * report_room : 16;
        kept *more = realloc(reports, (size_t)room * sizeof *more);
        if (more) {
            reports = more;
            report_room = room;
        }
    }
    if (report_count < report_room)
        reports[report_count++] =
            (kept){.report = *r, .instruction = instruction, .launch = launch};
    made++;
    if (!options->expect) {
        if (made <= MOST_PRINTED)
            fprintf(stderr, "softgpu: %s: %s%s%s%s%s\n", words[r->kind], place, *place ? ": " : "",
                    where, *where ? ": " : "", r->sentence);
        else if (made == MOST_PRINTED + 1)
            fprintf(stderr, "softgpu: there are more reports, which are only counted\n");
        if (options->report) write_json(options->report, r, place);
    }
    pthread_mutex_unlock(&lock);
}

static void fill_place(sg_reported *r, char *text, size_t room, const sg_module *module,
                       const sg_place *place) {
    text[0] = '\0';
    if (!place || !module) return;
    sg_place_text(text, room, module, place);
    r->line = place->at.line;
    r->ptx_line = place->ptx_line;
    const int file = place->at.file;
    if (file >= 0 && file < module->file_count && module->files[file]) {
        const char *slash = strrchr(module->files[file], '/');
        snprintf(r->file, sizeof r->file, "%s", slash ? slash + 1 : module->files[file]);
    }
}

void sg_report(sg_report_kind kind, const sg_warp *warp, const sg_op *op, uint32_t lanes,
               const char *format, ...) {
    sg_reported r = {.kind = kind};
    char place[400] = "", where[256] = "";
    uint64_t launch = 0;
    if (warp && warp->block && warp->block->grid) {
        const sg_block *block = warp->block;
        const sg_program *program = block->grid->program;
        launch = block->grid->launch;
        if (repeated(kind, op ? op->instruction : NULL, launch)) return;
        snprintf(r.kernel, sizeof r.kernel, "%s", program->function->name);
        if (op) fill_place(&r, place, sizeof place, program->module, &op->instruction->place);
        snprintf(where, sizeof where, "kernel %s, block (%u,%u,%u), warp %d, lanes 0x%08x",
                 r.kernel, block->index[0], block->index[1], block->index[2], warp->index, lanes);
    }
    va_list args;
    va_start(args, format);
    vsnprintf(r.sentence, sizeof r.sentence, format, args);
    va_end(args);
    keep(&r, op ? op->instruction : NULL, launch, place, where);
}

void sg_report_at(sg_report_kind kind, const sg_module *module, const sg_place *place,
                  const char *format, ...) {
    sg_reported r = {.kind = kind};
    char text[400];
    fill_place(&r, text, sizeof text, module, place);
    for (int i = 0; module && place && i < module->function_count; i++) {
        const sg_function *f = &module->functions[i];
        const sg_instruction *last = &f->instructions[f->instruction_count - 1];
        if (place->ptx_line <= last->place.ptx_line) { /* functions stand in order */
            snprintf(r.kernel, sizeof r.kernel, "%s", f->name);
            break;
        }
    }
    va_list args;
    va_start(args, format);
    vsnprintf(r.sentence, sizeof r.sentence, format, args);
    va_end(args);
    keep(&r, NULL, 0, text, "");
}

int sg_report_count(void) {
    return report_count;
}

const sg_reported *sg_report_get(int i) {
    return i >= 0 && i < report_count ? &reports[i].report : NULL;
}

void sg_report_clear(void) {
    pthread_mutex_lock(&lock);
    report_count = 0;
    pthread_mutex_unlock(&lock);
}

/* Runs at exit, after the library's other destructors, which may have more to report. */
__attribute__((destructor(101))) static void at_exit(void) {
    const sg_options *options = sg_get_options();
    if (options->profile && !sg_counters_write(options->profile))
        fprintf(stderr, "softgpu: cannot write the profile to %s\n", options->profile);
    if (!made || options->expect) return;
    fprintf(stderr, "softgpu: %d report%s\n", made, made == 1 ? "" : "s");
    fflush(NULL);
    _exit(86);
}
