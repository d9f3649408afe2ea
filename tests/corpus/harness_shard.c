#include "tests/corpus/harness_shard.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/sha256.h"

char harness_folder[64];

int harness_make_folder(void **state) {
    (void)state;
    strcpy(harness_folder, "/tmp/motet_corpus_XXXXXX");
    return mkdtemp(harness_folder) ? 0 : -1;
}

static int remove_tree(const char *path) {
    DIR *folder = opendir(path);
    struct dirent *entry;
    if (!folder) return unlink(path);
    while ((entry = readdir(folder))) {
        char full[1024];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        remove_tree(full);
    }
    closedir(folder);
    return rmdir(path);
}

int harness_remove_folder(void **state) {
    (void)state;
    int left = harness_count_files(".tmp");
    return remove_tree(harness_folder) || left ? -1 : 0;
}

const char *harness_path(const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", harness_folder, name);
    return path;
}

void harness_write(const char *name, const void *bytes, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s", harness_path(name));
    for (char *p = path + strlen(harness_folder) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0777);
        *p = '/';
    }
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
}

int harness_exists(const char *name) {
    return access(harness_path(name), F_OK) == 0;
}

int harness_count_files(const char *part) {
    DIR *folder = opendir(harness_folder);
    int count = 0;
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        count += strstr(entry->d_name, part) != NULL;
    if (folder) closedir(folder);
    return count;
}

motet_event *harness_events(int64_t *count, int bars, int notes, unsigned seed) {
    *count = (int64_t)bars * (1 + notes) + 1;
    motet_event *events = calloc((size_t)*count, sizeof *events), *e = events;
    assert_non_null(events);
    for (int b = 0; b < bars; b++) {
        *e++ = (motet_event){.type = MOTET_EVENT_BAR,
                             .field = {(uint8_t)motet_metre_index(4, 4), 34, MOTET_CHORD_NONE,
                                       MOTET_SECTION_NONE, 0, (uint8_t)motet_density_level(notes)}};
        for (int n = 0; n < notes; n++)
            *e++ = (motet_event){.type = MOTET_EVENT_NOTE,
                                 .field = {(uint8_t)n, 0,
                                           (uint8_t)(40 + (seed * 7 + (unsigned)(b * n)) % 40), 5,
                                           20}};
    }
    *e = (motet_event){.type = MOTET_EVENT_END};
    return events;
}

void harness_corpus(const char *name, int pieces, int archive) {
    static const char *const SOURCES[] = {"alpha", "beta"};
    motet_corpus_writer *writer;
    char path[512];
    snprintf(path, sizeof path, "%s", harness_path(name));
    if (motet_corpus_writer_open(&writer, path, SOURCES, 2, archive)) fail_msg("%s", motet_error());
    for (int i = 0; i < pieces; i++) {
        int64_t count;
        motet_event *events = harness_events(&count, 4 + i % 7, 8, (unsigned)i);
        char first[64], second[64];
        snprintf(first, sizeof first, "caption one of %d", i);
        snprintf(second, sizeof second, "\xc3\xa9tude %d", i);
        const char *const captions[] = {first, second};
        const motet_piece piece = {.tempo_bpm = 100.5f + (float)i,
                                   .bars = 4 + (uint32_t)i % 7,
                                   .notes = (uint32_t)count,
                                   .key = (uint8_t)(i % 24),
                                   .metre = 3,
                                   .density = 6,
                                   .split = i % 5 == 4,
                                   .source = (uint16_t)(i % 2),
                                   .programs = {1, [16] = (uint8_t)(i & 1)},
                                   .group = 1000u + (uint64_t)i,
                                   .note_hash = UINT64_MAX - (uint64_t)i};
        if (motet_corpus_append(writer, &piece, events, count, captions, 2))
            fail_msg("%s", motet_error());
        free(events);
    }
    if (motet_corpus_writer_close(writer)) fail_msg("%s", motet_error());
}

void harness_rehash(const char *name) {
    char hex[MOTET_SHA256_HEX], beside[256], line[400];
    assert_int_equal(motet_sha256_file(hex, harness_path(name)), MOTET_OK);
    snprintf(beside, sizeof beside, "%s.sha256", name);
    int size = snprintf(line, sizeof line, "%s  %s\n", hex, name);
    harness_write(beside, line, (size_t)size);
}
