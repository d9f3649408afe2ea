/* corpus_format: what the writer and the reader of a corpus share: names, types, the table of
 * columns, and HDF5's error stack as one sentence.
 */
#ifndef MOTET_DATA_CORPUS_FORMAT_H
#define MOTET_DATA_CORPUS_FORMAT_H

#include <hdf5.h>

#include "data/corpus.h"

#define MOTET_CORPUS_VERSION 1
#define MOTET_CORPUS_CHUNK 16384         /* rows of /events and of the byte and offset arrays */
#define MOTET_CORPUS_META_CHUNK 1024     /* rows of a column under /meta */
#define MOTET_CORPUS_SOURCES_BYTES 32768 /* of the list, which is one attribute */
#define MOTET_CORPUS_TABLES_HEX 17

/* The arrays beside /meta. */
enum {
    MOTET_ARRAY_EVENTS,
    MOTET_ARRAY_OFFSETS,
    MOTET_ARRAY_CAPTION_BYTES,
    MOTET_ARRAY_CAPTION_OFFSETS,
    MOTET_ARRAY_PIECE_CAPTIONS,
    MOTET_ARRAYS
};

typedef struct motet_column {
    const char *name; /* path in the file */
    size_t offset;    /* of the member in motet_piece; 0 for arrays */
    char type;        /* 'f' f32, 'b' u8, 'h' u16, 'w' u32, 'q' u64 */
    unsigned width;   /* values a row; 1: the dataset has rank 1 */
} motet_column;

#define MOTET_COLUMNS 11
extern const motet_column motet_corpus_arrays[MOTET_ARRAYS];
extern const motet_column motet_corpus_columns[MOTET_COLUMNS];

hid_t motet_column_native(const motet_column *column); /* the type in memory */
hid_t motet_column_stored(const motet_column *column); /* little-endian, in the file */
size_t motet_column_bytes(const motet_column *column); /* of a row */

/* The first 16 hex digits of the SHA-256 of the event tables: corpora spelt with other tables are
 * refused instead of misread. */
void motet_corpus_tables_hash(char hex[MOTET_CORPUS_TABLES_HEX]);

/* Once a process: no error stacks on standard error, no clean-up at exit (it crashes after a write
 * error; we close everything ourselves). */
void motet_corpus_quiet(void);

/* A failure of the last HDF5 call as one sentence; "No space left on device" is told from damage.
 */
motet_status motet_corpus_fail(motet_status code, const char *path, const char *what);

#endif
