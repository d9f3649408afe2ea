/* Device memory: blocks with addresses of their own, and where the host keeps their bytes. An
 * address is never given out twice, so that a use after free can be named for as long as the
 * process lives. Blocks are kept sorted by address. */
#include "tests/softgpu/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/softgpu/options.h"
#include "tests/softgpu/shadow.h"

#define ALIGN 512ull
#define MAX_GAP (1ull << 20)
#define LARGE (1ull << 20)  /* from here on: mapped, and filled without being touched */
#define CHUNK (16ull << 20) /* of the pattern that large blocks are mapped from */
#define REACH (64ull << 20) /* an address this near to a block probably meant it */
#define PATTERN 0xff        /* NaN in every float type, -1 in every integer */

static struct {
    sg_region **blocks;
    size_t count, capacity;
    uint64_t next; /* address of the next device block */
    uint64_t in_use;
    int pattern_file; /* CHUNK bytes of PATTERN, 0: not made */
} all;

static size_t page_bytes(void) {
    static size_t bytes;
    if (!bytes) bytes = (size_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

static uint64_t round_up(uint64_t value, uint64_t to) {
    return (value + to - 1) / to * to;
}

/* ---- The sorted list. */

/* Index of the first block whose address is above. */
static size_t above(uint64_t address) {
    size_t low = 0, high = all.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (all.blocks[middle]->address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool insert(sg_region *block) {
    if (all.count == all.capacity) {
        size_t capacity = all.capacity ? 2 * all.capacity : 256;
        sg_region **blocks = realloc(all.blocks, capacity * sizeof *blocks);
        if (!blocks) return false;
        all.blocks = blocks;
        all.capacity = capacity;
    }
    size_t at = above(block->address);
    memmove(&all.blocks[at + 1], &all.blocks[at], (all.count - at) * sizeof *all.blocks);
    all.blocks[at] = block;
    all.count++;
    return true;
}

sg_region *sg_region_find(uint64_t address) {
    size_t at = above(address);
    if (!at) return NULL;
    sg_region *block = all.blocks[at - 1];
    return address - block->address < block->bytes ? block : NULL;
}

/* ---- Bytes. */

static bool make_pattern(void) {
    if (all.pattern_file > 0) return true;
    int file = memfd_create("softgpu", MFD_CLOEXEC);
    if (file < 0) return false;
    void *bytes = MAP_FAILED;
    if (!ftruncate(file, CHUNK))
        bytes = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED) {
        close(file);
        return false;
    }
    memset(bytes, PATTERN, CHUNK);
    munmap(bytes, CHUNK);
    all.pattern_file = file;
    return true;
}

/* Large blocks are copies on write of a file of the pattern: pages that nobody writes cost nothing.
 */
static unsigned char *take_bytes(uint64_t bytes) {
    if (bytes < LARGE || !make_pattern()) {
        unsigned char *host = aligned_alloc(64, round_up(bytes, 64));
        if (host) memset(host, PATTERN, bytes);
        return host;
    }
    unsigned char *host =
        mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (host == MAP_FAILED) return NULL;
    for (uint64_t at = 0; at < bytes; at += CHUNK) {
        uint64_t part = bytes - at < CHUNK ? bytes - at : CHUNK;
        if (mmap(host + at, part, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
                 all.pattern_file, 0) == MAP_FAILED) {
            munmap(host, bytes);
            return NULL;
        }
    }
    return host;
}

static void free_bytes(sg_region *block) {
    if (block->pinned) {
        /* The address stays taken: what the host does there is a fault, not another block. */
        size_t page = page_bytes(), bytes = round_up(block->bytes, page);
        mmap(block->host, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
             -1, 0);
    } else if (block->mapped) {
        munmap(block->host, block->bytes);
    } else {
        free(block->host);
    }
    block->host = NULL;
}

/* ---- Taking and giving back. */

static bool has_room(uint64_t bytes) {
    uint64_t limit = sg_get_options()->memory_bytes;
    return bytes && all.in_use <= limit && bytes <= limit - all.in_use;
}

static sg_region *new_region(uint64_t bytes, const char *what) {
    sg_region *block = calloc(1, sizeof *block);
    if (!block) return NULL;
    block->bytes = bytes;
    snprintf(block->what, sizeof block->what, "%s", what ? what : "block");
    return block;
}

bool sg_memory_take(uint64_t *address, uint64_t bytes, const char *what) {
    *address = 0;
    if (!has_room(bytes)) return false;
    sg_region *block = new_region(bytes, what);
    if (!block) return false;
    if (!all.next) all.next = SG_DEVICE_BASE + ALIGN;
    block->address = all.next;
    block->mapped = bytes >= LARGE && make_pattern();
    block->host = take_bytes(bytes);
    if (!block->host || !sg_shadow_make(block, false) || !insert(block)) {
        if (block->host) free_bytes(block);
        sg_shadow_free(block);
        free(block);
        return false;
    }
    /* An odd multiple of 512, so that nobody gets more alignment than was promised. */
    uint64_t gap = bytes < ALIGN ? ALIGN : bytes > MAX_GAP ? MAX_GAP : bytes;
    all.next = round_up(all.next + bytes + gap, 2 * ALIGN) + ALIGN;
    all.in_use += bytes;
    *address = block->address;
    return true;
}

bool sg_memory_take_host(void **pointer, uint64_t bytes) {
    *pointer = NULL;
    if (!bytes || bytes > 1ull << 46) return false;
    size_t page = page_bytes(), inner = round_up(bytes, page);
    unsigned char *map =
        mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) return false;
    sg_region *block = new_region(bytes, "pinned host memory");
    if (!block || mprotect(map + page, inner, PROT_READ | PROT_WRITE)) {
        munmap(map, inner + 2 * page);
        free(block);
        return false;
    }
    block->pinned = true;
    block->host = map + page;
    block->address = (uint64_t)(uintptr_t)block->host;
    if (bytes < LARGE) memset(block->host, PATTERN, bytes);
    if (!sg_shadow_make(block, true) || !insert(block)) {
        munmap(map, inner + 2 * page);
        sg_shadow_free(block);
        free(block);
        return false;
    }
    *pointer = block->host;
    return true;
}

bool sg_memory_give_back(uint64_t address) {
    sg_region *block = sg_region_find(address);
    if (!block || block->freed || block->address != address) return false;
    if (!block->pinned) all.in_use -= block->bytes;
    free_bytes(block);
    sg_shadow_free(block);
    block->freed = true;
    return true;
}

void sg_memory_free_bytes(uint64_t *free_bytes_out, uint64_t *total_bytes) {
    uint64_t limit = sg_get_options()->memory_bytes;
    *total_bytes = limit;
    *free_bytes_out = limit > all.in_use ? limit - all.in_use : 0;
}

uint64_t sg_memory_live(void) {
    uint64_t live = 0;
    for (size_t i = 0; i < all.count; i++)
        live += !all.blocks[i]->freed;
    return live;
}

/* ---- The host's side. */

static sg_region *inside(uint64_t address, uint64_t bytes) {
    sg_region *block = sg_region_find(address);
    if (!block || block->freed || bytes > block->bytes - (address - block->address)) return NULL;
    return block;
}

unsigned char *sg_memory_host(uint64_t address, uint64_t bytes, bool written) {
    sg_region *block = inside(address, bytes);
    if (!block) return NULL;
    if (written) sg_shadow_set(block, address - block->address, bytes, true);
    return block->host + (address - block->address);
}

uint64_t sg_memory_unwritten(uint64_t address, uint64_t bytes) {
    sg_region *block = inside(address, bytes);
    return block ? sg_shadow_unwritten(block, address - block->address, bytes) : bytes;
}

/* ---- For reports. */

void sg_number_text(char text[27], uint64_t n) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
}

static void describe(char *text, size_t room, const sg_region *block, const char *side,
                     uint64_t distance) {
    char size[27], far[27];
    sg_number_text(size, block->bytes);
    sg_number_text(far, distance);
    snprintf(text, room, "%s byte%s %s %s of %s bytes (%s at %#llx)", far, distance == 1 ? "" : "s",
             side, block->freed ? "a freed block" : "a block", size, block->what,
             (unsigned long long)block->address);
}

void sg_memory_where(char *text, size_t room, uint64_t address) {
    size_t at = above(address);
    const sg_region *before = at ? all.blocks[at - 1] : NULL;
    const sg_region *after = at < all.count ? all.blocks[at] : NULL;
    if (before && address - before->address < before->bytes) {
        describe(text, room, before, "into", address - before->address);
        return;
    }
    uint64_t past = before ? address - before->address - before->bytes : UINT64_MAX;
    uint64_t short_of = after ? after->address - address : UINT64_MAX;
    if (address < 65536)
        snprintf(text, room, "a null pointer plus %llu", (unsigned long long)address);
    else if (past <= short_of && past < REACH)
        describe(text, room, before, "past the end of", past);
    else if (short_of < REACH)
        describe(text, room, after, "before the start of", short_of);
    else
        snprintf(text, room, "in no block of the device's memory%s",
                 address >= SG_DEVICE_BASE && address < all.next + REACH
                     ? ""
                     : " (a pointer to ordinary host memory?)");
}
