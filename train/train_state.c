/* train_state: the folder as a whole, and its state.safetensors. The manifest is state_manifest.c.
 */
#include "train/train_state.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/safetensors.h"
#include "infer/checkpoint.h"
#include "train/state_manifest.h"
#include "train/state_snapshot.h"

enum { COUNTERS_TEXT = 4096, GUARD_TEXT = 8192 };

motet_counters motet_counters_start(void) {
    return (motet_counters){.best_loss = INFINITY};
}

/* The counters as numbers in one order, for both directions. Integers are far below 2^53. */
typedef void number_fn(void *user, double *value);

static void visit_integer(int64_t *integer, number_fn *visit, void *user) {
    double value = (double)*integer;
    visit(user, &value);
    *integer = (int64_t)value;
}

static void visit_losses(motet_losses *losses, number_fn *visit, void *user) {
    for (int f = 0; f < MOTET_FIELDS; f++) {
        visit(user, &losses->field[f]);
        visit_integer(&losses->field_count[f], visit, user);
    }
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        visit(user, &losses->attribute[a]);
        visit_integer(&losses->attribute_count[a], visit, user);
        visit_integer(&losses->attribute_right[a], visit, user);
    }
    visit_integer(&losses->events, visit, user);
}

static void visit_counters(motet_counters *c, number_fn *visit, void *user) {
    visit_integer(&c->step, visit, user);
    visit_integer(&c->updates, visit, user);
    visit_integer(&c->events, visit, user);
    visit(user, &c->seconds);
    visit(user, &c->best_loss);
    visit_integer(&c->best_step, visit, user);
    visit_integer(&c->skipped_in_a_row, visit, user);
    visit_integer(&c->logged_steps, visit, user);
    visit(user, &c->logged_norm);
    visit_losses(&c->logged, visit, user);
}

/* Apart from the others, which are as old as the format. */
static void visit_guard(motet_counters *c, number_fn *visit, void *user) {
    visit_integer(&c->shifted, visit, user);
    visit_integer(&c->rollbacks, visit, user);
    visit_integer(&c->guard.seen, visit, user);
    for (int i = 0; i < MOTET_GUARD_WINDOW; i++) {
        visit(user, &c->guard.loss[i]);
        visit(user, &c->guard.norm[i]);
    }
}

typedef struct number_text {
    char *at;
    size_t left;
    int bad;
} number_text;

static void print_number(void *user, double *value) {
    number_text *text = user; /* hexadecimal: bit for bit */
    int length = snprintf(text->at, text->left, "%a ", *value);
    if (length < 0 || (size_t)length >= text->left) {
        text->bad = 1;
        return;
    }
    text->at += length, text->left -= (size_t)length;
}

static void scan_number(void *user, double *value) {
    number_text *text = user;
    char *end;
    double number = strtod(text->at, &end);
    if (end == text->at || (fabs(number) > 0x1p53 && !isinf(number))) text->bad = 1;
    if (!text->bad) *value = number, text->at = end;
}

static motet_status scan_counters(motet_counters *counters, const motet_safetensors *file,
                                  const char *path) {
    const char *text = motet_safetensors_meta(file, "counters");
    const char *guard = motet_safetensors_meta(file, "guard"); /* older ones have none */
    number_text reader = {.at = (char *)(text ? text : "")};
    visit_counters(counters, scan_number, &reader);
    if (guard) reader.at = (char *)guard, visit_guard(counters, scan_number, &reader);
    if (reader.bad || counters->step < 0 || counters->guard.seen < 0)
        return MOTET_FAIL(MOTET_E_DATA, "%s: the counters in its metadata are not readable", path);
    return MOTET_OK;
}

static motet_status write_state(const char *path, const motet_state_snapshot *snapshot) {
    char text[COUNTERS_TEXT] = "", guard[GUARD_TEXT] = "";
    number_text printer = {.at = text, .left = sizeof text};
    motet_counters copy = snapshot->counters;
    visit_counters(&copy, print_number, &printer);
    printer.at = guard, printer.left = sizeof guard;
    visit_guard(&copy, print_number, &printer);
    if (printer.bad) return MOTET_FAIL(MOTET_E_USAGE, "%s: the counters are too long", path);
    motet_named_tensor *named = calloc((size_t)snapshot->count + 1, sizeof *named);
    if (!named) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to write it", path);
    for (int i = 0; i < snapshot->count; i++)
        named[i] = (motet_named_tensor){snapshot->tensors[i].name, snapshot->tensors[i].tensor};
    const motet_named_text metadata[] = {{"counters", text}, {"guard", guard}};
    motet_status status = motet_safetensors_write(path, named, snapshot->count, metadata, 2);
    free(named);
    return status;
}

