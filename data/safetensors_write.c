#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/safetensors.h"
#include "data/safetensors_seal.h"

#define ALIGN 64u
#define BUFFER ((size_t)1 << 18)

/* One tensor as the file will hold it; scales and fillers are slots of their own. */
typedef struct slot {
    const void *data;
    uint64_t bytes;
} slot;

typedef struct plan {
    json_t *header;
    slot *slots;
    int count;
    uint64_t bytes; /* of data so far */
    int fillers;
    int sealed;
} plan;

static motet_status plan_slot(plan *p, const char *name, const char *dtype, const void *data,
                              uint64_t bytes, int rank, const int64_t *dims) {
    json_t *shape = json_array();
    for (int i = 0; i < rank; i++)
        json_array_append_new(shape, json_integer(dims[i]));
    json_t *value = json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtype, "shape", shape, "data_offsets",
                              (json_int_t)p->bytes, (json_int_t)(p->bytes + bytes));
    if (!value || json_object_get(p->header, name)) {
        json_decref(value);
        return MOTET_FAIL(value ? MOTET_E_USAGE : MOTET_E_MEMORY,
                          value ? "tensor '%.200s' is there twice"
                                : "no memory for the header of tensor '%.200s'",
                          name);
    }
    if (json_object_set_new(p->header, name, value))
        return MOTET_FAIL(MOTET_E_USAGE, "the tensor name '%.200s' is not UTF-8", name);
    p->slots[p->count++] = (slot){.data = data, .bytes = bytes};
    p->bytes += bytes;
    return MOTET_OK;
}

static motet_status plan_filler(plan *p) {
    int64_t gap = (int64_t)((ALIGN - p->bytes % ALIGN) % ALIGN);
    static const unsigned char zeros[ALIGN];
    if (!gap) return MOTET_OK;
    char name[32];
    snprintf(name, sizeof name, "__fill.%d", p->fillers++);
    return plan_slot(p, name, "U8", zeros, (uint64_t)gap, 1, &gap);
}

static motet_status plan_tensor(plan *p, const char *name, const motet_tensor *t) {
    static const char *const NAMES[] = {"F32", "BF16", "I8", "I32"};
    uint64_t bytes = motet_dtype_bytes(t->dtype);
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] < 0 || __builtin_mul_overflow(bytes, (uint64_t)t->dims[i], &bytes) ||
            bytes > INT64_MAX / 2)
            return MOTET_FAIL(MOTET_E_USAGE, "tensor '%.200s' has an impossible shape", name);
    if (!strncmp(name, "__", 2))
        return MOTET_FAIL(MOTET_E_USAGE, "the tensor name '%.200s' is reserved", name);
    MOTET_TRY(plan_filler(p));
    MOTET_TRY(plan_slot(p, name, NAMES[t->dtype], t->data, bytes, t->rank, t->dims));
    if (t->dtype != MOTET_I8) return MOTET_OK;
    char scale[512];
    if (!t->scale || t->rank < 1 ||
        snprintf(scale, sizeof scale, "%s.scale", name) >= (int)sizeof scale)
        return MOTET_FAIL(MOTET_E_USAGE, "int8 tensor '%.200s' has no scales", name);
    MOTET_TRY(plan_filler(p));
    return plan_slot(p, scale, "F32", t->scale, 4 * (uint64_t)t->dims[0], 1, t->dims);
}

static motet_status plan_metadata(plan *p, const motet_named_text *metadata, int count) {
    if (!count) return MOTET_OK;
    json_t *object = json_object();
    json_object_set_new(p->header, "__metadata__", object);
    for (int i = 0; i < count; i++) {
        if (json_object_get(object, metadata[i].key))
            return MOTET_FAIL(MOTET_E_USAGE, "metadata '%.200s' is there twice", metadata[i].key);
        const char *value = metadata[i].value ? metadata[i].value : MOTET_SEAL_ZEROS;
        if (!metadata[i].value != !strcmp(metadata[i].key, MOTET_SAFETENSORS_SEAL))
            return MOTET_FAIL(MOTET_E_USAGE, "metadata '%.200s' %s", metadata[i].key,
                              metadata[i].value ? "is the writer's own" : "has no value");
        p->sealed |= !metadata[i].value;
        if (json_object_set_new(object, metadata[i].key, json_string(value)))
            return MOTET_FAIL(MOTET_E_USAGE, "metadata '%.200s' is not UTF-8", metadata[i].key);
    }
    return MOTET_OK;
}

/* Where the bytes of a file go: through its hash, then to the disk. */
typedef int put_fn(void *to, const void *bytes, uint64_t size);

static int put_hash(void *to, const void *bytes, uint64_t size) {
    motet_sha256_update(to, bytes, (size_t)size);
    return 1;
}

