/* ldmatrix and stmatrix: where each half goes, and what is reported. */
#include "tests/softgpu/case.h"

/* clang-format off: one instruction a line */
#define TILE ".shared .align 16 .b8 tile[512];"
/* The 512 bytes of %a go to the tile. */
#define FILL                                              \
    "shl.b32 %r20, %tid, 4;\n"                            \
    "mov.u32 %r21, tile;\n"                               \
    "add.s32 %r22, %r21, %r20;\n"                         \
    "cvt.u64.u32 %d3, %r20;\n"                            \
    "add.s64 %d4, %a, %d3;\n"                             \
    "ld.global.v4.u32 {%r23, %r24, %r25, %r26}, [%d4];\n" \
    "st.shared.v4.u32 [%r22], {%r23, %r24, %r25, %r26};\n"
#define SYNC "bar.sync 0;\n"
/* Lane l names row row_of(l); lanes that have no say name nonsense. Four registers in %r11 to 14.
 */
#define ADDRESS(lanes)                      \
    "mad.lo.s32 %r1, %lane, 5, 3;\n"        \
    "and.b32 %r1, %r1, 31;\n"               \
    "shl.b32 %r1, %r1, 4;\n"                \
    "add.s32 %r1, %r1, %r21;\n"             \
    "setp.lt.u32 %p1, %lane, " lanes ";\n"  \
    "selp.b32 %r1, %r1, 0xfffffff5, %p1;\n" \
    "cvt.u64.u32 %d1, %r1;\n"               \
    "add.s64 %d5, %b, %d3;\n"
#define ZEROS            \
    "mov.u32 %r11, 0;\n" \
    "mov.u32 %r12, 0;\n" \
    "mov.u32 %r13, 0;\n" \
    "mov.u32 %r14, 0;\n"
#define REGISTERS_OUT "st.global.v4.u32 [%d5], {%r11, %r12, %r13, %r14};\n"
#define REGISTERS_IN "ld.global.v4.u32 {%r11, %r12, %r13, %r14}, [%d4];\n"
#define TILE_OUT                                           \
    "ld.shared.v4.u32 {%r23, %r24, %r25, %r26}, [%r22];\n" \
    "st.global.v4.u32 [%d5], {%r23, %r24, %r25, %r26};\n"
#define CLEAR                     \
    "shl.b32 %r20, %tid, 4;\n"    \
    "mov.u32 %r21, tile;\n"       \
    "add.s32 %r22, %r21, %r20;\n" \
    "cvt.u64.u32 %d3, %r20;\n"    \
    "add.s64 %d4, %a, %d3;\n"     \
    "mov.u32 %r23, 0;\n"          \
    "st.shared.v4.u32 [%r22], {%r23, %r23, %r23, %r23};\n"

#define LOAD(lanes, what) SG_CASE(TILE, FILL SYNC ADDRESS(lanes) ZEROS what REGISTERS_OUT)
#define STORE(lanes, what) SG_CASE(TILE, CLEAR SYNC ADDRESS(lanes) REGISTERS_IN what SYNC TILE_OUT)
#define LD "ldmatrix.sync.aligned"
#define ST "stmatrix.sync.aligned"
#define R1 "{%r11}"
#define R2 "{%r11, %r12}"
#define R4 "{%r11, %r12, %r13, %r14}"
#define L4 LD ".m8n8.x4.shared.b16 " R4 ", [%r1];\n"
#define L4T LD ".m8n8.x4.trans.shared.b16 " R4 ", [%r1];\n"
#define S4 ST ".m8n8.x4.shared.b16 [%r1], " R4 ";\n"
/* clang-format on */

static int row_of(int lane) {
    return (lane * 5 + 3) % 32;
}

/* The two halves of a lane's register of matrix m: "each thread holds row lane / 4, elements
 * 2 * (lane % 4) and the next"; transposed: those of the column lane / 4. In halves of the tile. */
static int half_at(int lane, int m, int i, bool trans) {
    const int row = trans ? 2 * (lane % 4) + i : lane / 4;
    const int column = trans ? lane / 4 : 2 * (lane % 4) + i;
    return row_of(8 * m + row) * 8 + column;
}

