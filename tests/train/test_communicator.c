/* The communicator's collectives against sums and copies written down here, bit for bit: types,
 * sizes, numbers of ranks, chunk sizes, memory of the host's own and a device's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "kernels/core/rng.h"
#include "tests/harness_walled.h"
#include "tests/train/harness_ranks.h"

enum { MOST = 5000, GUARD = 8 };

/* Element i of a rank, in values that lose bits when they are added. */
static void element(void *out, motet_wire type, int rank, int64_t i) {
    uint32_t words[4];
    motet_philox(5, (uint64_t)rank, (uint64_t)i, words);
    double value = ((double)words[0] - 0x1p31) * (words[1] % 3 ? 0x1p-31 : 0x1p-20);
    float single = (float)value;
    uint16_t half = motet_bf16_from_f32(single);
    int64_t integer = (int64_t)words[2] << 20;
    unsigned char byte = (unsigned char)words[3];
    const void *const source[] = {&single, &half, &value, &integer, &byte};
    memcpy(out, source[type], motet_wire_bytes(type));
}

static void add(void *a, const void *b, motet_wire type) {
    float x, y;
    double p, q;
    int64_t m, n;
    uint16_t h[2];
    switch (type) {
    case MOTET_WIRE_F32:
        memcpy(&x, a, 4), memcpy(&y, b, 4);
        x += y;
        memcpy(a, &x, 4);
        break;
    case MOTET_WIRE_BF16:
        memcpy(&h[0], a, 2), memcpy(&h[1], b, 2);
        h[0] = motet_bf16_from_f32(motet_f32_from_bf16(h[0]) + motet_f32_from_bf16(h[1]));
        memcpy(a, &h[0], 2);
        break;
    case MOTET_WIRE_F64:
        memcpy(&p, a, 8), memcpy(&q, b, 8);
        p += q;
        memcpy(a, &p, 8);
        break;
    default:
        memcpy(&m, a, 8), memcpy(&n, b, 8);
        m += n;
        memcpy(a, &m, 8);
    }
}

/* The tree of communicator.h as the recursion of gradient_tree.h: ranks first, first + stride, ...
 */
static void expect(void *out, motet_wire type, int64_t i, int first, int stride, int count) {
    unsigned char other[8];
    if (count % 2) {
        element(out, type, first, i);
        for (int k = 1; k < count; k++) {
            element(other, type, first + k * stride, i);
            add(out, other, type);
        }
        return;
    }
    expect(out, type, i, first, 2 * stride, count / 2);
    expect(other, type, i, first + stride, 2 * stride, count / 2);
    add(out, other, type);
}

/* Room for MOST elements and guards behind them, where the communicator wants this type. */
typedef struct room {
    const motet_memory *memory;
    void *block;
    size_t bytes;
} room;

static int room_make(room *r, const motet_communicator *c, motet_wire type) {
    int host = type > MOTET_WIRE_BF16;
    r->memory = host || c->ranks == 1 ? &motet_host_memory : c->backend.memory;
    r->bytes = (MOST + GUARD) * motet_wire_bytes(type);
    return r->memory->take(&r->block, r->bytes, MOTET_ON_DEVICE) == MOTET_OK;
}

static void room_free(room *r) {
    r->memory->give_back(r->block, MOTET_ON_DEVICE);
}

static int room_write(room *r, const unsigned char *bytes) {
    return r->memory->copy(r->block, bytes, r->bytes) == MOTET_OK;
}

static int room_read(unsigned char *bytes, room *r) {
    return r->memory->copy(bytes, r->block, r->bytes) == MOTET_OK &&
           r->memory->synchronize() == MOTET_OK;
}

static unsigned char before[(MOST + GUARD) * 8], after[(MOST + GUARD) * 8];

static void fill(motet_wire type, int rank) {
    for (int64_t i = 0; i < MOST + GUARD; i++)
        element(before + (size_t)i * motet_wire_bytes(type), type, rank, i);
}

