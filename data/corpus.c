#include "data/corpus.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/corpus_format.h"
#include "data/corpus_map.h"
#include "data/file.h"
#include "data/sha256.h"

/* Deflate cannot make more than this of a byte: a declared size beyond it is a lie. */
#define DEFLATE_MOST 1032u

struct motet_corpus {
    char *path;
    char sha256[MOTET_SHA256_HEX];
    hid_t file, datasets[MOTET_ARRAYS];
    uint64_t rows[MOTET_ARRAYS];
    int64_t count;
    uint64_t *offsets, *caption_offsets, *piece_captions;
    motet_piece *pieces;
    char *sources_text;
    char **sources;
    int source_count;
    void *mapping; /* the file, NULL if it could not be mapped or was not verified */
    size_t mapping_bytes;
    motet_corpus_map maps[MOTET_ARRAYS]; /* of events and caption bytes */
};

static motet_status check_hash(const motet_corpus *c) {
    char beside[4096];
    unsigned char *text;
    size_t size;
    if (snprintf(beside, sizeof beside, "%s.sha256", c->path) >= (int)sizeof beside)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s...: the path is too long", c->path);
    if (access(beside, F_OK))
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: its hash is missing (%s); sha256sum makes it if the file is good",
                          c->path, beside);
    MOTET_TRY(motet_file_read(&text, &size, beside, 1 << 16));
    int same = size >= MOTET_SHA256_HEX - 1 && !memcmp(text, c->sha256, MOTET_SHA256_HEX - 1);
    free(text);
    if (same) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_DATA,
                      "%s: its bytes do not have the SHA-256 in %s: it is damaged or half copied",
                      c->path, beside);
}

/* Opens an array and checks its type and shape; *rows is believed only if that much is stored. */
static motet_status open_array(hid_t *dataset, uint64_t *rows, const motet_corpus *c,
                               const motet_column *column) {
    hsize_t dims[2] = {0, 1};
    *dataset = H5Dopen2(c->file, column->name, H5P_DEFAULT);
    if (*dataset < 0) {
        H5Eclear2(H5E_DEFAULT);
        return MOTET_FAIL(MOTET_E_DATA, "%s: it has no array %s", c->path, column->name);
    }
    hid_t type = H5Dget_type(*dataset), space = H5Dget_space(*dataset);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    int good = type >= 0 && H5Tequal(type, motet_column_stored(column)) > 0 &&
               rank == (column->width > 1 ? 2 : 1) &&
               H5Sget_simple_extent_dims(space, dims, NULL) == rank &&
               dims[rank - 1] == (rank == 2 ? column->width : dims[0]);
    uint64_t stored = H5Dget_storage_size(*dataset), need;
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (!good)
        return MOTET_FAIL(MOTET_E_DATA, "%s: the array %s has another type or shape", c->path,
                          column->name);
    if (__builtin_mul_overflow(dims[0], (uint64_t)motet_column_bytes(column), &need) ||
        need / DEFLATE_MOST > stored)
        return MOTET_FAIL(MOTET_E_DATA, "%s: the array %s claims %llu rows but stores %llu bytes",
                          c->path, column->name, (unsigned long long)dims[0],
                          (unsigned long long)stored);
    *rows = dims[0];
    return MOTET_OK;
}

static motet_status read_rows(void *out, const motet_corpus *c, hid_t dataset,
                              const motet_column *column, uint64_t first, uint64_t count) {
    if (!count) return MOTET_OK;
    int rank = column->width > 1 ? 2 : 1;
    hsize_t start[2] = {first, 0}, size[2] = {count, column->width};
    hid_t file_space = H5Dget_space(dataset), memory_space = H5Screate_simple(rank, size, NULL);
    int bad = file_space < 0 || memory_space < 0 ||
              H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
              H5Dread(dataset, motet_column_native(column), memory_space, file_space, H5P_DEFAULT,
                      out) < 0;
    motet_status status =
        bad ? motet_corpus_fail(MOTET_E_DATA, c->path, "read its arrays") : MOTET_OK;
    if (file_space >= 0) H5Sclose(file_space);
    if (memory_space >= 0) H5Sclose(memory_space);
    return status;
}

static motet_status read_text(char **text, const motet_corpus *c, const char *name) {
    hid_t attribute = H5Aopen(c->file, name, H5P_DEFAULT), type = -1;
    size_t size = 0;
    *text = NULL;
    if (attribute >= 0 && (type = H5Aget_type(attribute)) >= 0 &&
        H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
        H5Aget_storage_size(attribute) == (size = H5Tget_size(type)) && size > 0 &&
        size <= MOTET_CORPUS_SOURCES_BYTES && (*text = calloc(1, size + 1)) &&
        H5Aread(attribute, type, *text) < 0) {
        free(*text);
        *text = NULL;
    }
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    H5Eclear2(H5E_DEFAULT);
    if (*text) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_DATA, "%s: it has no attribute '%s'; it is no motet corpus", c->path,
                      name);
}

