/* harness_corpus: a small synthetic corpus for trainer tests: bars with a chord, notes of that
 * chord on the beats, captions that say metre, instrument and tempo. A pure function of its
 * arguments.
 */
#ifndef MOTET_TESTS_HARNESS_CORPUS_H
#define MOTET_TESTS_HARNESS_CORPUS_H

#include <stddef.h>

#include "data/corpus.h"

/* Writes pieces of `bars` bars each; every fifth is held out. Fails the running test on an error.
 */
void corpus_make(const char *path, int pieces, int bars);

/* A new empty folder under $TMPDIR or /tmp; path gets its name. corpus_folder_remove removes it
 * with everything in it. */
void corpus_folder_make(char *path, size_t size);
void corpus_folder_remove(const char *path);

#endif
