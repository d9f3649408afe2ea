/* Sparse vector clocks. Where memory ends, knowledge is kept instead of dropped if that is
 * possible, and never invented. */
#include "tests/softgpu/race_clock.h"

#include <stdlib.h>
#include <string.h>

static sg_clock *alloc(int count) {
    sg_clock *clock = malloc(sizeof *clock + (size_t)count * sizeof(sg_clock_entry));
    if (!clock) return NULL;
    clock->references = 1;
    clock->count = count;
    return clock;
}

sg_clock *sg_clock_make(const sg_clock_entry *entries, int count) {
    sg_clock *clock = count ? alloc(count) : NULL;
    if (clock) memcpy(clock->entries, entries, (size_t)count * sizeof *entries);
    return clock;
}

sg_clock *sg_clock_share(sg_clock *clock) {
    if (clock) clock->references++;
    return clock;
}

void sg_clock_drop(sg_clock *clock) {
    if (clock && --clock->references == 0) free(clock);
}

/* Index of the first entry whose key is not below. */
static int find(const sg_clock *clock, uint64_t key) {
    int low = 0, high = clock->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (clock->entries[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reaches(const sg_clock *clock, uint64_t key, uint32_t stamp) {
    int i = find(clock, key);
    return i < clock->count && clock->entries[i].key == key && clock->entries[i].stamp >= stamp;
}

bool sg_clock_knows(const sg_clock *clock, uint32_t serial, int lane, uint32_t stamp) {
    return clock && (reaches(clock, sg_clock_key(serial, lane), stamp) ||
                     reaches(clock, sg_clock_key(serial, SG_ALL_LANES), stamp));
}

static void merge(sg_clock **into, const sg_clock_entry *b, int b_count) {
    const sg_clock *old = *into;
    const sg_clock_entry *a = old->entries;
    int a_count = old->count, i = 0, j = 0, n = 0;
    sg_clock *merged = alloc(a_count + b_count);
    if (!merged) return;
    while (i < a_count || j < b_count) {
        if (j == b_count || (i < a_count && a[i].key < b[j].key)) {
            merged->entries[n++] = a[i++];
        } else if (i == a_count || b[j].key < a[i].key) {
            merged->entries[n++] = b[j++];
        } else {
            merged->entries[n++] = a[i].stamp > b[j].stamp ? a[i] : b[j];
            i++;
            j++;
        }
    }
    merged->count = n;
    sg_clock_drop(*into);
    *into = merged;
}

void sg_clock_join(sg_clock **into, sg_clock *other) {
    if (!other || *into == other) return;
    if (!*into)
        *into = sg_clock_share(other);
    else
        merge(into, other->entries, other->count);
}

void sg_clock_join_warps(sg_clock **into, const sg_clock *other, uint32_t first, uint32_t count) {
    if (!other) return;
    int from = find(other, sg_clock_key(first, 0)),
        to = find(other, sg_clock_key(first + count, 0));
    if (from == to) return;
    if (!*into)
        *into = sg_clock_make(&other->entries[from], to - from);
    else
        merge(into, &other->entries[from], to - from);
}
