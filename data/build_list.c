#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/build_parts.h"

#define DEPTH_MAX 32 /* folders within folders; also what stops a loop of links */
#define FILES_MAX 20000000

static motet_status no_memory(void) {
    return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the list of files");
}

/* Keeps a text for as long as the list lives. */
static char *keep(motet_build_list *list, char *text) {
    if (text && list->text_count == list->text_capacity) {
        int64_t capacity = 2 * list->text_capacity + 64;
        char **texts = realloc(list->texts, (size_t)capacity * sizeof *texts);
        if (!texts) {
            free(text);
            return NULL;
        }
        list->texts = texts, list->text_capacity = capacity;
    }
    if (text) list->texts[list->text_count++] = text;
    return text;
}

static motet_status add_file(motet_build_list *list, const char *path, size_t key_skip,
                             const char *folder, const motet_build_scope *scope) {
    if (list->count == FILES_MAX)
        return MOTET_FAIL(MOTET_E_USAGE, "more than %d files; build several corpora", FILES_MAX);
    if (list->count == list->capacity) {
        int64_t capacity = 2 * list->capacity + 256;
        motet_build_file *files = realloc(list->files, (size_t)capacity * sizeof *files);
        if (!files) return no_memory();
        list->files = files, list->capacity = capacity;
    }
    char *copy = strdup(path);
    if (!copy) return no_memory();
    motet_build_file *f = &list->files[list->count++];
    *f = (motet_build_file){.path = copy, .key = copy + key_skip, .source = folder};
    return motet_build_scope_apply(f, scope);
}

static int is_midi_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && name[0] != '.' &&
           (!strcasecmp(dot, ".mid") || !strcasecmp(dot, ".midi") || !strcasecmp(dot, ".kar") ||
            !strcasecmp(dot, ".smf"));
}

/* alphasort follows the locale; bytes are the same everywhere. */
static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static motet_status walk(motet_build_list *list, const char *path, size_t key_skip,
                         const char *folder, const motet_build_scope *outer, int depth);

static motet_status visit(motet_build_list *list, const char *path, const char *name,
                          size_t key_skip, const char *folder, const motet_build_scope *s,
                          int depth) {
    char full[PATH_MAX];
    struct stat info;
    int bare = path[strlen(path) - 1] == '/';
    if (name[0] == '.') return MOTET_OK;
    if (snprintf(full, sizeof full, "%s%s%s", path, bare ? "" : "/", name) >= (int)sizeof full)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s...: the path is too long", path);
    if (stat(full, &info)) return MOTET_OK; /* a dangling link, or gone since */
    if (S_ISDIR(info.st_mode)) return walk(list, full, key_skip, folder, s, depth + 1);
    return S_ISREG(info.st_mode) && is_midi_name(name) ? add_file(list, full, key_skip, folder, s)
                                                       : MOTET_OK;
}

static motet_status walk(motet_build_list *list, const char *path, size_t key_skip,
                         const char *folder, const motet_build_scope *outer, int depth) {
    struct dirent **entries;
    motet_build_scope inner = *outer;
    char manifest[PATH_MAX];
    size_t size = strlen(path);
    size_t skip = size + (path[size - 1] != '/');
    if (depth > DEPTH_MAX)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: more than %d folders deep", path, DEPTH_MAX);
    int count = scandir(path, &entries, NULL, by_bytes);
    if (count < 0) return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(errno));
    if (!depth) key_skip = skip;
    motet_status status = MOTET_OK;
    int own = snprintf(manifest, sizeof manifest, "%s%sMANIFEST.tsv", path,
                       path[size - 1] == '/' ? "" : "/") < (int)sizeof manifest &&
              access(manifest, F_OK) == 0;
    if (own) {
        inner.order = NULL;
        status = motet_build_scope_open(&inner, list, manifest, skip);
    }
    for (int i = 0; i < count; i++) {
        if (status == MOTET_OK)
            status = visit(list, path, entries[i]->d_name, key_skip, folder, &inner, depth);
        free(entries[i]);
    }
    free(entries);
    if (own) free(inner.order);
    return status;
}

