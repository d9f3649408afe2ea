#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/safetensors.h"
#include "data/safetensors_seal.h"

#define HEADER_MAX 100000000u /* the format's own bound */
#define RANK_MAX 16           /* of tensors we can check; those we can read have MOTET_MAX_RANK */

typedef struct entry {
    const char *name; /* belongs to the JSON tree */
    const struct kind *kind;
    uint64_t begin, end; /* bytes from the start of the data */
    int rank;
    int64_t dims[RANK_MAX];
} entry;

struct motet_safetensors {
    char *path;
    const unsigned char *bytes;
    size_t size;
    int mapped;
    const unsigned char *data;
    json_t *header, *metadata;
    entry *entries;  /* [count] in the order of the header */
    entry **by_name; /* [count] sorted */
    int count;
    int total; /* with the fillers, which come last in entries */
    char hash[17];
};

/* Element sizes in bits, so that a size is always count * bits / 8. */
static const struct kind {
    const char *name;
    int bits;
    int dtype; /* motet_dtype, or -1 for one that no kernel reads */
} KINDS[] = {
    {"F32", 32, MOTET_F32}, {"BF16", 16, MOTET_BF16}, {"I8", 8, MOTET_I8}, {"I32", 32, MOTET_I32},
    {"I64", 64, -1},        {"F16", 16, -1},          {"F64", 64, -1},     {"U8", 8, -1},
    {"U16", 16, -1},        {"U32", 32, -1},          {"U64", 64, -1},     {"I16", 16, -1},
    {"BOOL", 8, -1},        {"F8_E4M3", 8, -1},       {"F8_E5M2", 8, -1},  {"F8_E8M0", 8, -1},
    {"C64", 64, -1},
};

static int is_filler(const char *name) {
    return !strncmp(name, "__fill", 6);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(entry *const *)a)->name, (*(entry *const *)b)->name);
}

static int by_offset(const void *a, const void *b) {
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static motet_status read_entry(entry *e, const motet_safetensors *file, const char *name,
                               const json_t *value, uint64_t data_bytes) {
    const char *path = file->path;
    const json_t *shape = json_object_get(value, "shape");
    const json_t *offsets = json_object_get(value, "data_offsets");
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    if (!dtype || !json_is_array(shape) || !json_is_array(offsets) || json_array_size(offsets) != 2)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: tensor '%.200s' has no proper dtype, shape and data_offsets", path,
                          name);
    e->name = name;
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (!strcmp(KINDS[i].name, dtype)) e->kind = &KINDS[i];
    if (!e->kind)
        return MOTET_FAIL(MOTET_E_DATA, "%s: tensor '%.200s' has the unknown dtype '%.40s'", path,
                          name, dtype);
    if (json_array_size(shape) > RANK_MAX)
        return MOTET_FAIL(MOTET_E_DATA, "%s: tensor '%.200s' has more than %d dimensions", path,
                          name, RANK_MAX);
    e->rank = (int)json_array_size(shape);
    uint64_t bits = (uint64_t)e->kind->bits;
    int overflow = 0, empty = 0;
    for (int i = 0; i < e->rank; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return MOTET_FAIL(MOTET_E_DATA, "%s: tensor '%.200s' has a bad dimension %d", path,
                              name, i);
        e->dims[i] = json_integer_value(dim);
        empty |= e->dims[i] == 0;
        overflow |= __builtin_mul_overflow(bits, (uint64_t)e->dims[i], &bits);
    }
    if (empty) bits = overflow = 0;
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0 ||
        json_integer_value(end) < json_integer_value(begin))
        return MOTET_FAIL(MOTET_E_DATA, "%s: tensor '%.200s' has bad data_offsets", path, name);
    e->begin = (uint64_t)json_integer_value(begin);
    e->end = (uint64_t)json_integer_value(end);
    if (e->end > data_bytes)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: tensor '%.200s' ends at byte %llu of the data, which has only %llu: "
                          "the file is truncated or damaged",
                          path, name, (unsigned long long)e->end, (unsigned long long)data_bytes);
    if (overflow || bits / 8 != e->end - e->begin)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: tensor '%.200s' takes %llu bytes, which is not what its shape and "
                          "dtype %s need",
                          path, name, (unsigned long long)(e->end - e->begin), e->kind->name);
    uint64_t at = (uint64_t)(file->data - file->bytes) + e->begin;
    uint64_t align = (uint64_t)e->kind->bits / 8;
    if (e->kind->dtype >= 0 && at % align)
        return MOTET_FAIL(MOTET_E_DATA, "%s: tensor '%.200s' at byte %llu is not aligned to %llu",
                          path, name, (unsigned long long)at, (unsigned long long)align);
    return MOTET_OK;
}

