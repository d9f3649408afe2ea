/* corpus: pieces at rest in HDF5. One file (shard):
 *
 *   /events            u8  [E, 8]     all pieces one after another: motet_event rows
 *   /offsets           u64 [N+1]      where each piece starts in /events
 *   /caption_bytes     u8  [C]        UTF-8
 *   /caption_offsets   u64 [K+1]      where each caption starts
 *   /piece_captions    u64 [N+1]      which captions are a piece's
 *   /meta/NAME         one column of N rows each: the members of motet_piece
 *   attributes: format version, hash of the event tables, sources (newline-separated), tool
 *
 * 16 Ki-row chunks with fletcher32; `archive` adds shuffle + deflate. Never variable-length types.
 * Written to a temporary name, flushed, closed, hashed, renamed; FILE.sha256 stands beside it. The
 * same pieces give the same bytes. A verified working copy is read by mmap, past HDF5.
 */
#ifndef MOTET_DATA_CORPUS_H
#define MOTET_DATA_CORPUS_H

#include "data/events.h"

enum { MOTET_SPLIT_TRAIN = 0, MOTET_SPLIT_VALID = 1 };

/* What is known of a piece beside its events. */
typedef struct motet_piece {
    float tempo_bpm;
    uint32_t bars, notes;
    uint8_t key;     /* 0..23 or MOTET_NO_KEY */
    uint8_t metre;   /* index of most bars' metre */
    uint8_t density; /* level of the mean bar */
    uint8_t split;
    uint16_t source;      /* index into the corpus's list of sources */
    uint8_t programs[17]; /* bit p % 8 of byte p / 8: program p sounds */
    uint64_t group;       /* hash of what is held out as a whole */
    uint64_t
        note_hash; /* of the notes relative to the first: equal for copies and transpositions */
} motet_piece;

static inline int motet_piece_has_program(const motet_piece *piece, int program) {
    return piece->programs[program >> 3] >> (program & 7) & 1;
}

/* Writing. Append pieces, then close; nothing stands under `path` before close succeeds. */
typedef struct motet_corpus_writer motet_corpus_writer;
motet_status motet_corpus_writer_open(motet_corpus_writer **writer, const char *path,
                                      const char *const *sources, int source_count, int archive);
motet_status motet_corpus_append(motet_corpus_writer *writer, const motet_piece *piece,
                                 const motet_event *events, int64_t count,
                                 const char *const *captions, int caption_count);
motet_status motet_corpus_writer_close(motet_corpus_writer *writer);
void motet_corpus_writer_abandon(motet_corpus_writer *writer); /* removes the temporary file */

/* Reading. open checks the SHA-256 beside the file first (verify != 0), then every array's shape
 * and order before anything is allocated from it. MOTET_E_DATA names the file and what is wrong. */
typedef struct motet_corpus motet_corpus;
motet_status motet_corpus_open(motet_corpus **corpus, const char *path, int verify);
void motet_corpus_close(motet_corpus *corpus);

int64_t motet_corpus_count(const motet_corpus *corpus);
const motet_piece *motet_corpus_piece(const motet_corpus *corpus, int64_t index);
int64_t motet_corpus_event_count(const motet_corpus *corpus, int64_t index);
int motet_corpus_source_count(const motet_corpus *corpus);
const char *motet_corpus_source(const motet_corpus *corpus, int source);
const char *motet_corpus_sha256(const motet_corpus *corpus); /* 64 hex digits */

/* Reads events [first, first+count) of a piece into the caller's memory. Not thread-safe (HDF5). */
motet_status motet_corpus_read(motet_event *events, motet_corpus *corpus, int64_t index,
                               int64_t first, int64_t count);

int motet_corpus_caption_count(const motet_corpus *corpus, int64_t index);
/* Reads caption k of a piece, NUL-terminated, at most size - 1 bytes (cut at a character). */
motet_status motet_corpus_caption(char *buffer, int size, motet_corpus *corpus, int64_t index,
                                  int k);

#endif
