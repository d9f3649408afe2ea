#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/corpus_format.h"
#include "data/file.h"
#include "data/sha256.h"

/* HDF5 loses a file that was never flushed when its process is killed. */
#define FLUSH_PIECES 64

/* Rows not yet in the file, and the dataset they go to. */
typedef struct column_buffer {
    const motet_column *column;
    hid_t dataset;
    unsigned char *bytes;
    uint64_t rows, capacity; /* in bytes */
    uint64_t stored;         /* rows in the file */
} column_buffer;

struct motet_corpus_writer {
    char path[PATH_MAX], temporary[PATH_MAX];
    hid_t file;
    column_buffer arrays[MOTET_ARRAYS], columns[MOTET_COLUMNS];
    int source_count, pieces_pending, broken;
    uint64_t events, captions, caption_bytes;
};

static motet_status make_dataset(column_buffer *b, const motet_corpus_writer *w,
                                 const motet_column *column, hsize_t chunk_rows, int archive) {
    int rank = column->width > 1 ? 2 : 1;
    hsize_t dims[2] = {0, column->width}, most[2] = {H5S_UNLIMITED, column->width};
    hsize_t chunk[2] = {chunk_rows, column->width};
    hid_t space = H5Screate_simple(rank, dims, most);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    int bad = space < 0 || list < 0 || H5Pset_chunk(list, rank, chunk) < 0 ||
              H5Pset_obj_track_times(list, 0) < 0; /* same pieces, same bytes */
    if (archive) bad = bad || H5Pset_shuffle(list) < 0 || H5Pset_deflate(list, 6) < 0;
    bad = bad || H5Pset_fletcher32(list) < 0;
    b->column = column;
    b->dataset = bad ? -1
                     : H5Dcreate2(w->file, column->name, motet_column_stored(column), space,
                                  H5P_DEFAULT, list, H5P_DEFAULT);
    motet_status status =
        b->dataset < 0 ? motet_corpus_fail(MOTET_E_IO, w->path, "create its arrays") : MOTET_OK;
    H5Pclose(list);
    H5Sclose(space);
    return status;
}