motet_status motet_train_state_export(const char *path, const motet_state_snapshot *snapshot,
                                      const motet_state_context *context, motet_dtype precision,
                                      motet_dtype text_precision) {
    const motet_counters *counters = &snapshot->counters;
    char steps[32], events[32], loss[32], best[32], seconds[32], hashes[1024] = "";
    snprintf(steps, sizeof steps, "%lld", (long long)counters->step);
    snprintf(events, sizeof events, "%lld", (long long)counters->events);
    snprintf(loss, sizeof loss, "%.4f", counters->best_loss);
    snprintf(best, sizeof best, "%lld", (long long)counters->best_step);
    snprintf(seconds, sizeof seconds, "%.0f", counters->seconds);
    for (int i = 0; i < context->corpus_count; i++)
        snprintf(hashes + strlen(hashes), sizeof hashes - strlen(hashes), "%s%s", i ? " " : "",
                 motet_corpus_sha256(context->corpora[i]));
    const motet_named_text notes[] = {
        {"train.steps", steps},     {"train.events", events},
        {"train.seconds", seconds}, {"train.best_valid_nats_per_event", loss},
        {"train.best_step", best},  {"train.corpus_sha256", hashes},
    };
    return motet_checkpoint_write(path, snapshot->master, context->settings,
                                  context->encoder->vocab, precision, text_precision, notes,
                                  (int)(sizeof notes / sizeof *notes));
}

motet_status motet_train_state_write(const char *folder, const motet_state_snapshot *snapshot,
                                     const motet_state_context *context) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, MOTET_STATE_FILE);
    MOTET_TRY(write_state(path, snapshot));
    snprintf(path, sizeof path, "%s/%s", folder, MOTET_MODEL_FILE);
    MOTET_TRY(motet_train_state_export(path, snapshot, context, MOTET_BF16, MOTET_I8));
    return motet_state_manifest_write(folder, snapshot->counters.step, context);
}

static int same_shape(motet_tensor a, motet_tensor b) {
    if (a.dtype != b.dtype || a.rank != b.rank) return 0;
    for (int i = 0; i < a.rank; i++)
        if (a.dims[i] != b.dims[i]) return 0;
    return 1;
}

/* into NULL: only checks. */
static motet_status load_tensors(const motet_state_tensor *list, int count, motet_safetensors *file,
                                 const char *path, motet_optimizer *into) {
    for (int i = 0; i < count; i++) {
        motet_tensor found;
        MOTET_TRY(motet_safetensors_get(&found, file, list[i].name));
        if (!same_shape(found, list[i].tensor))
            return MOTET_FAIL(MOTET_E_DATA, "%s: %s has another shape or dtype than the model",
                              path, list[i].name);
        if (!into) continue;
        if (list[i].kind == 0)
            MOTET_TRY(into->memory->copy(list[i].tensor.data, found.data,
                                         (size_t)motet_tensor_count(found) *
                                             motet_dtype_bytes(found.dtype)));
        else
            MOTET_TRY(
                motet_zero_place_moment(into, list[i].parameter, list[i].kind == 2, found.data));
    }
    return MOTET_OK;
}

static motet_status read_state(motet_optimizer *optimizer, motet_counters *counters,
                               const char *path) {
    motet_state_tensor *list = calloc(3 * (size_t)optimizer->count, sizeof *list);
    if (!list) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to read it", path);
    int count = motet_state_list(list, optimizer);
    motet_counters next = {0};
    motet_safetensors *file = NULL;
    motet_status status = motet_safetensors_open(&file, path);
    if (status == MOTET_OK) status = scan_counters(&next, file, path);
    if (status == MOTET_OK && motet_safetensors_count(file) != count)
        status = MOTET_FAIL(MOTET_E_DATA, "%s: %d tensors, but the model has %d", path,
                            motet_safetensors_count(file), count);
    if (status == MOTET_OK) status = load_tensors(list, count, file, path, NULL);
    if (status == MOTET_OK) status = load_tensors(list, count, file, path, optimizer);
    if (status == MOTET_OK) *counters = next;
    motet_safetensors_close(file);
    free(list);
    return status;
}

motet_status motet_train_state_read(motet_optimizer *optimizer, motet_counters *counters,
                                    const char *folder, const motet_state_context *context,
                                    int other_corpus) {
    char path[PATH_MAX];
    MOTET_TRY(motet_state_manifest_check(folder, context, other_corpus));
    snprintf(path, sizeof path, "%s/%s", folder, MOTET_STATE_FILE);
    return read_state(optimizer, counters, path);
}