/* The tensors in order of their place must cover the data exactly. */
static motet_status check_cover(const motet_safetensors *file, uint64_t data_bytes) {
    entry **order = malloc(((size_t)file->total + 1) * sizeof *order);
    if (!order) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its header", file->path);
    for (int i = 0; i < file->total; i++)
        order[i] = &file->entries[i];
    qsort(order, (size_t)file->total, sizeof *order, by_offset);
    uint64_t at = 0;
    motet_status status = MOTET_OK;
    for (int i = 0; i < file->total && status == MOTET_OK; i++) {
        if (order[i]->begin < at)
            status = MOTET_FAIL(MOTET_E_DATA, "%s: tensors '%.200s' and '%.200s' overlap",
                                file->path, order[i - 1]->name, order[i]->name);
        else if (order[i]->begin > at)
            status =
                MOTET_FAIL(MOTET_E_DATA, "%s: bytes %llu to %llu of the data belong to no tensor",
                           file->path, (unsigned long long)at, (unsigned long long)order[i]->begin);
        at = order[i]->end;
    }
    if (status == MOTET_OK && at != data_bytes)
        status =
            MOTET_FAIL(MOTET_E_DATA, "%s: %llu bytes behind the last tensor belong to no tensor",
                       file->path, (unsigned long long)(data_bytes - at));
    free(order);
    return status;
}

static motet_status read_entries(motet_safetensors *file, uint64_t data_bytes) {
    size_t most = json_object_size(file->header);
    if (most > 1000000)
        return MOTET_FAIL(MOTET_E_DATA, "%s: %zu tensors are too many", file->path, most);
    file->entries = calloc(most + 1, sizeof *file->entries);
    file->by_name = calloc(most + 1, sizeof *file->by_name);
    if (!file->entries || !file->by_name)
        return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for %zu tensors", file->path, most);
    for (int fillers = 0; fillers < 2; fillers++) { /* real tensors first */
        const char *name;
        json_t *value;
        json_object_foreach(file->header, name, value) {
            if (!strcmp(name, "__metadata__") || is_filler(name) != fillers) continue;
            entry *e = &file->entries[file->total];
            MOTET_TRY(read_entry(e, file, name, value, data_bytes));
            if (!fillers) file->by_name[file->count++] = e;
            file->total++;
        }
    }
    qsort(file->by_name, (size_t)file->count, sizeof *file->by_name, by_name);
    return check_cover(file, data_bytes);
}

static motet_status read_header(motet_safetensors *file) {
    const char *path = file->path;
    if (file->size < 8)
        return MOTET_FAIL(MOTET_E_DATA, "%s: %zu bytes are no safetensors file", path, file->size);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | file->bytes[i];
    if (length > HEADER_MAX || length > file->size - 8)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: byte 0 announces a header of %llu bytes, the file has %zu: it is "
                          "truncated or no safetensors file",
                          path, (unsigned long long)length, file->size);
    const char *text = (const char *)file->bytes + 8;
    json_error_t error;
    if (!length || text[0] != '{')
        return MOTET_FAIL(MOTET_E_DATA, "%s: byte 8 does not begin a JSON object", path);
    file->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!file->header)
        return MOTET_FAIL(MOTET_E_DATA, "%s: bad header at byte %d: %.120s", path,
                          8 + (error.position > 0 ? error.position : 0), error.text);
    file->metadata = json_object_get(file->header, "__metadata__");
    if (file->metadata) {
        const char *key;
        json_t *value;
        if (!json_is_object(file->metadata))
            return MOTET_FAIL(MOTET_E_DATA, "%s: __metadata__ is no object", path);
        json_object_foreach(
            file->metadata, key,
            value) if (!json_is_string(value)) return MOTET_FAIL(MOTET_E_DATA,
                                                                 "%s: metadata '%.200s' is no text",
                                                                 path, key);
    }
    file->data = file->bytes + 8 + length;
    return read_entries(file, file->size - 8 - length);
}

static motet_status open_at(motet_safetensors **out, const void *bytes, size_t size, int mapped,
                            const char *name) {
    motet_safetensors *file = calloc(1, sizeof *file);
    char *path = strdup(name);
    if (!file || !path) {
        free(file);
        free(path);
        if (mapped) munmap((void *)bytes, size);
        return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to open it", name);
    }
    *file = (motet_safetensors){.path = path, .bytes = bytes, .size = size, .mapped = mapped};
    motet_status status = read_header(file);
    if (status != MOTET_OK) {
        motet_safetensors_close(file);
        return status;
    }
    *out = file;
    return MOTET_OK;
}

motet_status motet_safetensors_open_bytes(motet_safetensors **file, const void *bytes, size_t size,
                                          const char *name) {
    *file = NULL;
    return open_at(file, bytes, size, 0, name);
}

motet_status motet_safetensors_open(motet_safetensors **file, const char *path) {
    *file = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(errno));
    struct stat info;
    int error = fstat(fd, &info) ? errno : 0;
    if (error || !S_ISREG(info.st_mode) || info.st_size == 0) {
        close(fd);
        if (error) return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(error));
        if (S_ISREG(info.st_mode)) return MOTET_FAIL(MOTET_E_DATA, "%s: the file is empty", path);
        return MOTET_FAIL(MOTET_E_IO, "%s: not a regular file", path);
    }
    size_t size = (size_t)info.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    error = errno;
    close(fd);
    if (bytes == MAP_FAILED) return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(error));
    return open_at(file, bytes, size, 1, path);
}

