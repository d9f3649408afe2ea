/* build_parts: what the files of the builder share; nothing here is for others. */
#ifndef MOTET_DATA_BUILD_PARTS_H
#define MOTET_DATA_BUILD_PARTS_H

#include "data/build.h"
#include "data/caption.h"
#include "data/corpus.h"
#include "data/manifest.h"

/* A file to look at. Texts belong to the list or its manifests. */
typedef struct motet_build_file {
    char *path;          /* as it is opened */
    const char *key;     /* within the argument that led to it: what seeds its captions */
    motet_labels labels; /* .caption is unused: see captions */
    const char *source, *group, *music_key;
    const char **captions; /* ready-made ones, owned array */
    int caption_count, labelled;
    uint16_t source_index;
    uint64_t group_hash;
} motet_build_file;

typedef struct motet_build_list {
    motet_build_file *files;
    int64_t count, capacity;
    motet_manifest **manifests; /* [manifest_count], kept because labels point into them */
    char **texts;               /* other texts that labels point into */
    int64_t manifest_count, text_count, text_capacity;
    char **sources; /* [source_count] sorted; point to files' sources */
    int source_count;
    int64_t captions_unmatched;
} motet_build_list;

motet_status motet_build_list_make(motet_build_list *list, const motet_build_options *options);
void motet_build_list_free(motet_build_list *list);

/* A MANIFEST.tsv and the folder that its paths are relative to. Zeroed: none. */
typedef struct motet_build_scope {
    const motet_manifest *manifest;
    int file_column;
    int64_t *order; /* rows sorted by file; whoever opened the scope frees it */
    size_t skip;    /* bytes of a path that name the folder */
} motet_build_scope;

/* Reads the manifest at path into the list. */
motet_status motet_build_scope_open(motet_build_scope *scope, motet_build_list *list,
                                    const char *path, size_t skip);

/* Gives a file the labels of its row; several rows may bring several captions. */
motet_status motet_build_scope_apply(motet_build_file *file, const motet_build_scope *scope);

/* Applies a list of captions to the files that it names. */
motet_status motet_build_captions_apply(motet_build_list *list, const char *path);

/* What a worker sends back: this, then events, then the captions, each NUL-terminated. */
typedef struct motet_build_result {
    int64_t file;
    int32_t kept;
    int32_t repaired, cut;
    int32_t caption_count;
    int64_t event_count, caption_bytes;
    motet_piece piece;
    char reason[120]; /* why it was dropped */
} motet_build_result;

typedef struct motet_build_piece {
    motet_build_result head;
    motet_event *events;
    char *captions;
} motet_build_piece;

/* One file from bytes to events and captions. Never fails: a file that cannot be used says why. */
void motet_build_file_read(motet_build_piece *piece, const motet_build_file *file, int64_t index,
                           const motet_build_options *options);
void motet_build_piece_free(motet_build_piece *piece);

/* Runs every file of the list through the workers and hands the pieces on in the list's order,
 * until take fails. A piece's memory is the pool's. */
typedef motet_status motet_build_take(void *user, const motet_build_piece *piece);
motet_status motet_build_pool_run(const motet_build_list *list, const motet_build_options *options,
                                  motet_build_take *take, void *user);

/* 64-bit FNV-1a with a finaliser, so that its low digits are as good as its high ones. */
uint64_t motet_build_hash(const void *bytes, size_t size, uint64_t start);

#endif
