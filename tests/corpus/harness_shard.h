/* harness_shard: a folder of its own for each test program, and small pieces and corpora in it. */
#ifndef MOTET_TESTS_CORPUS_HARNESS_SHARD_H
#define MOTET_TESTS_CORPUS_HARNESS_SHARD_H

#include <stddef.h>

#include "data/corpus.h"

extern char harness_folder[64];

/* cmocka group fixtures. Removal fails if a test left anything but its own files behind. */
int harness_make_folder(void **state);
int harness_remove_folder(void **state);

/* The path of a file in the folder; static memory, good for the next four calls. */
const char *harness_path(const char *name);
void harness_write(const char *name, const void *bytes, size_t size);
int harness_exists(const char *name);

/* The number of entries in the folder whose names hold `part`. */
int harness_count_files(const char *part);

/* Events of a piece: `bars` bars of 4/4 with `notes` notes each, pitches from `seed`. The caller
 * frees them. */
motet_event *harness_events(int64_t *count, int bars, int notes, unsigned seed);

/* Writes a corpus of `pieces` such pieces with two captions each, every fifth in the valid split,
 * sources "alpha" and "beta" in turn. Piece i has 4 + i % 7 bars. */
void harness_corpus(const char *name, int pieces, int archive);

/* Writes the hash of a file that was changed on purpose beside it. */
void harness_rehash(const char *name);

#endif