typedef struct form {
    int matrices;
    bool trans;
    const char *ptx;
} form;

static void loads(void **state) {
    (void)state;
    static const form forms[] = {
        {1, false, LOAD("8", LD ".m8n8.x1.shared.b16 " R1 ", [%r1];\n")},
        {1, false, LOAD("8", LD ".x1.m8n8.shared::cta.b16 %r11, [%r1];\n")},
        {1, true, LOAD("8", LD ".m8n8.x1.trans.shared.b16 " R1 ", [%r1];\n")},
        {2, false, LOAD("16", LD ".m8n8.x2.shared.b16 " R2 ", [%d1];\n")},
        {2, true, LOAD("16", LD ".x2.m8n8.trans.shared.b16 " R2 ", [%r1];\n")},
        {4, false, LOAD("32", L4)},
        {4, false, LOAD("32", LD ".x4.m8n8.shared.b16 " R4 ", [%r1];\n")},
        {4, false,
         LOAD("32", "sub.s32 %r1, %r1, 48;\n" LD ".m8n8.x4.shared.b16 " R4 ", [%r1+48];\n")},
        {4, true, LOAD("32", L4T)},
        {4, true, LOAD("32", LD ".x4.m8n8.trans.shared::cta.b16 " R4 ", [%d1];\n")},
        {4, true, LOAD("32", LD ".x4.trans.m8n8.shared.b16 " R4 ", [%r1];\n")},
    };
    for (size_t n = 0; n < sizeof forms / sizeof *forms; n++) {
        sg_case one = sg_case_three(1, 32);
        uint16_t *tile = (void *)sg_memory_host(one.a, 512, true);
        const uint16_t *out = (const void *)sg_memory_host(one.b, 512, true);
        for (int i = 0; i < 256; i++)
            tile[i] = (uint16_t)(i * 257 + 1);
        sg_case_wants_none(forms[n].ptx, &one, NULL);
        for (int l = 0; l < 32; l++)
            for (int m = 0; m < 4; m++)
                for (int i = 0; i < 2; i++)
                    if (out[8 * l + 2 * m + i] !=
                        (m < forms[n].matrices ? tile[half_at(l, m, i, forms[n].trans)] : 0))
                        fail_msg("form %d: lane %d, matrix %d, half %d", (int)n, l, m, i);
        sg_case_give_back(&one);
    }
}

static void stores(void **state) {
    (void)state;
    static const form forms[] = {
        {1, false, STORE("8", ST ".m8n8.x1.shared.b16 [%r1], " R1 ";\n")},
        {1, true, STORE("8", ST ".x1.m8n8.trans.shared.b16 [%r1], %r11;\n")},
        {2, false, STORE("16", ST ".x2.m8n8.shared::cta.b16 [%d1], " R2 ";\n")},
        {2, true, STORE("16", ST ".m8n8.x2.trans.shared.b16 [%r1], " R2 ";\n")},
        {4, false, STORE("32", S4)},
        {4, true,
         STORE("32",
               "add.s32 %r1, %r1, 16;\n" ST ".m8n8.x4.trans.shared.b16 [%r1+-16], " R4 ";\n")},
    };
    for (size_t n = 0; n < sizeof forms / sizeof *forms; n++) {
        sg_case one = sg_case_three(1, 32);
        uint16_t *in = (void *)sg_memory_host(one.a, 512, true), wanted[256] = {0};
        const uint16_t *out = (const void *)sg_memory_host(one.b, 512, true);
        for (int i = 0; i < 256; i++)
            in[i] = (uint16_t)(i * 257 + 1);
        for (int l = 0; l < 32; l++)
            for (int m = 0; m < forms[n].matrices; m++)
                for (int i = 0; i < 2; i++)
                    wanted[half_at(l, m, i, forms[n].trans)] = in[8 * l + 2 * m + i];
        sg_case_wants_none(forms[n].ptx, &one, NULL);
        if (memcmp(out, wanted, 512)) fail_msg("form %d", (int)n);
        sg_case_give_back(&one);
    }
}