/* Bytes of element i after the call are those of `want`. */
static int is(int64_t i, motet_wire type, const void *want) {
    size_t size = motet_wire_bytes(type);
    return !memcmp(after + (size_t)i * size, want, size);
}

static int reduce_one(motet_communicator *communicator, motet_wire type, int64_t count) {
    room r;
    RANK_CHECK(room_make(&r, communicator, type));
    fill(type, communicator->rank);
    RANK_CHECK(room_write(&r, before));
    RANK_CHECK(motet_communicator_all_reduce(communicator, r.block, count, type) == MOTET_OK);
    RANK_CHECK(room_read(after, &r));
    for (int64_t i = 0; i < MOST + GUARD; i++) {
        unsigned char want[8];
        if (i < count)
            expect(want, type, i, 0, 1, communicator->ranks);
        else
            element(want, type, communicator->rank, i);
        RANK_CHECK(is(i, type, want));
    }
    room_free(&r);
    return 1;
}

static int reduce_all(motet_communicator *communicator, void *user) {
    static const int64_t counts[] = {1, 63, 64, 65, 1000, MOST};
    (void)user;
    for (motet_wire type = MOTET_WIRE_F32; type <= MOTET_WIRE_I64; type++)
        for (int i = 0; i < 6; i++)
            if (!reduce_one(communicator, type, counts[i])) return 0;
    return 1;
}

/* Parts of many sizes, owners in no order, an empty one among them, gaps between them. */
enum { PARTS = 23 };
static int make_parts(motet_part *parts, int64_t *firsts, const room *r, motet_wire type,
                      int ranks) {
    int64_t at = 0;
    for (int i = 0; i < PARTS; i++) {
        int64_t count = i * i * 37 % 400 + (i != 7) - (i == 7) * (i * i * 37 % 400);
        firsts[i] = at;
        parts[i] = (motet_part){(unsigned char *)r->block + (size_t)at * motet_wire_bytes(type),
                                count, (i * 5 + 3) % ranks};
        at += count + i % 3;
    }
    return at <= MOST;
}

/* The part with element i, -1 in a gap. */
static int part_at(const motet_part *parts, const int64_t *firsts, int64_t i) {
    for (int p = 0; p < PARTS; p++)
        if (i >= firsts[p] && i < firsts[p] + parts[p].count) return p;
    return -1;
}

enum { SCATTER, ALL_GATHER, GATHER, UNEVEN };
static int parts_one(motet_communicator *communicator, motet_wire type, int what, int root) {
    room r;
    motet_part parts[PARTS], here[PARTS];
    int64_t firsts[PARTS];
    motet_communicator *c = communicator;
    unsigned char *host = malloc(sizeof before);
    RANK_CHECK(host && room_make(&r, c, type));
    fill(type, c->rank);
    RANK_CHECK(room_write(&r, before));
    RANK_CHECK(make_parts(parts, firsts, &r, type, c->ranks));
    RANK_CHECK(parts[7].count == 0);
    /* Most is root's: three ranks and more share the work of sending it. */
    for (int p = 0; p < PARTS && what == UNEVEN; p++)
        if (p % 5) parts[p].owner = root;
    RANK_CHECK(what != UNEVEN ||
               motet_communicator_is_dealt(parts, PARTS, c->ranks) == (c->ranks > 2));
    memcpy(here, parts, sizeof here);
    motet_status status;
    if (what == UNEVEN) {
        status = motet_communicator_all_gather_uneven(c, parts, PARTS, type);
    } else if (what == SCATTER) {
        status = motet_communicator_reduce_scatter(c, parts, PARTS, type);
    } else if (what == ALL_GATHER) {
        status = motet_communicator_all_gather(c, parts, PARTS, type);
    } else {
        memcpy(host, before, r.bytes);
        for (int p = 0; p < PARTS; p++)
            if (c->rank == root)
                here[p].data = host + (size_t)firsts[p] * motet_wire_bytes(type);
            else if (here[p].owner != c->rank)
                here[p].data = NULL;
        status = motet_communicator_gather(c, here, PARTS, type, root);
    }
    RANK_CHECK(status == MOTET_OK);
    RANK_CHECK(room_read(after, &r));
    if (what == GATHER && c->rank == root) memcpy(after, host, r.bytes);
    for (int64_t i = 0; i < MOST + GUARD; i++) {
        unsigned char want[8];
        int p = part_at(parts, firsts, i);
        element(want, type, c->rank, i);
        if (p >= 0 && what == SCATTER && parts[p].owner == c->rank)
            expect(want, type, i, 0, 1, c->ranks);
        if (p >= 0 && (what == ALL_GATHER || what == UNEVEN || (what == GATHER && c->rank == root)))
            element(want, type, parts[p].owner, i);
        RANK_CHECK(is(i, type, want));
    }
    room_free(&r);
    free(host);
    return 1;
}

