/* mma.sync: what comes out, and what is refused. */
#include <math.h>

#include "tests/softgpu/matrix_case.h"

/* A, B, C as bits, row after row; D likewise. */
typedef struct matrices {
    uint32_t a[16][32], b[32][8], c[16][8], d[16][8];
} matrices;

static void put(uint32_t *words, int i, int bits, uint32_t value) {
    const int per = 32 / bits;
    words[i / per] |= value << (i % per * bits);
}

/* Runs one mma on the matrices. */
static void multiply(matrices *m, const kind *k, sg_counters *counters) {
    sg_case one = sg_case_three(1, 32);
    uint32_t(*in)[LANE / 4] = (void *)sg_memory_host(one.a, 32 * LANE, true);
    const uint32_t(*out)[4] = (const void *)sg_memory_host(one.b, 32 * 16, true);
    for (int lane = 0; lane < 32; lane++) {
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < elements_of_a(k); i++) {
            const place p = k->a(g, t, i);
            put(in[lane], i, k->bits, m->a[p.row][p.col]);
        }
        for (int i = 0; i < elements_of_a(k) / 2; i++) {
            const place p = k->b(g, t, i);
            put(in[lane] + WORD_B, i, k->bits, m->b[p.row][p.col]);
        }
        for (int i = 0; i < 4; i++) {
            const place p = c_any(g, t, i);
            in[lane][WORD_C + i] = m->c[p.row][p.col];
        }
    }
    char body[1500];
    snprintf(body, sizeof body, "%s%s%s", LOAD_FRAGMENTS, mma_text(k), STORE_RESULT);
    sg_case_wants_none(sg_case_text("", body), &one, counters);
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            const place p = c_any(lane / 4, lane % 4, i);
            m->d[p.row][p.col] = out[lane][i];
        }
    sg_case_give_back(&one);
}

/* ---- Values. */

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A small integer as an element. */
static uint32_t integer_bits(element of, int value) {
    switch (of) {
    case BF16:
        return bits_of((float)value) >> 16;
    case F16: { /* of at most 11 bits */
        int exponent;
        const float part = frexpf(fabsf((float)value), &exponent);
        if (!value) return 0;
        return (value < 0 ? 0x8000u : 0u) | (uint32_t)(exponent + 14) << 10 |
               ((uint32_t)(part * 2048) & 1023);
    }
    case TF32:
        return bits_of((float)value);
    default:
        return (uint32_t)value & 255;
    }
}

static int small(uint32_t *state, int low, int high) {
    *state = *state * 1664525u + 1013904223u;
    return low + (int)((*state >> 8) % (uint32_t)(high - low + 1));
}

/* Integers that any order of summing leaves exact. */
static void exact(void **state) {
    (void)state;
    uint32_t random = 7;
    for (int n = 0; n < KINDS; n++) {
        const kind *k = &kinds[n];
        const int low = k->of == U8 ? 0 : k->of == S8 ? -128 : -15;
        const int high = k->of == U8 ? 255 : k->of == S8 ? 127 : 15;
        int a[16][32], b[32][8];
        matrices m = {0};
        for (int r = 0; r < 16; r++)
            for (int i = 0; i < k->k; i++)
                m.a[r][i] = integer_bits(k->of, a[r][i] = small(&random, low, high));
        for (int i = 0; i < k->k; i++)
            for (int c = 0; c < 8; c++)
                m.b[i][c] = integer_bits(k->of, b[i][c] = small(&random, low, high));
        int wanted[16][8];
        for (int r = 0; r < 16; r++)
            for (int c = 0; c < 8; c++) {
                const int start = wanted[r][c] = small(&random, -1000, 1000);
                m.c[r][c] = is_integer(k) ? (uint32_t)start : bits_of((float)start);
                for (int i = 0; i < k->k; i++)
                    wanted[r][c] += a[r][i] * b[i][c];
            }
        sg_counters counters;
        multiply(&m, k, &counters);
        assert_int_equal(counters.mma_flops, 2 * 16 * 8 * k->k);
        assert_int_equal(counters.instructions[SG_K_MMA], 1);
        for (int r = 0; r < 16; r++)
            for (int c = 0; c < 8; c++) {
                const uint32_t d =
                    is_integer(k) ? (uint32_t)wanted[r][c] : bits_of((float)wanted[r][c]);
                if (m.d[r][c] != d)
                    fail_msg("%s: row %d, column %d: %#x, not %#x", k->name, r, c, m.d[r][c], d);
            }
    }
}

/* Every element of A at every element of B: one product alone in each run of k. */
static void each_element(void **state) {
    (void)state;
    for (int n = 0; n < KINDS; n++) {
        const kind *k = &kinds[n];
        for (int i = 0; i < k->k; i++) {
            matrices m = {0};
            for (int r = 0; r < 16; r++)
                m.a[r][i] = integer_bits(k->of, r + 1);
            for (int c = 0; c < 8; c++)
                m.b[i][c] = integer_bits(k->of, c + 3);
            multiply(&m, k, NULL);
            for (int r = 0; r < 16; r++)
                for (int c = 0; c < 8; c++) {
                    const int d = (r + 1) * (c + 3);
                    assert_int_equal(m.d[r][c], is_integer(k) ? (uint32_t)d : bits_of((float)d));
                }
        }
    }
}

