#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "tests/softgpu/ptx.h"

#define WRAPPER_MAGIC 0x466243b1u
#define FATBIN_MAGIC 0xba55ed50u
#define KIND_PTX 1
#define FLAG_LZ4 0x2000u
#define FLAG_ZSTD 0x8000u
#define LARGEST ((uint64_t)1 << 30)

/* What nvcc 13 writes; only the fields that are needed have names. */
typedef struct wrapper {
    uint32_t magic, version;
    const void *fatbin;
    const void *name;
} wrapper;
typedef struct header {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t bytes; /* of all entries */
} header;
typedef struct entry {
    uint16_t kind, unknown;
    uint32_t header_bytes;
    uint64_t bytes; /* to the next entry, after the header */
    uint32_t compressed_bytes, unknown1;
    uint16_t minor, major;
    uint32_t arch, name_offset, name_bytes;
    uint64_t flags, zero, plain_bytes;
} entry;

static bool fail(char *sentence, size_t room, const char *why) {
    snprintf(sentence, room, "%s", why);
    return false;
}

/* The target of PTX text: 80, 90; *specific: "sm_90a". 0: it names none. */
static int target_of(bool *specific, const char *text) {
    const char *at = strstr(text, ".target");
    at = at ? strstr(at, "sm_") : NULL;
    if (!at) return 0;
    char *end;
    const long target = strtol(at + 3, &end, 10);
    *specific = *end == 'a' || *end == 'f';
    return (int)target;
}

static char *unpack(const entry *e, const unsigned char *payload, char *sentence, size_t room) {
    const bool packed = e->flags & FLAG_ZSTD;
    const uint64_t bytes = packed ? e->plain_bytes : e->bytes;
    if (e->flags & FLAG_LZ4 && e->compressed_bytes) {
        fail(sentence, room, "the image is compressed in an older way (LZ4); use nvcc 13");
        return NULL;
    }
    if (bytes > LARGEST || (packed && e->compressed_bytes > e->bytes)) {
        fail(sentence, room, "the image's sizes are not possible");
        return NULL;
    }
    char *text = malloc(bytes + 1);
    if (!text) {
        fail(sentence, room, "there is no memory for the image");
        return NULL;
    }
    size_t length = bytes;
    if (!packed)
        memcpy(text, payload, bytes);
    else
        length = ZSTD_decompress(text, bytes, payload, e->compressed_bytes);
    if (ZSTD_isError(length)) {
        fail(sentence, room, "the image's PTX does not decompress");
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

static bool choose(char **text, const unsigned char *fatbin, int arch, char *sentence,
                   size_t room) {
    header h;
    memcpy(&h, fatbin, sizeof h);
    if (h.header_bytes < sizeof h || h.bytes > LARGEST)
        return fail(sentence, room, "the fatbin's header is not known");
    const unsigned char *at = fatbin + h.header_bytes, *end = at + h.bytes;
    int best = 0;
    bool any = false;
    while ((size_t)(end - at) >= sizeof(entry)) {
        entry e;
        memcpy(&e, at, sizeof e);
        if (e.header_bytes < sizeof e || e.header_bytes > (uint64_t)(end - at) ||
            e.bytes > (uint64_t)(end - at) - e.header_bytes)
            return fail(sentence, room, "the fatbin's entries do not fit into it");
        if (e.kind == KIND_PTX) {
            any = true;
            char *ptx = unpack(&e, at + e.header_bytes, sentence, room);
            if (!ptx) return false;
            bool specific = false;
            const int target = target_of(&specific, ptx);
            /* Of one target the specific text is the better one. */
            const int rank = 2 * target + specific;
            if (target <= arch && (!specific || target == arch) && rank > best) {
                free(*text);
                *text = ptx;
                best = rank;
            } else {
                free(ptx);
            }
        }
        at += e.header_bytes + e.bytes;
    }
    if (best) return true;
    if (!any) return fail(sentence, room, "the image has no PTX, only machine code");
    snprintf(sentence, room, "the image has no PTX that runs on sm_%d", arch);
    return false;
}

bool sg_image_ptx(char **text, const void *image, int arch, char *sentence, size_t room) {
    *text = NULL;
    uint32_t magic;
    memcpy(&magic, image, sizeof magic);
    if (magic == WRAPPER_MAGIC) {
        wrapper w;
        memcpy(&w, image, sizeof w);
        image = w.fatbin;
        memcpy(&magic, image, sizeof magic);
    }
    if (magic == FATBIN_MAGIC) {
        if (choose(text, image, arch, sentence, room)) return true;
        free(*text);
        *text = NULL;
        return false;
    }
    if (!memcmp(&magic, "\177ELF", 4))
        return fail(sentence, room, "the image is machine code (a cubin), not PTX");
    if (!strstr(image, ".version")) /* text, then */
        return fail(sentence, room, "the image is neither PTX nor a fatbin");
    bool specific = false;
    const int target = target_of(&specific, image);
    if (target > arch || (specific && target != arch)) {
        snprintf(sentence, room, "the PTX is for sm_%d, this device is sm_%d", target, arch);
        return false;
    }
    *text = strdup(image);
    return *text || fail(sentence, room, "there is no memory for the image");
}