static motet_status read_attributes(motet_corpus *c) {
    char *text, tables[MOTET_CORPUS_TABLES_HEX];
    MOTET_TRY(read_text(&text, c, "format_version"));
    int version = (int)strtol(text, NULL, 10);
    free(text);
    if (version != MOTET_CORPUS_VERSION)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "%s: its format version is %d, this motet reads %d",
                          c->path, version, MOTET_CORPUS_VERSION);
    MOTET_TRY(read_text(&text, c, "event_tables"));
    motet_corpus_tables_hash(tables);
    int same = !strcmp(text, tables);
    free(text);
    if (!same)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "%s: it was built with other event tables; build it again", c->path);
    MOTET_TRY(read_text(&c->sources_text, c, "sources"));
    for (const char *p = c->sources_text; p; p = strchr(p, '\n'), p += p != NULL)
        c->source_count++;
    c->sources = calloc((size_t)c->source_count, sizeof *c->sources);
    if (!c->sources) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its sources", c->path);
    char *p = c->sources_text;
    for (int i = 0; i < c->source_count; i++) {
        c->sources[i] = p;
        p += strcspn(p, "\n");
        if (*p) *p++ = 0;
    }
    return MOTET_OK;
}

static motet_status check_offsets(const motet_corpus *c, const uint64_t *offsets, uint64_t count,
                                  uint64_t end, uint64_t step, const char *name) {
    if (offsets[0] != 0 || offsets[count] != end)
        return MOTET_FAIL(MOTET_E_DATA, "%s: %s does not cover what it points into", c->path, name);
    for (uint64_t i = 0; i < count; i++)
        if (offsets[i + 1] < offsets[i] || offsets[i + 1] - offsets[i] < step)
            return MOTET_FAIL(MOTET_E_DATA, "%s: %s is out of order at %llu", c->path, name,
                              (unsigned long long)i);
    return MOTET_OK;
}

static motet_status read_offsets(motet_corpus *c) {
    uint64_t **targets[MOTET_ARRAYS] = {[MOTET_ARRAY_OFFSETS] = &c->offsets,
                                        [MOTET_ARRAY_CAPTION_OFFSETS] = &c->caption_offsets,
                                        [MOTET_ARRAY_PIECE_CAPTIONS] = &c->piece_captions};
    for (int i = 0; i < MOTET_ARRAYS; i++) {
        MOTET_TRY(open_array(&c->datasets[i], &c->rows[i], c, &motet_corpus_arrays[i]));
        if (!targets[i]) continue;
        if (!c->rows[i])
            return MOTET_FAIL(MOTET_E_DATA, "%s: the array %s is empty", c->path,
                              motet_corpus_arrays[i].name);
        *targets[i] = malloc((size_t)c->rows[i] * sizeof **targets[i]);
        if (!*targets[i])
            return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for %llu offsets", c->path,
                              (unsigned long long)c->rows[i]);
        MOTET_TRY(
            read_rows(*targets[i], c, c->datasets[i], &motet_corpus_arrays[i], 0, c->rows[i]));
    }
    c->count = (int64_t)c->rows[MOTET_ARRAY_OFFSETS] - 1;
    uint64_t captions = c->rows[MOTET_ARRAY_CAPTION_OFFSETS] - 1;
    if (c->rows[MOTET_ARRAY_PIECE_CAPTIONS] != c->rows[MOTET_ARRAY_OFFSETS])
        return MOTET_FAIL(MOTET_E_DATA, "%s: /offsets and /piece_captions differ in length",
                          c->path);
    MOTET_TRY(check_offsets(c, c->offsets, (uint64_t)c->count, c->rows[MOTET_ARRAY_EVENTS], 1,
                            "/offsets"));
    MOTET_TRY(
        check_offsets(c, c->piece_captions, (uint64_t)c->count, captions, 1, "/piece_captions"));
    return check_offsets(c, c->caption_offsets, captions, c->rows[MOTET_ARRAY_CAPTION_BYTES], 0,
                         "/caption_offsets");
}

