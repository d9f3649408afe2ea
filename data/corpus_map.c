#include "data/corpus_map.h"

#include <stdlib.h>
#include <string.h>

#define CHECKSUM_BYTES 4

/* The rows of a chunk if chunks hold plain rows and a checksum, else 0. */
static uint64_t plain_chunk_rows(hid_t dataset, const motet_column *column) {
    hid_t list = H5Dget_create_plist(dataset);
    hsize_t dims[2] = {0, 1};
    int rank = column->width > 1 ? 2 : 1;
    unsigned flags, config;
    size_t values = 0;
    int plain =
        list >= 0 && H5Pget_layout(list) == H5D_CHUNKED && H5Pget_nfilters(list) == 1 &&
        H5Pget_filter2(list, 0, &flags, &values, NULL, 0, NULL, &config) == H5Z_FILTER_FLETCHER32 &&
        H5Pget_chunk(list, rank, dims) == rank && (rank == 1 || dims[1] == column->width);
    if (list >= 0) H5Pclose(list);
    return plain ? dims[0] : 0;
}

motet_status motet_corpus_map_make(motet_corpus_map *map, hid_t dataset, const motet_column *column,
                                   uint64_t rows, const unsigned char *file, size_t size) {
    uint64_t chunk_rows = column->type == 'b' && rows ? plain_chunk_rows(dataset, column) : 0;
    *map = (motet_corpus_map){.file = file, .row_bytes = motet_column_bytes(column)};
    if (!chunk_rows || chunk_rows > UINT32_MAX) return MOTET_OK;
    uint64_t count = (rows + chunk_rows - 1) / chunk_rows;
    uint64_t bytes = chunk_rows * map->row_bytes + CHECKSUM_BYTES;
    uint64_t *chunks = malloc((size_t)count * sizeof *chunks);
    if (!chunks)
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %llu chunks", (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        hsize_t start[2] = {i * chunk_rows, 0}, stored;
        haddr_t address;
        unsigned skipped;
        if (H5Dget_chunk_info_by_coord(dataset, start, &skipped, &address, &stored) < 0 ||
            address == HADDR_UNDEF || skipped || stored != bytes || stored > size ||
            address > size - stored) {
            H5Eclear2(H5E_DEFAULT);
            free(chunks);
            return MOTET_OK;
        }
        chunks[i] = address;
    }
    map->chunks = chunks, map->chunk_count = count, map->chunk_rows = chunk_rows;
    return MOTET_OK;
}

void motet_corpus_map_free(motet_corpus_map *map) {
    free(map->chunks);
    *map = (motet_corpus_map){0};
}

void motet_corpus_map_read(void *out, const motet_corpus_map *map, uint64_t first, uint64_t count) {
    unsigned char *to = out;
    while (count) {
        uint64_t row = first % map->chunk_rows, take = map->chunk_rows - row;
        if (take > count) take = count;
        size_t bytes = (size_t)take * map->row_bytes;
        memcpy(to, map->file + map->chunks[first / map->chunk_rows] + row * map->row_bytes, bytes);
        to += bytes, first += take, count -= take;
    }
}