/* One product and C: bits of A's, B's and C's element, and of D's. */
static void special(void **state) {
    (void)state;
    static const struct {
        element of;
        uint32_t a, b, c, d; /* d of 7fffffff: any NaN */
    } rows[] = {
        {BF16, 0x0001, 0x4480, 0, 0x02000000},          /* 2^-133 * 2^10 = 2^-123 */
        {BF16, 0x807f, 0x3f80, 0, 0x807f0000},          /* a subnormal stays what it is */
        {BF16, 0x0380, 0x3a80, 0, 0x00080000},          /* 2^-120 * 2^-10 = 2^-130 */
        {BF16, 0x7f80, 0x3f80, 0x3f800000, 0x7f800000}, /* infinity */
        {BF16, 0xff80, 0x3f80, 0x3f800000, 0xff800000},
        {BF16, 0x7f80, 0x3f80, 0xff800000, 0x7fffffff}, /* infinity - infinity */
        {BF16, 0x7f80, 0x0000, 0, 0x7fffffff},          /* infinity * 0 */
        {BF16, 0x7fc0, 0x3f80, 0, 0x7fffffff},
        {BF16, 0x3f80, 0x3f80, 0x7fc00000, 0x7fffffff},
        {BF16, 0x7f7f, 0x7f7f, 0, 0x7f800000}, /* too large */
        {F16, 0x0001, 0x0001, 0, 0x27800000},  /* 2^-24 squared: 2^-48 */
        {F16, 0x83ff, 0x3c00, 0, 0xb87fc000},  /* the largest subnormal, negative */
        {F16, 0x7bff, 0x7bff, 0, 0x4f7fc004},  /* 65,504 squared */
        {F16, 0x7c00, 0xbc00, 0, 0xff800000},
        {F16, 0x7e01, 0x3c00, 0, 0x7fffffff},
        {F16, 0x7c00, 0x0000, 0, 0x7fffffff},
        {TF32, 0x3f801fff, 0x40000000, 0, 0x40000000}, /* the low 13 bits do not count */
        {TF32, 0x3f802000, 0x3f802000, 0, 0x3f804008},
        {TF32, 0x7f800000, 0x3f800000, 0, 0x7f800000},
        {TF32, 0x7f800000, 0x00000000, 0, 0x7fffffff},
        {TF32, 0x00002000, 0x40000000, 0, 0x00004000}, /* subnormal */
        {S8, 0x80, 0x80, 0, 16384},
        {S8, 0x80, 0x7f, 5, (uint32_t)-16251},
        {S8, 1, 1, 0x7fffffff, 0x80000000}, /* goes round */
        {U8, 0xff, 0xff, 0, 65025},
        {U8, 0xff, 1, 0x7fffffff, 0x800000fe},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int n = 0; n < KINDS; n++) {
            if (kinds[n].of != rows[i].of) continue;
            const int r = 11, c = 5, k = kinds[n].k - 2;
            matrices m = {0};
            m.a[r][k] = rows[i].a;
            m.b[k][c] = rows[i].b;
            m.c[r][c] = rows[i].c;
            multiply(&m, &kinds[n], NULL);
            const bool right = rows[i].d == 0x7fffffff && !is_integer(&kinds[n])
                                   ? isnan(float_of(m.d[r][c]))
                                   : m.d[r][c] == rows[i].d;
            if (!right)
                fail_msg("%s: %#x * %#x + %#x is %#x, not %#x", kinds[n].name, rows[i].a, rows[i].b,
                         rows[i].c, m.d[r][c], rows[i].d);
            for (int x = 0; x < 16; x++) /* nobody else's */
                for (int y = 0; y < 8; y++)
                    if (x != r && y != c) assert_int_equal(m.d[x][y], 0);
        }
}

static void refused(void **state) {
    (void)state;
#define D "{%f1, %f2, %f3, %f4}, "
#define DI "{%r11, %r12, %r13, %r14}, "
#define A2 "{%r1, %r2}, "
#define A4 "{%r1, %r2, %r3, %r4}, "
#define B1 "{%r5}, "
#define B2 "{%r5, %r6}, "
    static const char *const bad[] = {
        "mma.sync.aligned.m16n8k16.row.row.f32.bf16.bf16.f32 " D A4 B2 "{%f1, %f2, %f3, %f4};",
        "mma.sync.m16n8k16.row.col.f32.bf16.bf16.f32 " D A4 B2 "{%f1, %f2, %f3, %f4};",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.f16.f32 " D A4 B2 "{%f1, %f2, %f3, %f4};",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 " D A2 B2 "{%f1, %f2, %f3, %f4};",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 " D A4 B1 "{%f1, %f2, %f3, %f4};",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 " D A4 B2 "{%f1, %f2};",
        "mma.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 " D A4 B2 "{%f1, %f2, %f3, %f4};",
        "mma.sync.aligned.m16n8k16.row.col.f32.tf32.tf32.f32 " D A4 B2 "{%f1, %f2, %f3, %f4};",
        "mma.sync.aligned.m16n8k8.row.col.s32.s8.s8.s32 " DI A2 B1 "{%r7, %r8, %r9, %r10};",
        "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32 " DI A4 B2
        "{%r7, %r8, %r9, %r10};",
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 " DI A4 B2 "{%r7, %r8, %r9, %r10};",
        "mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 " D A2 B1 "{%f1, %f2, %f3, %f4};",
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
#undef D
#undef DI
#undef A2
#undef A4
#undef B1
#undef B2
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {cmocka_unit_test(exact), cmocka_unit_test(each_element),
                                       cmocka_unit_test(special), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
