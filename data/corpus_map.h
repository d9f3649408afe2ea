/* corpus_map: rows of an array straight from the mapped file. A working copy stores its chunks as
 * they are, each followed by a checksum; once the SHA-256 of the whole file has been checked the
 * checksums say nothing new, so a row is an address and HDF5 is not asked: a copy instead of a
 * chunk read, and no process-wide lock.
 */
#ifndef MOTET_DATA_CORPUS_MAP_H
#define MOTET_DATA_CORPUS_MAP_H

#include "data/corpus_format.h"

typedef struct motet_corpus_map {
    const unsigned char *file; /* the mapped file; not owned */
    uint64_t *chunks;          /* [chunk_count] offsets in it, owned; NULL: not mappable */
    uint64_t chunk_count, chunk_rows;
    size_t row_bytes;
} motet_corpus_map;

/* Finds the chunks of an array of bytes with `rows` rows in a file of `size` bytes. Leaves
 * map->chunks NULL if they are compressed or anything else is unusual: HDF5 reads those. */
motet_status motet_corpus_map_make(motet_corpus_map *map, hid_t dataset, const motet_column *column,
                                   uint64_t rows, const unsigned char *file, size_t size);
void motet_corpus_map_free(motet_corpus_map *map);

/* Copies rows [first, first + count), which the caller has checked. */
void motet_corpus_map_read(void *out, const motet_corpus_map *map, uint64_t first, uint64_t count);

#endif