/* One half of %a is missing: at what halves of %b? */
static void check_unwritten(const char *ptx, int missing, const int *wanted, int count) {
    sg_case one = sg_case_three(1, 32), fresh = one;
    fresh.a = sg_case_memory(512, false);
    for (int i = 0; i < 256; i++)
        if (i / 2 != missing / 2)
            memset(sg_memory_host(fresh.a + (uint64_t)(2 * i), 2, true), 0, 2);
    sg_case_wants_none(ptx, &fresh, NULL);
    int found = 0;
    for (int i = 0; i < 256; i++)
        found += sg_memory_unwritten(one.b + (uint64_t)(2 * i), 2) != 0;
    assert_int_equal(found, 2 * count);
    for (int i = 0; i < count; i++)
        assert_int_equal(sg_memory_unwritten(one.b + (uint64_t)(4 * wanted[i]), 4), 4);
    sg_memory_give_back(fresh.a);
    sg_case_give_back(&one);
}

static void unwritten(void **state) {
    (void)state;
    /* A word, of row 3 of matrix 2, columns 4 and 5: lane 14 holds it; transposed, lanes 17 and 21
     * hold one half each. Counted in words of four a lane. */
    const int word = row_of(8 * 2 + 3) * 8 + 4;
    check_unwritten(LOAD("32", L4), word, (const int[]){4 * 14 + 2}, 1);
    check_unwritten(LOAD("32", L4T), word, (const int[]){4 * 17 + 2, 4 * 21 + 2}, 2);
    /* x2 does not read it. */
    check_unwritten(LOAD("16", LD ".m8n8.x2.shared.b16 " R2 ", [%r1];\n"), word, NULL, 0);
    /* Register 1 of lane 9: row 2, columns 2 and 3 of matrix 1. */
    check_unwritten(STORE("32", S4), 2 * (4 * 9 + 1), (const int[]){half_at(9, 1, 0, false) / 2},
                    1);
}

static void wrong(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 32);
#define AT5(change) "setp.eq.u32 %p2, %lane, 5;\n@%p2 " change SG_LINE(1)
    sg_case_wants(LOAD("32", AT5("add.s32 %r1, %r1, 8;\n") L4), &one, SG_R_ALIGNMENT,
                  "lane 5 reads 16 bytes");
    sg_case_wants(STORE("32", AT5("add.s32 %r1, %r1, 8;\n") S4), &one, SG_R_ALIGNMENT,
                  "no multiple of 16");
    sg_case_wants(LOAD("32", AT5("add.s32 %r1, %r21, 512;\n") L4T), &one, SG_R_BOUNDS,
                  "0 bytes past the end of the 512 bytes of shared memory");
    sg_case_wants(STORE("32", AT5("add.s32 %r1, %r21, 512;\n") S4), &one, SG_R_BOUNDS,
                  "lane 5 writes 16 bytes");
    sg_case_wants(LOAD("32", SG_LINE(1) LD ".m8n8.x4.shared.b16 " R4 ", [%d4];\n"), &one,
                  SG_R_SPACE, "an address of global memory");
    sg_case_wants(STORE("32", AT5("add.s32 %r1, %r21, 0;\n") S4), &one, SG_R_RACE, "same place");
    /* An address out of bytes that nobody wrote. */
    sg_case fresh = one;
    fresh.c = sg_case_memory(64, false);
#define FRESH_ADDRESS "ld.global.u32 %r5, [%c];\nand.b32 %r5, %r5, 0;\nadd.s32 %r1, %r1, %r5;\n"
    sg_case_wants(LOAD("32", FRESH_ADDRESS SG_LINE(1) L4), &fresh, SG_R_UNWRITTEN, "address");
    sg_case_wants(STORE("32", FRESH_ADDRESS SG_LINE(1) S4), &fresh, SG_R_UNWRITTEN, "address");
    sg_memory_give_back(fresh.c);
    /* Part of a warp. */
