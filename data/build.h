/* build: MIDI files and labels -> a corpus. Every file is read, analysed and spelt in a forked
 * worker with limits on memory and time, so that a file which crashes or hangs a library costs only
 * itself; whatever goes wrong is counted by reason. Results are taken in the order of the sorted
 * file list, so the corpus is the same for every number of workers.
 *
 * A path is a MIDI file or a folder, searched for .mid, .midi, .kar and .smf files. Where a folder
 * holds a MANIFEST.tsv, files below it get its labels (columns source, title, composer, kind,
 * genre, mood, caption, group, key; others are ignored). A list of captions (columns file, then any
 * of caption, title, composer, kind, genre, mood, group, source) adds to that and wins; its paths
 * are relative to its folder, and a file may have several rows.
 *
 * group: the manifest's, else the composer (unless it only says that nobody knows), else the file's
 * stem. A whole group goes to the valid split, or none of it: hash(group) mod 100.
 */
#ifndef MOTET_DATA_BUILD_H
#define MOTET_DATA_BUILD_H

#include <signal.h>
#include <stdint.h>

#include "kernels/core/status.h"

#define MOTET_BUILD_REASONS 64
#define MOTET_BUILD_MIN_BARS 4
#define MOTET_BUILD_MIN_NOTES 16
#define MOTET_BUILD_MAX_EVENTS 20000 /* longer pieces are cut at a bar line */
#define MOTET_BUILD_MAX_VARIANTS 64

typedef struct motet_build_reason {
    char text[120]; /* "too short", "crashed (signal 6)", the reader's sentence without numbers */
    char example[200]; /* a file */
    int64_t files;
} motet_build_reason;

typedef struct motet_build_report {
    int64_t files, done; /* found, looked at */
    int64_t pieces, valid_pieces, events, captions;
    int64_t repaired, cut; /* pieces kept after a repair, shortened to MOTET_BUILD_MAX_EVENTS */
    int64_t captions_unmatched; /* rows of the caption list that name no file found */
    int64_t labelled;           /* files with a row in a manifest or caption list */
    motet_build_reason reasons[MOTET_BUILD_REASONS]; /* why files were dropped; the last: others */
    int reason_count;
    int interrupted;
    double seconds;
} motet_build_report;

typedef struct motet_build_options {
    const char *const *paths;
    int path_count;
    const char *captions; /* TSV, or NULL */
    const char *output;
    int jobs;          /* workers, 1..256 */
    int variants;      /* captions a piece, 1..MOTET_BUILD_MAX_VARIANTS */
    int valid_percent; /* 0..100 */
    int archive;
    uint64_t seed;    /* of the captions */
    int file_seconds; /* CPU seconds a file may take; 0: 10 */
    volatile sig_atomic_t
        *stop; /* set by a signal handler: give up, keep the old corpus. Or NULL */
    void (*progress)(void *user, const motet_build_report *report); /* now and then; or NULL */
    void *user;
} motet_build_options;

/* Builds options->output; *report is filled also on failure. Nothing stands under output (or what
 * stood there stays) unless MOTET_OK is returned. MOTET_E_USAGE for a path that is not there, for
 * options out of range, when no file is left, or when interrupted. */
motet_status motet_build(motet_build_report *report, const motet_build_options *options);

#endif