static motet_status put_text(const motet_corpus_writer *w, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute = -1;
    size_t size = strlen(text) + 1;
    if (type >= 0 && space >= 0 && H5Tset_size(type, size) >= 0)
        attribute = H5Acreate2(w->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    motet_status status = attribute < 0 || H5Awrite(attribute, type, text) < 0
                              ? motet_corpus_fail(MOTET_E_IO, w->path, "write its attributes")
                              : MOTET_OK;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

static motet_status put_attributes(const motet_corpus_writer *w, const char *const *sources,
                                   int source_count) {
    char *text = calloc(1, MOTET_CORPUS_SOURCES_BYTES), tables[MOTET_CORPUS_TABLES_HEX];
    if (!text) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its attributes", w->path);
    size_t used = 0;
    for (int i = 0; i < source_count; i++) {
        size_t size = strlen(sources[i]);
        if (strchr(sources[i], '\n') || size + used + 2 > MOTET_CORPUS_SOURCES_BYTES) {
            free(text);
            return MOTET_FAIL(MOTET_E_USAGE,
                              "%s: the names of its %d sources take more than %d "
                              "bytes or hold a line break",
                              w->path, source_count, MOTET_CORPUS_SOURCES_BYTES);
        }
        if (i) text[used++] = '\n';
        memcpy(text + used, sources[i], size);
        used += size;
    }
    char version[16];
    snprintf(version, sizeof version, "%d", MOTET_CORPUS_VERSION);
    motet_corpus_tables_hash(tables);
    motet_status status = put_text(w, "format_version", version);
    if (status == MOTET_OK) status = put_text(w, "event_tables", tables);
    if (status == MOTET_OK) status = put_text(w, "sources", text);
    if (status == MOTET_OK) status = put_text(w, "tool", "motet-data");
    free(text);
    return status;
}

static motet_status push(column_buffer *b, const motet_corpus_writer *w, const void *rows,
                         uint64_t count) {
    size_t row = motet_column_bytes(b->column);
    uint64_t used = b->rows * row, need = used + count * row;
    if (need > b->capacity) {
        uint64_t capacity = need + need / 2 + 4096;
        unsigned char *bytes = realloc(b->bytes, (size_t)capacity);
        if (!bytes) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for a piece", w->path);
        b->bytes = bytes, b->capacity = capacity;
    }
    memcpy(b->bytes + used, rows, (size_t)(count * row));
    b->rows += count;
    return MOTET_OK;
}

static motet_status drain(column_buffer *b, const motet_corpus_writer *w) {
    if (!b->rows) return MOTET_OK;
    int rank = b->column->width > 1 ? 2 : 1;
    hsize_t size[2] = {b->stored + b->rows, b->column->width};
    hsize_t start[2] = {b->stored, 0}, count[2] = {b->rows, b->column->width};
    int bad = H5Dset_extent(b->dataset, size) < 0;
    hid_t file_space = bad ? -1 : H5Dget_space(b->dataset);
    hid_t memory_space = H5Screate_simple(rank, count, NULL);
    bad = bad || file_space < 0 || memory_space < 0 ||
          H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
          H5Dwrite(b->dataset, motet_column_native(b->column), memory_space, file_space,
                   H5P_DEFAULT, b->bytes) < 0;
    motet_status status = bad ? motet_corpus_fail(MOTET_E_IO, w->path, "write to it") : MOTET_OK;
    if (file_space >= 0) H5Sclose(file_space);
    if (memory_space >= 0) H5Sclose(memory_space);
    b->stored += b->rows;
    b->rows = 0;
    return status;
}

static motet_status flush(motet_corpus_writer *w) {
    w->pieces_pending = 0;
    w->broken = 1; /* until everything below has gone well */
    for (int i = 0; i < MOTET_ARRAYS; i++)
        MOTET_TRY(drain(&w->arrays[i], w));
    for (int i = 0; i < MOTET_COLUMNS; i++)
        MOTET_TRY(drain(&w->columns[i], w));
    if (H5Fflush(w->file, H5F_SCOPE_LOCAL) < 0)
        return motet_corpus_fail(MOTET_E_IO, w->path, "write to it");
    w->broken = 0;
    return MOTET_OK;
}

static motet_status start(motet_corpus_writer *w, const char *const *sources, int source_count,
                          int archive) {
    /* The newest format: its chunk index finds a chunk in constant time. */
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0) H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    if (creation >= 0) H5Pset_obj_track_times(creation, 0);
    w->file = H5Fcreate(w->temporary, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    if (w->file < 0) return motet_corpus_fail(MOTET_E_IO, w->path, "create it");
    MOTET_TRY(put_attributes(w, sources, source_count));
    hid_t properties = H5Pcreate(H5P_GROUP_CREATE), group = -1;
    if (properties >= 0 && H5Pset_obj_track_times(properties, 0) >= 0)
        group = H5Gcreate2(w->file, "/meta", H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    if (group < 0) return motet_corpus_fail(MOTET_E_IO, w->path, "create its columns");
    H5Gclose(group);
    for (int i = 0; i < MOTET_ARRAYS; i++)
        MOTET_TRY(
            make_dataset(&w->arrays[i], w, &motet_corpus_arrays[i], MOTET_CORPUS_CHUNK, archive));
    for (int i = 0; i < MOTET_COLUMNS; i++)
        MOTET_TRY(make_dataset(&w->columns[i], w, &motet_corpus_columns[i], MOTET_CORPUS_META_CHUNK,
                               archive));
    static const uint64_t zero = 0;
    MOTET_TRY(push(&w->arrays[MOTET_ARRAY_OFFSETS], w, &zero, 1));
    MOTET_TRY(push(&w->arrays[MOTET_ARRAY_CAPTION_OFFSETS], w, &zero, 1));
    return push(&w->arrays[MOTET_ARRAY_PIECE_CAPTIONS], w, &zero, 1);
}

/* Closes what is open; returns whether HDF5 was content. Order: datasets, then the file. */
static int close_all(motet_corpus_writer *w) {
    int good = 1;
    for (int i = 0; i < MOTET_ARRAYS + MOTET_COLUMNS; i++) {
        column_buffer *b = i < MOTET_ARRAYS ? &w->arrays[i] : &w->columns[i - MOTET_ARRAYS];
        if (b->column && b->dataset >= 0 && H5Dclose(b->dataset) < 0) good = 0;
        free(b->bytes);
        *b = (column_buffer){.dataset = -1};
    }
    if (w->file >= 0 && H5Fclose(w->file) < 0) good = 0;
    w->file = -1;
    return good;
}

motet_status motet_corpus_writer_open(motet_corpus_writer **writer, const char *path,
                                      const char *const *sources, int source_count, int archive) {
    *writer = NULL;
    motet_corpus_quiet();
    if (strlen(path) + 24 > PATH_MAX)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s...: the path is too long", path);
    if (source_count < 1 || source_count > 65535)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: %d sources, it has to be 1 to 65535", path,
                          source_count);
    motet_corpus_writer *w = calloc(1, sizeof *w);
    if (!w) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to write it", path);
    snprintf(w->path, sizeof w->path, "%s", path);
    snprintf(w->temporary, sizeof w->temporary, "%s.tmp%ld", path, (long)getpid());
    w->file = -1;
    w->source_count = source_count;
    /* HDF5 words a missing folder or permission badly; the system says it well. */
    int fd = open(w->temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        int error = errno;
        free(w);
        return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(error));
    }
    close(fd);
    motet_status status = start(w, sources, source_count, archive);
    if (status != MOTET_OK) {
        motet_corpus_writer_abandon(w);
        return status;
    }
    *writer = w;
    return MOTET_OK;
}

motet_status motet_corpus_append(motet_corpus_writer *w, const motet_piece *piece,
                                 const motet_event *events, int64_t count,
                                 const char *const *captions, int caption_count) {
    if (w->broken) return MOTET_FAIL(MOTET_E_IO, "%s: an earlier write failed", w->path);
    if (count < 1 || events[0].type != MOTET_EVENT_BAR || caption_count < 1)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: a piece needs a bar and a caption", w->path);
    if (piece->source >= w->source_count)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: a piece names source %d of %d", w->path,
                          piece->source, w->source_count);
    MOTET_TRY(push(&w->arrays[MOTET_ARRAY_EVENTS], w, events, (uint64_t)count));
    for (int k = 0; k < caption_count; k++) {
        uint64_t size = strlen(captions[k]);
        w->caption_bytes += size;
        MOTET_TRY(push(&w->arrays[MOTET_ARRAY_CAPTION_BYTES], w, captions[k], size));
        MOTET_TRY(push(&w->arrays[MOTET_ARRAY_CAPTION_OFFSETS], w, &w->caption_bytes, 1));
    }
    w->events += (uint64_t)count;
    w->captions += (uint64_t)caption_count;
    MOTET_TRY(push(&w->arrays[MOTET_ARRAY_OFFSETS], w, &w->events, 1));
    MOTET_TRY(push(&w->arrays[MOTET_ARRAY_PIECE_CAPTIONS], w, &w->captions, 1));
    for (int i = 0; i < MOTET_COLUMNS; i++)
        MOTET_TRY(push(&w->columns[i], w,
                       (const unsigned char *)piece + motet_corpus_columns[i].offset, 1));
    return ++w->pieces_pending >= FLUSH_PIECES ? flush(w) : MOTET_OK;
}