typedef struct sink {
    int fd;
    size_t used;
    unsigned char *buffer; /* [BUFFER]: small pieces are collected */
} sink;

static int put_now(int fd, const unsigned char *bytes, uint64_t size) {
    while (size) {
        ssize_t written = write(fd, bytes, size < (1u << 30) ? (size_t)size : 1u << 30);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return 0;
        bytes += written, size -= (uint64_t)written;
    }
    return 1;
}

static int flush(sink *s) {
    int ok = put_now(s->fd, s->buffer, s->used);
    s->used = 0;
    return ok;
}

static int put_file(void *to, const void *bytes, uint64_t size) {
    sink *s = to;
    if (size > BUFFER - s->used && !flush(s)) return 0;
    if (size >= BUFFER) return put_now(s->fd, bytes, size);
    if (size) memcpy(s->buffer + s->used, bytes, (size_t)size);
    s->used += (size_t)size;
    return 1;
}

static int put_all(put_fn *put, void *to, const plan *p, const char *text) {
    static const char spaces[ALIGN + 1] =
        "                                                                ";
    uint64_t length = strlen(text), padded = (length + 8 + ALIGN - 1) / ALIGN * ALIGN - 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)(padded >> (8 * i));
    int ok = put(to, prefix, 8) && put(to, text, length) && put(to, spaces, padded - length);
    for (int i = 0; i < p->count && ok; i++)
        ok = put(to, p->slots[i].data, p->slots[i].bytes);
    return ok;
}

/* The file's hash goes to where its header has zeros for it. */
static motet_status seal(char *text, const plan *p, const char *path) {
    char *place = strstr(text, MOTET_SEAL_TEXT), hex[MOTET_SHA256_HEX];
    if (!place) return MOTET_FAIL(MOTET_E_USAGE, "%s: there is no place for its hash", path);
    unsigned char digest[MOTET_SHA256_BYTES];
    motet_sha256 hash;
    motet_sha256_init(&hash);
    put_all(put_hash, &hash, p, text);
    motet_sha256_final(digest, &hash);
    motet_sha256_hex(hex, digest);
    memcpy(place + strlen(MOTET_SEAL_TEXT), hex, MOTET_SHA256_HEX - 1);
    return MOTET_OK;
}

static int write_and_sync(int fd, const plan *p, const char *text) {
    sink s = {.fd = fd, .buffer = malloc(BUFFER)};
    int ok = s.buffer && put_all(put_file, &s, p, text) && flush(&s) && fsync(fd) == 0;
    int error = s.buffer ? errno : ENOMEM;
    free(s.buffer);
    errno = error;
    return ok;
}

/* rename() is only durable once the folder is on disk too; a file system that cannot fsync a
 * folder has nothing better to offer, so its answer is not an error. */
static void sync_folder(const char *path) {
    char *copy = strdup(path);
    if (!copy) return;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

static motet_status write_file(const char *path, const plan *p, const char *text) {
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid()) >=
        (int)sizeof temporary)
        return MOTET_FAIL(MOTET_E_USAGE, "%.200s...: the path is too long", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return MOTET_FAIL(MOTET_E_IO, "%s: %s", temporary, strerror(errno));
    int ok = write_and_sync(fd, p, text);
    int error = errno;
    if (close(fd) && ok) ok = 0, error = errno;
    if (ok && rename(temporary, path)) ok = 0, error = errno;
    if (!ok) {
        unlink(temporary);
        return MOTET_FAIL(MOTET_E_IO, "%s: %s; nothing was changed", path, strerror(error));
    }
    sync_folder(path);
    return MOTET_OK;
}

motet_status motet_safetensors_write(const char *path, const motet_named_tensor *tensors, int count,
                                     const motet_named_text *metadata, int metadata_count) {
    if (count < 0 || count > 100000 || metadata_count < 0)
        return MOTET_FAIL(MOTET_E_USAGE, "%s: %d tensors cannot be written", path, count);
    plan p = {.header = json_object(), .slots = calloc(4 * (size_t)count + 4, sizeof *p.slots)};
    motet_status status = MOTET_OK;
    if (!p.header || !p.slots)
        status = MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its header", path);
    if (status == MOTET_OK) status = plan_metadata(&p, metadata, metadata_count);
    for (int i = 0; i < count && status == MOTET_OK; i++)
        status = plan_tensor(&p, tensors[i].name, &tensors[i].tensor);
    char *text = NULL;
    if (status == MOTET_OK) {
        text = json_dumps(p.header, JSON_COMPACT);
        status = text ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its header", path);
        if (status == MOTET_OK && p.sealed) status = seal(text, &p, path);
        if (status == MOTET_OK) status = write_file(path, &p, text);
    }
    free(text);
    json_decref(p.header);
    free(p.slots);
    return status;
}
