/* Generation on the CUDA back-end, counted: an event is one launch of one graph and one wait, and
 * once it is under way nothing is allocated, neither on the device nor by the program. Run by make
 * test-softgpu; on a GPU (MOTET_TEST_DEVICE=cuda) the driver's own counts are not there. */
#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/generate.h"
#include "kernels/device.h"
#include "tests/infer/harness_model.h"

enum { WINDOW = 160, SEED = 21, BARS = 3 };

/* ---- The program's allocations: malloc and its like are this program's, for all that it loads.
 * The software GPU is no part of what would run on a GPU, so its own are not counted. */

static uintptr_t driver_from, driver_to; /* where its code is */
static int64_t allocations;

static int64_t allocated(void) {
    return __atomic_load_n(&allocations, __ATOMIC_RELAXED);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0 /* the sanitizer has taken malloc */
#else
#define COUNTS_ALLOCATIONS 1
static void count(const void *caller) {
    const uintptr_t at = (uintptr_t)caller;
    if (at < driver_from || at >= driver_to) __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *malloc(size_t bytes) {
    count(__builtin_return_address(0));
    return __libc_malloc(bytes);
}
void *calloc(size_t number, size_t bytes) {
    count(__builtin_return_address(0));
    return __libc_calloc(number, bytes);
}
void *realloc(void *block, size_t bytes) {
    count(__builtin_return_address(0));
    return __libc_realloc(block, bytes);
}
#endif

/* Of driver.h in tests/softgpu. */
typedef struct driver_counts {
    uint64_t launches, captured, graph_launches, graph_kernels, copies, memsets, waits, allocations,
        frees, modules;
} driver_counts;
typedef const driver_counts *counts_fn(void);

static const motet_backend *cuda;
static counts_fn *counts_of_driver; /* NULL on a GPU */

static int find_driver(struct dl_phdr_info *info, size_t bytes, void *user) {
    (void)bytes;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        const uintptr_t from = info->dlpi_addr + part->p_vaddr, to = from + part->p_memsz;
        if (part->p_type == PT_LOAD && *(uintptr_t *)user >= from && *(uintptr_t *)user < to)
            driver_from = from, driver_to = to;
    }
    return 0;
}

static int setup(void **state) {
    (void)state;
    const char *wanted = getenv("MOTET_TEST_DEVICE"), *driver = getenv("MOTET_CUDA_DRIVER");
    if (!wanted || strncmp(wanted, "cuda", 4) != 0) return 0;
    setenv("SOFTGPU_CHECK", "bounds", 1); /* what is checked in full, test_generation_cuda does */
    if (motet_device_open(&cuda, wanted) != MOTET_OK) {
        print_error("%s\n", motet_error());
        return -1;
    }
    void *library = driver ? dlopen(driver, RTLD_NOW | RTLD_NOLOAD) : NULL;
    void *symbol = library ? dlsym(library, "softgpu_counts") : NULL;
    memcpy(&counts_of_driver, &symbol, sizeof symbol);
    uintptr_t at = (uintptr_t)symbol;
    if (symbol) dl_iterate_phdr(find_driver, &at);
    return 0;
}

/* ---- What was counted when a bar was complete. */

typedef struct sample {
    driver_counts driver;
    int64_t allocations;
} sample;

typedef struct watch {
    sample bars[BARS + 1]; /* at each header, and at the end */
    int seen;
} watch;

static sample now(void) {
    sample s = {.allocations = allocated()};
    if (counts_of_driver) s.driver = *counts_of_driver();
    return s;
}

static int see(void *user, int bar, int bars) {
    watch *w = user;
    (void)bar;
    (void)bars;
    if (w->seen <= BARS) w->bars[w->seen] = now();
    w->seen++;
    return 0;
}

typedef struct piece {
    motet_event *events;
    int64_t count;
    motet_generation_stats stats;
    watch watch;
} piece;

static piece write_piece(motet_session *session, const char *prompt, float guidance) {
    piece p = {0};
    motet_request request = {.prompt = prompt,
                             .seed = 5,
                             .facts = motet_facts_none(),
                             .sampling = motet_sampling_default()};
    motet_plan plan;
    request.facts.bars = BARS;
    request.sampling.temperature = 0; /* no second try of the last bar */
    request.sampling.guidance = guidance;
    if (motet_generate(&p.events, &p.count, &plan, &p.stats, session, &request, see, &p.watch) !=
        MOTET_OK)
        fail_msg("%s (%s)", motet_error(), motet_error_where());
    assert_int_equal(p.watch.seen, BARS + 1);
    assert_true(p.count > 8 && p.count < WINDOW); /* one window */
    return p;
}

/* From the header of bar `from` to the end of the piece. */
static void assert_steady(const piece *p, int from) {
    const sample *before = &p->watch.bars[from], *after = &p->watch.bars[BARS];
    int64_t header = 0, events;
    for (int bars = 0; bars <= from; header++)
        bars += p->events[header].type == MOTET_EVENT_BAR;
    events = p->count - header;
    assert_true(events > 2);
    if (COUNTS_ALLOCATIONS) assert_int_equal(after->allocations - before->allocations, 0);
    if (!counts_of_driver) return;
    assert_int_equal(after->driver.graph_launches - before->driver.graph_launches, events);
    assert_int_equal(after->driver.waits - before->driver.waits, events);
    assert_int_equal(after->driver.launches - before->driver.launches, 0);
    assert_int_equal(after->driver.captured - before->driver.captured, 0);
    assert_int_equal(after->driver.copies - before->driver.copies, 0);
    assert_int_equal(after->driver.memsets - before->driver.memsets, 0);
    assert_int_equal(after->driver.allocations - before->driver.allocations, 0);
    assert_int_equal(after->driver.modules - before->driver.modules, 0);
}

/* The first event comes with the window; the first step of a kind loads kernels, the second is
 * recorded, and so is what all events from there on are. */
static void one_launch_an_event(void **state) {
    (void)state;
    if (!cuda) {
        print_message("not run: no device\n");
        skip();
    }
    static motet_engine engine;
    motet_session *session;
    motet_test_engine_open_on(&engine, WINDOW, SEED, cuda, MOTET_F32);
    assert_int_equal(motet_session_make(&session, &engine), MOTET_OK);
    piece first = write_piece(session, "fast jig for flute", 2);
    assert_int_equal(first.stats.graph_launches, first.count - 2);
    assert_steady(&first, 1);

    /* The next piece with as long a memory: the same graph from the first step on. */
    piece again = write_piece(session, "fast jig for flute", 2);
    assert_int_equal(again.stats.graph_launches, again.count - 1);
    assert_int_equal(again.count, first.count);
    assert_memory_equal(again.events, first.events, (size_t)first.count * sizeof *first.events);
    assert_steady(&again, 0);

    /* Another memory, and one sequence: another graph, and the right events of the right piece. */
    piece other = write_piece(session, "a slow waltz in d minor for piano and cello", 1);
    assert_int_equal(other.stats.graph_launches, other.count - 2);
    assert_steady(&other, 1);
    free(first.events);
    free(again.events);
    free(other.events);
    motet_session_free(session);
    motet_engine_close(&engine);
}

/* The counter counts: a test that could not fail would prove nothing. */
static void allocations_are_seen(void **state) {
    (void)state;
    if (!COUNTS_ALLOCATIONS) {
        print_message("not run: a sanitizer counts for itself\n");
        skip();
    }
    const int64_t before = allocated();
    void *volatile block = malloc(10);
    assert_int_equal(allocated() - before, 1);
    block = realloc(block, 20);
    assert_int_equal(allocated() - before, 2);
    free(block);
    block = calloc(3, 5);
    assert_int_equal(allocated() - before, 3);
    free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_seen),
        cmocka_unit_test(one_launch_an_event),
    };
    return cmocka_run_group_tests_name("generation_graph", tests, setup, NULL);
}