static int parts_all(motet_communicator *communicator, void *user) {
    (void)user;
    for (motet_wire type = MOTET_WIRE_F32; type <= MOTET_WIRE_BYTES; type++) {
        if (type != MOTET_WIRE_BYTES && !parts_one(communicator, type, SCATTER, 0)) return 0;
        if (!parts_one(communicator, type, ALL_GATHER, 0)) return 0;
        for (int root = 0; root < communicator->ranks; root++)
            if (!parts_one(communicator, type, GATHER, root) ||
                !parts_one(communicator, type, UNEVEN, root))
                return 0;
    }
    return 1;
}

static int broadcast_all(motet_communicator *communicator, void *user) {
    (void)user;
    for (motet_wire type = MOTET_WIRE_F32; type <= MOTET_WIRE_BYTES; type++)
        for (int root = 0; root < communicator->ranks; root++) {
            room r;
            int64_t count = root ? 777 : MOST;
            RANK_CHECK(room_make(&r, communicator, type));
            fill(type, communicator->rank);
            RANK_CHECK(room_write(&r, before));
            RANK_CHECK(motet_communicator_broadcast(communicator, r.block, count, type, root) ==
                       MOTET_OK);
            RANK_CHECK(room_read(after, &r));
            for (int64_t i = 0; i < MOST + GUARD; i++) {
                unsigned char want[8];
                element(want, type, i < count ? root : communicator->rank, i);
                RANK_CHECK(is(i, type, want));
            }
            room_free(&r);
        }
    return 1;
}

static int collectives(motet_communicator *communicator, void *user) {
    return reduce_all(communicator, user) && parts_all(communicator, user) &&
           broadcast_all(communicator, user);
}

static void test_collectives(void **state) {
    (void)state;
    for (int ranks = 1; ranks <= 6; ranks++)
        ranks_run(ranks, motet_backend_cpu(), 0, 30, collectives, NULL);
}

/* Chunks of 64 bytes: the same bits. */
static void test_small_chunks(void **state) {
    (void)state;
    ranks_run(2, motet_backend_cpu(), 1, 30, collectives, NULL);
    ranks_run(3, motet_backend_cpu(), 1000, 30, collectives, NULL);
    ranks_run(4, motet_backend_cpu(), 3000, 30, collectives, NULL);
}

static void test_device_memory(void **state) {
    (void)state;
    ranks_run(2, motet_walled_backend(0), 0, 30, collectives, NULL);
    ranks_run(4, motet_walled_backend(0), 3000, 30, collectives, NULL);
}

static void test_single(void **state) {
    (void)state;
    motet_communicator *communicator = motet_communicator_single();
    assert_true(collectives(communicator, NULL));
    assert_int_equal(motet_communicator_barrier(communicator), MOTET_OK);
    assert_int_equal(motet_communicator_agree(communicator, MOTET_E_DATA), MOTET_E_DATA);
    int flag = 7;
    assert_int_equal(motet_communicator_any(communicator, &flag), MOTET_OK);
    assert_int_equal(motet_communicator_same_text(communicator, "a"), MOTET_OK);
    motet_communicator_close(communicator);
    assert_int_equal(communicator->ranks, 1);
}