static motet_status read_column(motet_corpus *c, const motet_column *column) {
    hid_t dataset = -1;
    uint64_t rows = 0;
    size_t bytes = motet_column_bytes(column);
    motet_status status = open_array(&dataset, &rows, c, column);
    if (status == MOTET_OK && rows != (uint64_t)c->count)
        status = MOTET_FAIL(MOTET_E_DATA, "%s: %s has %llu rows for %lld pieces", c->path,
                            column->name, (unsigned long long)rows, (long long)c->count);
    unsigned char *values = NULL;
    if (status == MOTET_OK && !(values = malloc((size_t)rows * bytes + 1)))
        status = MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for %s", c->path, column->name);
    if (status == MOTET_OK) status = read_rows(values, c, dataset, column, 0, rows);
    for (uint64_t i = 0; status == MOTET_OK && i < rows; i++)
        memcpy((unsigned char *)&c->pieces[i] + column->offset, values + i * bytes, bytes);
    free(values);
    if (dataset >= 0) H5Dclose(dataset);
    return status;
}

static motet_status read_pieces(motet_corpus *c) {
    c->pieces = calloc((size_t)c->count + 1, sizeof *c->pieces);
    if (!c->pieces) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its pieces", c->path);
    for (int i = 0; i < MOTET_COLUMNS; i++)
        MOTET_TRY(read_column(c, &motet_corpus_columns[i]));
    for (int64_t i = 0; i < c->count; i++) {
        const motet_piece *p = &c->pieces[i];
        if ((p->key > 23 && p->key != MOTET_NO_KEY) || p->metre >= MOTET_METRES ||
            p->density >= MOTET_DENSITIES || p->split > MOTET_SPLIT_VALID ||
            p->source >= c->source_count || !(p->tempo_bpm > 0 && p->tempo_bpm < 1e6f))
            return MOTET_FAIL(MOTET_E_DATA, "%s: /meta says something impossible of piece %lld",
                              c->path, (long long)i);
    }
    return MOTET_OK;
}

/* Maps a verified file for reading past HDF5; where that cannot be done, HDF5 reads. */
static motet_status map_arrays(motet_corpus *c) {
    static const int MAPPED[] = {MOTET_ARRAY_EVENTS, MOTET_ARRAY_CAPTION_BYTES};
    struct stat info;
    int fd = open(c->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return MOTET_OK;
    if (!fstat(fd, &info) && info.st_size > 0) {
        void *mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapping != MAP_FAILED) c->mapping = mapping, c->mapping_bytes = (size_t)info.st_size;
    }
    close(fd);
    for (int i = 0; c->mapping && i < 2; i++) {
        int k = MAPPED[i];
        MOTET_TRY(motet_corpus_map_make(&c->maps[k], c->datasets[k], &motet_corpus_arrays[k],
                                        c->rows[k], c->mapping, c->mapping_bytes));
    }
    return MOTET_OK;
}

/* Rows of an array whose range the caller has checked. */
static motet_status read_array(void *out, const motet_corpus *c, int array, uint64_t first,
                               uint64_t count) {
    if (!c->maps[array].chunks)
        return read_rows(out, c, c->datasets[array], &motet_corpus_arrays[array], first, count);
    motet_corpus_map_read(out, &c->maps[array], first, count);
    return MOTET_OK;
}