void motet_safetensors_close(motet_safetensors *file) {
    if (!file) return;
    if (file->mapped) munmap((void *)file->bytes, file->size);
    json_decref(file->header);
    free(file->entries);
    free(file->by_name);
    free(file->path);
    free(file);
}

const char *motet_safetensors_meta(const motet_safetensors *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}

int motet_safetensors_count(const motet_safetensors *file) {
    return file->count;
}

const char *motet_safetensors_name(const motet_safetensors *file, int index) {
    return index < 0 || index >= file->count ? NULL : file->entries[index].name;
}

static const entry *find(const motet_safetensors *file, const char *name) {
    entry key = {.name = name}, *pointer = &key;
    entry **hit =
        bsearch(&pointer, file->by_name, (size_t)file->count, sizeof *file->by_name, by_name);
    return hit ? *hit : NULL;
}

motet_status motet_safetensors_get(motet_tensor *tensor, const motet_safetensors *file,
                                   const char *name) {
    const entry *e = find(file, name);
    if (!e) return MOTET_FAIL(MOTET_E_DATA, "%s: there is no tensor '%.200s'", file->path, name);
    if (e->kind->dtype < 0)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "%s: tensor '%.200s' is %s, which motet cannot use",
                          file->path, name, e->kind->name);
    if (e->rank > MOTET_MAX_RANK)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "%s: tensor '%.200s' has %d dimensions, at most %d",
                          file->path, name, e->rank, MOTET_MAX_RANK);
    motet_tensor t = {.data = (void *)(file->data + e->begin),
                      .dtype = (motet_dtype)e->kind->dtype,
                      .rank = e->rank};
    for (int i = 0; i < e->rank; i++)
        t.dims[i] = e->dims[i];
    if (t.dtype == MOTET_I8) {
        char scale_name[512];
        if (snprintf(scale_name, sizeof scale_name, "%s.scale", name) >= (int)sizeof scale_name)
            return MOTET_FAIL(MOTET_E_DATA, "%s: the name of tensor '%.40s...' is too long",
                              file->path, name);
        const entry *scale = find(file, scale_name);
        if (!scale || scale->kind->dtype != MOTET_F32 || scale->rank != 1 || e->rank < 1 ||
            scale->dims[0] != e->dims[0])
            return MOTET_FAIL(MOTET_E_DATA,
                              "%s: int8 tensor '%.200s' needs one F32 scale a row in '%.200s'",
                              file->path, name, scale_name);
        t.scale = (const float *)(const void *)(file->data + scale->begin);
    }
    *tensor = t;
    return MOTET_OK;
}

motet_status motet_safetensors_verify(motet_safetensors *file, int required) {
    enum { DIGITS = MOTET_SHA256_HEX - 1, BEFORE = sizeof MOTET_SEAL_TEXT - 1 };
    const char *seal = motet_safetensors_meta(file, MOTET_SAFETENSORS_SEAL);
    if (!seal && !required) return MOTET_OK;
    size_t header = (size_t)(file->data - file->bytes);
    const unsigned char *place = memmem(file->bytes, header, MOTET_SEAL_TEXT, BEFORE);
    size_t at = place ? (size_t)(place - file->bytes) + BEFORE : header;
    if (!seal || header - at <= DIGITS)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: its metadata has no '" MOTET_SAFETENSORS_SEAL "': it is damaged, or "
                          "another program has rewritten it",
                          file->path);
    unsigned char digest[MOTET_SHA256_BYTES];
    char hex[MOTET_SHA256_HEX];
    motet_sha256 hash;
    motet_sha256_init(&hash);
    motet_sha256_update(&hash, file->bytes, at);
    motet_sha256_update(&hash, MOTET_SEAL_ZEROS, DIGITS);
    motet_sha256_update(&hash, file->bytes + at + DIGITS, file->size - at - DIGITS);
    motet_sha256_final(digest, &hash);
    motet_sha256_hex(hex, digest);
    if (memcmp(hex, file->bytes + at, DIGITS) != 0)
        return MOTET_FAIL(MOTET_E_DATA,
                          "%s: its bytes do not have the SHA-256 in its metadata: it is damaged, "
                          "half copied, or another program has changed it",
                          file->path);
    memcpy(file->hash, hex, 16);
    return MOTET_OK;
}

const char *motet_safetensors_hash(motet_safetensors *file) {
    if (!file->hash[0]) {
        unsigned char digest[MOTET_SHA256_BYTES];
        char hex[MOTET_SHA256_HEX];
        motet_sha256 hash;
        motet_sha256_init(&hash);
        motet_sha256_update(&hash, file->bytes, file->size);
        motet_sha256_final(digest, &hash);
        motet_sha256_hex(hex, digest);
        memcpy(file->hash, hex, 16);
    }
    return file->hash;
}