/* Hashes and syncs the temporary file, and renames it and its hash into place. All that can fail
 * for want of space is done before the first rename; a crash between the two leaves a corpus that
 * is refused because its hash is another's, never one that is read wrongly. */
static motet_status publish(motet_corpus_writer *w) {
    char hex[MOTET_SHA256_HEX], hash[PATH_MAX + 8], hash_temporary[PATH_MAX + 8];
    char line[PATH_MAX + 80];
    MOTET_TRY(motet_sha256_file(hex, w->temporary));
    int fd = open(w->temporary, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 || fsync(fd) ? errno : 0;
    if (fd >= 0) close(fd);
    if (error) return MOTET_FAIL(MOTET_E_IO, "%s: %s", w->path, strerror(error));
    const char *name = strrchr(w->path, '/');
    snprintf(hash, sizeof hash, "%s.sha256", w->path);
    snprintf(hash_temporary, sizeof hash_temporary, "%s.sha256", w->temporary);
    int size = snprintf(line, sizeof line, "%s  %s\n", hex, name ? name + 1 : w->path);
    MOTET_TRY(motet_file_replace(hash_temporary, line, (size_t)size));
    if (rename(w->temporary, w->path) || rename(hash_temporary, hash)) {
        error = errno;
        unlink(hash_temporary);
        return MOTET_FAIL(MOTET_E_IO, "%s: %s", w->path, strerror(error));
    }
    return MOTET_OK;
}

motet_status motet_corpus_writer_close(motet_corpus_writer *w) {
    motet_status status =
        w->broken ? MOTET_FAIL(MOTET_E_IO, "%s: an earlier write failed", w->path) : flush(w);
    int good = close_all(w);
    if (status == MOTET_OK && !good) status = motet_corpus_fail(MOTET_E_IO, w->path, "close it");
    if (status == MOTET_OK) status = publish(w);
    motet_corpus_writer_abandon(w);
    return status;
}

void motet_corpus_writer_abandon(motet_corpus_writer *w) {
    if (!w) return;
    close_all(w);
    unlink(w->temporary);
    free(w);
}