/* The last part of a path, "files" if that says nothing. */
static char *base_name(const char *path, size_t size) {
    while (size > 1 && path[size - 1] == '/')
        size--;
    size_t first = size;
    while (first > 0 && path[first - 1] != '/')
        first--;
    if (size == first || !strncmp(path + first, ".", size - first)) return strdup("files");
    return strndup(path + first, size - first);
}

static motet_status add_path(motet_build_list *list, const char *path) {
    struct stat info;
    const motet_build_scope none = {0};
    if (!*path || stat(path, &info))
        return MOTET_FAIL(MOTET_E_USAGE, "%s: %s", path, *path ? strerror(errno) : "no path");
    int folder = S_ISDIR(info.st_mode);
    const char *slash = strrchr(path, '/');
    size_t parent = folder ? strlen(path) : slash ? (size_t)(slash - path) : 0;
    const char *source = keep(list, base_name(path, parent));
    if (!source) return no_memory();
    if (folder) return walk(list, path, 0, source, &none, 0);
    return add_file(list, path, slash ? parent + 1 : 0, source, &none);
}

/* Names of composers that say that there is none: such files are no group. */
static int is_nobody(const char *composer) {
    static const char *const NOBODY[] = {"trad", "anon", "unknown", "various", "folk", "none", "?"};
    for (size_t i = 0; i < sizeof NOBODY / sizeof *NOBODY; i++)
        if (!strncasecmp(composer, NOBODY[i], strlen(NOBODY[i]))) return 1;
    return 0;
}

static void set_group(motet_build_file *f) {
    const char *slash = strrchr(f->key, '/'), *stem = slash ? slash + 1 : f->key;
    const char *group = f->group;
    size_t size = strcspn(stem, ".");
    if (!group && f->labels.composer && !is_nobody(f->labels.composer)) group = f->labels.composer;
    if (group) stem = group, size = strlen(group);
    f->group_hash = motet_build_hash(stem, size, 0);
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static motet_status index_sources(motet_build_list *list) {
    char **names = malloc(((size_t)list->count + 1) * sizeof *names);
    if (!names) return no_memory();
    list->sources = names;
    for (int64_t i = 0; i < list->count; i++)
        names[i] = (char *)list->files[i].source;
    qsort(names, (size_t)list->count, sizeof *names, compare_texts);
    int64_t kept = 0;
    for (int64_t i = 0; i < list->count; i++)
        if (!kept || strcmp(names[kept - 1], names[i]) != 0) names[kept++] = names[i];
    if (kept > 65535)
        return MOTET_FAIL(MOTET_E_USAGE, "%lld sources are more than 65535", (long long)kept);
    list->source_count = (int)kept;
    for (int64_t i = 0; i < list->count; i++) {
        motet_build_file *f = &list->files[i];
        char *key = (char *)f->source;
        char **hit = bsearch(&key, names, (size_t)kept, sizeof *names, compare_texts);
        f->source_index = (uint16_t)(hit - names);
        set_group(f);
    }
    return MOTET_OK;
}

motet_status motet_build_list_make(motet_build_list *list, const motet_build_options *options) {
    *list = (motet_build_list){0};
    motet_status status = MOTET_OK;
    for (int i = 0; status == MOTET_OK && i < options->path_count; i++)
        status = add_path(list, options->paths[i]);
    if (status == MOTET_OK && !list->count)
        status = MOTET_FAIL(MOTET_E_USAGE, "there is no .mid file under %s%s",
                            options->path_count ? options->paths[0] : "nothing",
                            options->path_count > 1 ? " and the others" : "");
    if (status == MOTET_OK && options->captions)
        status = motet_build_captions_apply(list, options->captions);
    if (status == MOTET_OK) status = index_sources(list);
    if (status != MOTET_OK) motet_build_list_free(list);
    return status;
}

void motet_build_list_free(motet_build_list *list) {
    for (int64_t i = 0; i < list->count; i++) {
        free(list->files[i].path);
        free(list->files[i].captions);
    }
    for (int64_t i = 0; i < list->manifest_count; i++) {
        motet_manifest_free(list->manifests[i]);
        free(list->manifests[i]);
    }
    for (int64_t i = 0; i < list->text_count; i++)
        free(list->texts[i]);
    free(list->files);
    free(list->manifests);
    free(list->texts);
    free(list->sources);
    *list = (motet_build_list){0};
}