#define HALF "setp.lt.u32 %p2, %lane, 16;\n" SG_LINE(1) "@%p2 "
    sg_case_wants(LOAD("32", HALF L4), &one, SG_R_WARP_SYNC, "ldmatrix");
    sg_case_wants(SG_CASE(TILE, CLEAR ADDRESS("32") REGISTERS_IN HALF S4), &one, SG_R_WARP_SYNC,
                  "stmatrix");
    /* Rows that other lanes have written need a sync, and rows that others will read. */
    sg_case_wants(SG_CASE(TILE, FILL ADDRESS("32") SG_LINE(1) L4), &one, SG_R_RACE,
                  "nothing orders");
    sg_case_wants_none(SG_CASE(TILE, FILL "bar.warp.sync -1;\n" ADDRESS("32") L4), &one, NULL);
    sg_case_wants(SG_CASE(TILE, CLEAR SYNC ADDRESS("32") REGISTERS_IN S4 SG_LINE(1) TILE_OUT), &one,
                  SG_R_RACE, "");
    sg_case_wants(SG_CASE(TILE, FILL SYNC ADDRESS("32") L4 "mov.u32 %r1, %r22;\n" SG_LINE(1) S4),
                  &one, SG_R_RACE, "");
    sg_case_give_back(&one);
}

static void conflicts(void **state) {
    (void)state;
    static const struct {
        const char *pitch, *what;
        int side; /* 1: store */
        uint64_t wanted;
    } rows[] = {
        {"16", L4, 0, 0},     {"128", L4, 0, 4 * 7},
        {"144", L4, 0, 0},    {"128", L4T, 0, 4 * 7},
        {"64", L4, 0, 4 * 3}, {"128", S4, 1, 4 * 7},
        {"144", S4, 1, 0},    {"128", LD ".m8n8.x1.shared.b16 " R1 ", [%r1];\n", 0, 7},
    };
    sg_case one = sg_case_three(1, 32);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[400];
        sg_counters c;
        snprintf(body, sizeof body,
                 "mov.u32 %%r1, wide;\nmad.lo.s32 %%r1, %%lane, %s, %%r1;\n"
                 "mov.u32 %%r11, 0;\nmov.u32 %%r12, 0;\nmov.u32 %%r13, 0;\nmov.u32 %%r14, 0;\n%s",
                 rows[i].pitch, rows[i].what);
        sg_case_wants_none(sg_case_text(".shared .align 16 .b8 wide[4608];", body), &one, &c);
        assert_int_equal(c.shared_requests[rows[i].side], 1);
        assert_int_equal(c.shared_conflicts[rows[i].side], rows[i].wanted);
    }
    sg_case_give_back(&one);
}

static void refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        LD ".m8n8.x3.shared.b16 {%r11, %r12, %r13}, [%r1];",
        LD ".m8n8.x4.shared.b16 " R2 ", [%r1];",
        LD ".m8n8.x4.global.b16 " R4 ", [%d1];",
        LD ".m8n8.x4.b16 " R4 ", [%r1];",
        LD ".m8n16.x4.shared.b16 " R4 ", [%r1];",
        LD ".m8n8.x4.shared.b8 " R4 ", [%r1];",
        LD ".x4.shared.b16 " R4 ", [%r1];",
        "ldmatrix.m8n8.x4.shared.b16 " R4 ", [%r1];",
        ST ".m8n8.x2.shared.b16 [%r1], " R4 ";",
        ST ".m8n8.x4.shared.b16 " R4 ", [%r1];",
    };
    sg_case one = sg_case_three(1, 32);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char body[300];
        sg_report_clear();
        snprintf(body, sizeof body, "%s%s", SG_LINE(1), bad[i]);
        if (sg_case_run(sg_case_text("", body), &one, NULL) ||
            sg_case_reports(SG_R_UNKNOWN, 1) != 1)
            fail_msg("%s was taken", bad[i]);
    }
    sg_case_give_back(&one);
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads), cmocka_unit_test(stores),    cmocka_unit_test(unwritten),
        cmocka_unit_test(wrong), cmocka_unit_test(conflicts), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
