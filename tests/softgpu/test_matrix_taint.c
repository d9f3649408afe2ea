/* mma.sync on bytes that nobody wrote, and by part of a warp. */
#include "tests/softgpu/matrix_case.h"

/* Which elements of D are unwritten after an mma where this word of the fragments was. */
static void unwritten_of(bool d[16][8], const kind *k, int lane, int word) {
    sg_case one = sg_case_three(1, 32);
    sg_case fresh = one;
    fresh.a = sg_case_memory(32 * LANE, false);
    for (int l = 0; l < 32; l++)
        for (int w = 0; w < LANE / 4; w++)
            if (l != lane || w != word)
                memset(sg_memory_host(fresh.a + (uint64_t)(LANE * l + 4 * w), 4, true), 0, 4);
    char body[1500];
    snprintf(body, sizeof body, "%s%s%s", LOAD_FRAGMENTS, mma_text(k), STORE_RESULT);
    sg_case_wants_none(sg_case_text("", body), &fresh, NULL);
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            const place p = c_any(l / 4, l % 4, i);
            d[p.row][p.col] = sg_memory_unwritten(one.b + (uint64_t)(16 * l + 4 * i), 4) != 0;
        }
    sg_memory_give_back(fresh.a);
    sg_case_give_back(&one);
}

/* A's row spoils its row of D, B's column its column, C's element itself; nothing else. */
static void unwritten(void **state) {
    (void)state;
    static const int lanes[] = {0, 6, 13, 31};
    for (int n = 0; n < KINDS; n++) {
        const kind *k = &kinds[n];
        const int per = 32 / k->bits, of_a = elements_of_a(k) / per;
        for (int word = 0; word < WORD_C + 4; word++)
            for (size_t x = 0; x < sizeof lanes / sizeof *lanes; x++) {
                const int g = lanes[x] / 4, t = lanes[x] % 4;
                bool d[16][8], wanted[16][8] = {{false}};
                unwritten_of(d, k, lanes[x], word);
                for (int i = 0; i < 8; i++) {
                    if (word < of_a) wanted[k->a(g, t, word * per).row][i] = true;
                    if (word >= WORD_B && word < WORD_B + of_a / 2)
                        for (int r = 0; r < 16; r++)
                            wanted[r][k->b(g, t, (word - WORD_B) * per).col] = true;
                }
                if (word >= WORD_C) {
                    const place p = c_any(g, t, word - WORD_C);
                    wanted[p.row][p.col] = true;
                }
                if (memcmp(d, wanted, sizeof d))
                    fail_msg("%s: word %d of lane %d", k->name, word, lanes[x]);
            }
    }
}

/* The registers of D may be those of C in another order. */
static void unwritten_in_place(void **state) {
    (void)state;
    char text[400], body[1500];
    sg_case one = sg_case_three(1, 32);
    sg_case fresh = one;
    fresh.a = sg_case_memory(32 * LANE, false);
    memset(sg_memory_host(fresh.a, 32 * LANE - 8, true), 0, 32 * LANE - 8);
    snprintf(text, sizeof text,
             "ld.global.f32 %%f4, [%%a+%d];\n"
             "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%%f1, %%f2, %%f3, %%f4}, "
             "{%%r1, %%r2, %%r3, %%r4}, {%%r5, %%r6}, {%%f4, %%f3, %%f2, %%f1};\n"
             "mov.b32 %%r11, %%f1;\nmov.b32 %%r12, %%f2;\nmov.b32 %%r13, %%f3;\n"
             "mov.b32 %%r14, %%f4;\n",
             32 * LANE - 4);
    snprintf(body, sizeof body, "%s%s%s", LOAD_FRAGMENTS, text, STORE_RESULT);
    sg_case_wants_none(sg_case_text("", body), &fresh, NULL);
    for (uint64_t l = 0; l < 32; l++) {
        assert_int_equal(sg_memory_unwritten(one.b + 16 * l, 4), 4);
        assert_int_equal(sg_memory_unwritten(one.b + 16 * l + 4, 12), 0);
    }
    sg_memory_give_back(fresh.a);
    sg_case_give_back(&one);
}

/* ---- What is wrong. */

static void wrong(void **state) {
    (void)state;
    sg_case one = sg_case_three(1, 32), fresh = one;
    fresh.a = sg_case_memory(32 * LANE, false);
    for (int l = 0; l < 32; l++) /* A's rows 3 and 11 are missing */
        if (l / 4 != 3) memset(sg_memory_host(fresh.a + (uint64_t)(LANE * l), LANE, true), 0, LANE);
    for (int l = 12; l < 16; l++)
        memset(sg_memory_host(fresh.a + (uint64_t)(LANE * l + 16), LANE - 16, true), 0, LANE - 16);
    char body[1500];
    const char *const mma = mma_text(&kinds[0]);
    /* To decide by a spoiled row is reported, to decide by the others is right. */
    snprintf(body, sizeof body,
             "%s%s%ssetp.gt.f32 %%p1, %%f11, 0f00000000;\n%s@%%p1 bra M;\nM:", LOAD_FRAGMENTS, mma,
             STORE_RESULT, SG_LINE(1));
    sg_case_wants(sg_case_text("", body), &fresh, SG_R_UNWRITTEN, "");
    snprintf(body, sizeof body,
             "%s%s%sshr.u32 %%r20, %%lane, 2;\nsetp.eq.u32 %%p2, %%r20, 3;\n@%%p2 bra M;\n"
             "setp.gt.f32 %%p1, %%f11, 0f00000000;\n%s@%%p1 bra M;\nM:",
             LOAD_FRAGMENTS, mma, STORE_RESULT, SG_LINE(1));
    sg_case_wants_none(sg_case_text("", body), &fresh, NULL);
    sg_memory_give_back(fresh.a);
    /* Half of the warp goes elsewhere, for ever or to its end. */
    snprintf(body, sizeof body, "%ssetp.lt.u32 %%p1, %%lane, 16;\n%s@%%p1 %s", LOAD_FRAGMENTS,
             SG_LINE(1), mma);
    sg_case_wants(sg_case_text("", body), &one, SG_R_WARP_SYNC, "mma");
    snprintf(body, sizeof body,
             "%ssetp.lt.u32 %%p1, %%lane, 16;\n@%%p1 bra M;\nbar.sync 0;\nbra E;\nM:\n%s%s\n"
             "bar.sync 0;\nE:",
             LOAD_FRAGMENTS, SG_LINE(1), mma);
    sg_report_clear();
    assert_false(sg_case_run(sg_case_text("", body), &one, NULL));
    assert_int_equal(sg_case_reports(SG_R_WARP_SYNC, 1), 1);
    /* A block that ends within a warp. */
    snprintf(body, sizeof body, "%s%s%s", LOAD_FRAGMENTS, SG_LINE(1), mma);
    one.threads = 48;
    sg_case_wants(sg_case_text("", body), &one, SG_R_WARP_SYNC, "needs all 32 lanes");
    one.threads = 64;
    sg_case_wants_none(sg_case_text("", body), &one, NULL);
    sg_case_give_back(&one);
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unwritten), cmocka_unit_test(unwritten_in_place), cmocka_unit_test(wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
