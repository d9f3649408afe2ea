#include <stdlib.h>

#include "tests/softgpu/driver.h"
#include "tests/softgpu/report.h"

sg_driver sg_the_driver;

/* ---- One lock; an entry point may call another. */
static pthread_mutex_t lock;
static pthread_once_t lock_made = PTHREAD_ONCE_INIT;

static void make_lock(void) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &kind);
    pthread_mutexattr_destroy(&kind);
}

int sg_driver_lock(void) {
    pthread_once(&lock_made, make_lock);
    return pthread_mutex_lock(&lock);
}

void sg_driver_unlock(int *unused) {
    (void)unused;
    pthread_mutex_unlock(&lock);
}

/* ---- Handles: the top bits make an address that no processor accepts, then kind and number. */
#define HANDLE_MARK 0x5f60000000000000ull
#define HANDLE_KIND_SHIFT 40
#define HANDLE_NUMBER ((1ull << HANDLE_KIND_SHIFT) - 1)

typedef struct entry {
    void *object;
    sg_handle_kind kind;
    bool alive;
} entry;

static entry *entries;
static uint64_t entry_count, entry_room;

static const char *const kind_names[] = {
    "nothing", "a context",           "a stream", "an event", "a module", "a function",
    "a graph", "an executable graph", "a node"};

void *sg_handle_make(sg_handle_kind kind, void *object) {
    if (entry_count == entry_room) {
        uint64_t room = entry_room ? 2 * entry_room : 256;
        entry *more = realloc(entries, room * sizeof *more);
        if (!more) return NULL;
        entries = more;
        entry_room = room;
    }
    entries[entry_count] = (entry){.object = object, .kind = kind, .alive = true};
    return (void *)(uintptr_t)(HANDLE_MARK | (uint64_t)kind << HANDLE_KIND_SHIFT | entry_count++);
}

static entry *find(const void *handle) {
    const uint64_t value = (uint64_t)(uintptr_t)handle, number = value & HANDLE_NUMBER;
    if (number >= entry_count) return NULL;
    const uint64_t kind = (uint64_t)entries[number].kind << HANDLE_KIND_SHIFT;
    return value == (HANDLE_MARK | kind | number) ? &entries[number] : NULL;
}

void *sg_handle_get(sg_handle_kind kind, const void *handle, const char *call) {
    const entry *e = find(handle);
    if (e && e->kind == kind && e->alive) return e->object;
    if (!e)
        sg_report(SG_R_HANDLE, NULL, NULL, 0, "%s: %p is no handle of %s", call, handle,
                  kind_names[kind]);
    else if (e->kind != kind)
        sg_report(SG_R_HANDLE, NULL, NULL, 0, "%s wants %s, not %s", call, kind_names[kind],
                  kind_names[e->kind]);
    else
        sg_report(SG_R_HANDLE, NULL, NULL, 0, "%s: this is %s that was destroyed", call,
                  kind_names[kind]);
    return NULL;
}

void sg_handle_end(const void *handle) {
    entry *e = find(handle);
    if (e) e->alive = false, e->object = NULL;
}

void sg_handle_each(sg_handle_kind kind, void (*visit)(void *handle, void *object, void *user),
                    void *user) {
    for (uint64_t i = 0; i < entry_count; i++) {
        if (entries[i].kind != kind || !entries[i].alive) continue;
        visit((void *)(uintptr_t)(HANDLE_MARK | (uint64_t)kind << HANDLE_KIND_SHIFT | i),
              entries[i].object, user);
    }
}
