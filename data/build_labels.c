/* Labels of files: a folder's MANIFEST.tsv, and the list of captions. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/build_parts.h"

/* The columns of a table of labels, whichever of them are there. */
typedef struct label_columns {
    int file, source, title, composer, kind, genre, mood, group, key, caption;
} label_columns;

static motet_status no_memory(void) {
    return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the list of files");
}

static label_columns find_columns(const motet_manifest *m) {
    return (label_columns){.file = motet_manifest_column(m, "file"),
                           .source = motet_manifest_column(m, "source"),
                           .title = motet_manifest_column(m, "title"),
                           .composer = motet_manifest_column(m, "composer"),
                           .kind = motet_manifest_column(m, "kind"),
                           .genre = motet_manifest_column(m, "genre"),
                           .mood = motet_manifest_column(m, "mood"),
                           .group = motet_manifest_column(m, "group"),
                           .key = motet_manifest_column(m, "key"),
                           .caption = motet_manifest_column(m, "caption")};
}

static motet_status read_manifest(motet_build_list *list, const motet_manifest **out,
                                  const char *path) {
    size_t size = (size_t)(list->manifest_count + 1) * sizeof *list->manifests;
    motet_manifest **manifests = realloc(list->manifests, size);
    if (!manifests) return no_memory();
    list->manifests = manifests;
    motet_manifest *m = calloc(1, sizeof *m);
    if (!m) return no_memory();
    manifests[list->manifest_count++] = m;
    MOTET_TRY(motet_manifest_read(m, path));
    *out = m;
    if (motet_manifest_column(*out, "file") < 0)
        return MOTET_FAIL(MOTET_E_DATA, "%s: no column is called 'file'", path);
    return MOTET_OK;
}

static void take_labels(motet_build_file *f, const motet_manifest *m, const label_columns *c,
                        int64_t row) {
    const char *cell;
#define TAKE(target, column) \
    if ((cell = motet_manifest_cell(m, row, c->column))) target = cell
    TAKE(f->labels.title, title);
    TAKE(f->labels.composer, composer);
    TAKE(f->labels.kind, kind);
    TAKE(f->labels.genre, genre);
    TAKE(f->labels.mood, mood);
    TAKE(f->source, source);
    TAKE(f->group, group);
    TAKE(f->music_key, key);
#undef TAKE
    f->labelled = 1;
}

static motet_status take_caption(motet_build_file *f, const char *caption) {
    if (!caption) return MOTET_OK;
    size_t size = (size_t)(f->caption_count + 1) * sizeof *f->captions;
    const char **captions = realloc(f->captions, size);
    if (!captions) return no_memory();
    f->captions = captions;
    captions[f->caption_count++] = caption;
    return MOTET_OK;
}

static int compare_rows(const void *a, const void *b, void *user) {
    const motet_build_scope *s = user;
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    const char *p = motet_manifest_cell(s->manifest, x, s->file_column);
    const char *q = motet_manifest_cell(s->manifest, y, s->file_column);
    int order = strcmp(p ? p : "", q ? q : "");
    return order ? order : x < y ? -1 : x > y;
}

motet_status motet_build_scope_open(motet_build_scope *s, motet_build_list *list, const char *path,
                                    size_t skip) {
    MOTET_TRY(read_manifest(list, &s->manifest, path));
    s->file_column = motet_manifest_column(s->manifest, "file");
    s->skip = skip;
    s->order = malloc(((size_t)s->manifest->rows + 1) * sizeof *s->order);
    if (!s->order) return no_memory();
    for (int64_t i = 0; i < s->manifest->rows; i++)
        s->order[i] = i;
    qsort_r(s->order, (size_t)s->manifest->rows, sizeof *s->order, compare_rows, s);
    return MOTET_OK;
}

motet_status motet_build_scope_apply(motet_build_file *f, const motet_build_scope *s) {
    if (!s->manifest) return MOTET_OK;
    const char *wanted = f->path + s->skip;
    const label_columns columns = find_columns(s->manifest);
    int64_t first = 0, last = s->manifest->rows;
    while (first < last) {
        int64_t middle = first + (last - first) / 2;
        const char *cell = motet_manifest_cell(s->manifest, s->order[middle], s->file_column);
        if (strcmp(cell ? cell : "", wanted) < 0)
            first = middle + 1;
        else
            last = middle;
    }
    for (int64_t i = first; i < s->manifest->rows; i++) {
        const char *cell = motet_manifest_cell(s->manifest, s->order[i], s->file_column);
        if (!cell || strcmp(cell, wanted) != 0) break;
        if (i == first) take_labels(f, s->manifest, &columns, s->order[i]);
        MOTET_TRY(take_caption(f, motet_manifest_cell(s->manifest, s->order[i], columns.caption)));
    }
    return MOTET_OK;
}

typedef struct place {
    char *real; /* the resolved path */
    int64_t file;
} place;

static int compare_places(const void *a, const void *b) {
    const place *x = a, *y = b;
    int order = strcmp(x->real, y->real);
    return order ? order : x->file < y->file ? -1 : x->file > y->file;
}

static motet_status place_captions(motet_build_list *list, const motet_manifest *m,
                                   const char *path, const place *places) {
    label_columns columns = find_columns(m);
    const char *slash = strrchr(path, '/');
    for (int64_t row = 0; row < m->rows; row++) {
        char full[PATH_MAX], real[PATH_MAX];
        const char *name = motet_manifest_cell(m, row, columns.file);
        int relative = name && name[0] != '/' && slash;
        int found = 0;
        if (name &&
            snprintf(full, sizeof full, "%.*s%s", relative ? (int)(slash - path + 1) : 0, path,
                     name) < (int)sizeof full &&
            realpath(full, real)) {
            int64_t first = 0, last = list->count;
            while (first < last) {
                int64_t middle = first + (last - first) / 2;
                if (strcmp(places[middle].real, real) < 0)
                    first = middle + 1;
                else
                    last = middle;
            }
            for (; first < list->count && !strcmp(places[first].real, real); first++) {
                motet_build_file *f = &list->files[places[first].file];
                take_labels(f, m, &columns, row);
                MOTET_TRY(take_caption(f, motet_manifest_cell(m, row, columns.caption)));
                found = 1;
            }
        }
        list->captions_unmatched += !found;
    }
    return MOTET_OK;
}

motet_status motet_build_captions_apply(motet_build_list *list, const char *path) {
    const motet_manifest *m;
    MOTET_TRY(read_manifest(list, &m, path));
    place *places = calloc((size_t)list->count + 1, sizeof *places);
    motet_status status = places ? MOTET_OK : no_memory();
    for (int64_t i = 0; status == MOTET_OK && i < list->count; i++) {
        char *real = realpath(list->files[i].path, NULL);
        places[i] = (place){.real = real ? real : strdup(list->files[i].path), .file = i};
        if (!places[i].real) status = no_memory();
    }
    if (status == MOTET_OK) {
        qsort(places, (size_t)list->count, sizeof *places, compare_places);
        status = place_captions(list, m, path, places);
    }
    for (int64_t i = 0; places && i < list->count; i++)
        free(places[i].real);
    free(places);
    return status;
}