static int talk(motet_communicator *communicator, void *user) {
    motet_communicator *c = communicator;
    (void)user;
    int flag = 0;
    RANK_CHECK(motet_communicator_any(c, &flag) == MOTET_OK && flag == 0);
    flag = c->rank == 2 ? -5 : 0;
    RANK_CHECK(motet_communicator_any(c, &flag) == MOTET_OK && flag == 1);
    RANK_CHECK(motet_communicator_agree(c, MOTET_OK) == MOTET_OK && !c->agreed);
    motet_status status = MOTET_OK;
    if (c->rank) status = MOTET_FAIL(MOTET_E_DATA, "bar %d is wrong", c->rank);
    RANK_CHECK(motet_communicator_agree(c, status) == MOTET_E_DATA && c->agreed);
    RANK_CHECK(!strcmp(motet_error(), "rank 1: bar 1 is wrong"));
    RANK_CHECK(motet_communicator_same_text(c, "[a]\nx = 1\n[b]\nx = 2\n") == MOTET_OK);
    const char *text = c->rank == 2 ? "[a]\nx = 1\n[b]\nx = 3\n" : "[a]\nx = 1\n[b]\nx = 2\n";
    RANK_CHECK(motet_communicator_same_text(c, text) == MOTET_E_USAGE);
    RANK_CHECK(strstr(motet_error(), "rank 2") && strstr(motet_error(), "x = 3") &&
               strstr(motet_error(), "x = 2") && strstr(motet_error(), "[b]"));
    text = c->rank == 1 ? "[a]\n" : "[a]\nx = 1\n"; /* one ends early */
    RANK_CHECK(motet_communicator_same_text(c, text) == MOTET_E_USAGE);
    RANK_CHECK(strstr(motet_error(), "rank 1") && strstr(motet_error(), "x = 1"));
    return 1;
}

static void test_talk(void **state) {
    (void)state;
    ranks_run(3, motet_backend_cpu(), 0, 30, talk, NULL);
}

/* Nobody leaves a barrier before all have come. */
static int meet(motet_communicator *communicator, void *user) {
    volatile int *came = user;
    struct timespec nap = {0, 20000000L * communicator->rank};
    nanosleep(&nap, NULL);
    came[communicator->rank] = 1;
    RANK_CHECK(motet_communicator_barrier(communicator) == MOTET_OK);
    for (int r = 0; r < communicator->ranks; r++)
        RANK_CHECK(came[r] == 1);
    return 1;
}

static void test_barrier(void **state) {
    (void)state;
    int *came = ranks_share(sizeof(int[4]));
    ranks_run(4, motet_backend_cpu(), 0, 30, meet, came);
    ranks_unshare(came, sizeof(int[4]));
}

/* Rank 1 does not come: it is named, and the communicator stays broken. */
static int one_is_missing(motet_communicator *communicator, void *user) {
    (void)user;
    if (communicator->rank == 1) return 1;
    RANK_CHECK(motet_communicator_barrier(communicator) == MOTET_E_IO);
    RANK_CHECK(strstr(motet_error(), "rank 1"));
    RANK_CHECK(motet_communicator_barrier(communicator) == MOTET_E_IO);
    RANK_CHECK(strstr(motet_error(), "lost each other"));
    return 1;
}

static void test_missing(void **state) {
    (void)state;
    ranks_run(2, motet_backend_cpu(), 0, 0.2, one_is_missing, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collectives),   cmocka_unit_test(test_small_chunks),
        cmocka_unit_test(test_device_memory), cmocka_unit_test(test_single),
        cmocka_unit_test(test_talk),          cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests_name("communicator", tests, NULL, NULL);
}