static motet_status open_checked(motet_corpus *c, int verify) {
    MOTET_TRY(motet_sha256_file(c->sha256, c->path));
    if (verify) MOTET_TRY(check_hash(c));
    c->file = H5Fopen(c->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (c->file < 0) return motet_corpus_fail(MOTET_E_DATA, c->path, "open it as an HDF5 file");
    MOTET_TRY(read_attributes(c));
    MOTET_TRY(read_offsets(c));
    MOTET_TRY(read_pieces(c));
    return verify ? map_arrays(c) : MOTET_OK;
}

motet_status motet_corpus_open(motet_corpus **corpus, const char *path, int verify) {
    *corpus = NULL;
    motet_corpus_quiet();
    motet_corpus *c = calloc(1, sizeof *c);
    if (!c || !(c->path = strdup(path))) {
        free(c);
        return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to open it", path);
    }
    c->file = -1;
    for (int i = 0; i < MOTET_ARRAYS; i++)
        c->datasets[i] = -1;
    motet_status status = open_checked(c, verify);
    if (status != MOTET_OK) {
        motet_corpus_close(c);
        return status;
    }
    *corpus = c;
    return MOTET_OK;
}

void motet_corpus_close(motet_corpus *c) {
    if (!c) return;
    for (int i = 0; i < MOTET_ARRAYS; i++)
        if (c->datasets[i] >= 0) H5Dclose(c->datasets[i]);
    if (c->file >= 0) H5Fclose(c->file);
    for (int i = 0; i < MOTET_ARRAYS; i++)
        motet_corpus_map_free(&c->maps[i]);
    if (c->mapping) munmap(c->mapping, c->mapping_bytes);
    free(c->offsets);
    free(c->caption_offsets);
    free(c->piece_captions);
    free(c->pieces);
    free(c->sources);
    free(c->sources_text);
    free(c->path);
    free(c);
}

int64_t motet_corpus_count(const motet_corpus *corpus) {
    return corpus->count;
}

const motet_piece *motet_corpus_piece(const motet_corpus *corpus, int64_t index) {
    return index < 0 || index >= corpus->count ? NULL : &corpus->pieces[index];
}

int64_t motet_corpus_event_count(const motet_corpus *corpus, int64_t index) {
    return index < 0 || index >= corpus->count
               ? 0
               : (int64_t)(corpus->offsets[index + 1] - corpus->offsets[index]);
}

int motet_corpus_source_count(const motet_corpus *corpus) {
    return corpus->source_count;
}

const char *motet_corpus_source(const motet_corpus *corpus, int source) {
    return source < 0 || source >= corpus->source_count ? NULL : corpus->sources[source];
}

const char *motet_corpus_sha256(const motet_corpus *corpus) {
    return corpus->sha256;
}

/* What indexes a table further on has to be inside it. */
static int event_in_range(const motet_event *e) {
    static const uint8_t BAR[MOTET_BAR_FIELDS] = {MOTET_METRES,   MOTET_TEMPOS, MOTET_CHORDS,
                                                  MOTET_SECTIONS, MOTET_ECHOES, MOTET_DENSITIES};
    static const uint8_t NOTE[MOTET_NOTE_FIELDS] = {MOTET_POSITIONS, MOTET_PROGRAMS, MOTET_PITCHES,
                                                    MOTET_DURATIONS, MOTET_VELOCITIES};
    int fields = e->type == MOTET_EVENT_BAR    ? MOTET_BAR_FIELDS
                 : e->type == MOTET_EVENT_NOTE ? MOTET_NOTE_FIELDS
                                               : 0;
    const uint8_t *limits = e->type == MOTET_EVENT_BAR ? BAR : NOTE;
    for (int i = 0; i < fields; i++)
        if (e->field[i] >= limits[i]) return 0;
    return e->type < MOTET_EVENT_TYPES;
}

motet_status motet_corpus_read(motet_event *events, motet_corpus *corpus, int64_t index,
                               int64_t first, int64_t count) {
    int64_t total = motet_corpus_event_count(corpus, index);
    if (first < 0 || count < 0 || first > total || count > total - first)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: piece %lld has no events %lld to %lld", corpus->path,
                          (long long)index, (long long)first, (long long)(first + count));
    if (!count) return MOTET_OK;
    MOTET_TRY(read_array(events, corpus, MOTET_ARRAY_EVENTS,
                         corpus->offsets[index] + (uint64_t)first, (uint64_t)count));
    for (int64_t i = 0; i < count; i++)
        if (!event_in_range(&events[i]))
            return MOTET_FAIL(MOTET_E_DATA, "%s: event %lld of piece %lld is out of range",
                              corpus->path, (long long)(first + i), (long long)index);
    return MOTET_OK;
}

int motet_corpus_caption_count(const motet_corpus *corpus, int64_t index) {
    return index < 0 || index >= corpus->count
               ? 0
               : (int)(corpus->piece_captions[index + 1] - corpus->piece_captions[index]);
}

motet_status motet_corpus_caption(char *buffer, int size, motet_corpus *corpus, int64_t index,
                                  int k) {
    if (size < 1 || k < 0 || k >= motet_corpus_caption_count(corpus, index))
        return MOTET_FAIL(MOTET_E_USAGE, "%s: piece %lld has no caption %d", corpus->path,
                          (long long)index, k);
    const uint64_t *at = &corpus->caption_offsets[corpus->piece_captions[index] + (uint64_t)k];
    uint64_t length = at[1] - at[0], whole = length;
    if (length > (uint64_t)size - 1) length = (uint64_t)size - 1;
    buffer[0] = 0;
    MOTET_TRY(read_array(buffer, corpus, MOTET_ARRAY_CAPTION_BYTES, at[0], length));
    if (length < whole && length) { /* cut: the last character has to be whole */
        uint64_t lead = length - 1;
        while (lead && ((unsigned char)buffer[lead] & 0xc0) == 0x80)
            lead--;
        unsigned char c = (unsigned char)buffer[lead];
        uint64_t needs = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (length - lead < needs) length = lead;
    }
    buffer[length] = 0;
    return MOTET_OK;
}
