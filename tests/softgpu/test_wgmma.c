/* wgmma: every layout of its operands against plain sums, and planted bugs with their lines. */
#include <stdlib.h>

#include "tests/softgpu/hopper_case.h"

#define M 64
#define K 16
#define MOST 256
#define B_AT 16384 /* of B in the tile, and in array a */
#define TILE_BYTES 49152

/* ---- Operands in shared memory. */

typedef struct layout {
    bool mn_major;
    int swizzle;         /* 0: none, 1 to 3: rows of 32, 64, 128 bytes */
    int leading, stride; /* bytes */
} layout;

/* The documents' canonical layouts: element k of line m (a row of A, a column of B). */
static int offset_of(const layout *y, int m, int k) {
    const int wide = 16 << y->swizzle; /* bytes of a row of the swizzle */
    int at;
    if (!y->mn_major && !y->swizzle)
        at = m % 8 * 16 + m / 8 * y->stride + k / 8 * y->leading + k % 8 * 2;
    else if (!y->mn_major)
        at = m % 8 * wide + m / 8 * y->stride + k * 2;
    else if (!y->swizzle)
        at = k % 8 * 16 + k / 8 * y->leading + m / 8 * y->stride + m % 8 * 2;
    else
        at = k % 8 * wide + k / 8 * y->stride + 2 * m / wide * y->leading + 2 * m % wide;
    return at ^ (at / 128 % (1 << y->swizzle) * 16);
}

static long long descriptor(const layout *y, int start) {
    static const unsigned long long mode[4] = {0, 3, 2, 1};
    return (long long)((unsigned)start >> 4 | (unsigned long long)y->leading >> 4 << 16 |
                       (unsigned long long)y->stride >> 4 << 32 | mode[y->swizzle] << 62);
}

/* One that has room for `lines`. */
static layout make_layout(bool mn_major, int swizzle, int lines) {
    layout y = {.mn_major = mn_major, .swizzle = swizzle};
    const int unit = 128 << swizzle; /* 8 rows */
    if (!mn_major) {
        y.stride = unit;
        y.leading = swizzle ? 16 : lines / 8 * unit;
    } else if (swizzle) {
        y.stride = unit;
        y.leading = 2 * unit;
    } else {
        y.leading = 128;
        y.stride = 256;
    }
    return y;
}

static float a_value(int m, int k) {
    return (float)((m * 5 + k * 3 + m / 7) % 11 - 5);
}
static float b_value(int n, int k) {
    return (float)((n * 7 + k * 2 + n / 5) % 9 - 4);
}

static uint16_t bits_of(float value, bool f16) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (!f16) return (uint16_t)(bits >> 16);
    if (!(bits << 1)) return 0;
    return (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)((bits >> 23 & 255) - 112) << 10 |
           (uint16_t)(bits >> 13 & 0x3ff);
}

static unsigned char image[TILE_BYTES];

static void fill(const layout *a, const layout *b, int n, bool f16) {
    memset(image, 0x7f, sizeof image); /* NaN, should it be read */
    for (int k = 0; k < K; k++) {
        for (int m = 0; m < M; m++) {
            const uint16_t bits = bits_of(a_value(m, k), f16);
            memcpy(image + offset_of(a, m, k), &bits, 2);
        }
        for (int j = 0; j < n; j++) {
            const uint16_t bits = bits_of(b_value(j, k), f16);
            memcpy(image + B_AT + offset_of(b, j, k), &bits, 2);
        }
    }
}

/* ---- The kernel: the image into shared memory, one product, D into b. */

#define DECLARE                                                                    \
    ".shared .align 1024 .b8 tile[49152];\n.reg .f32 %w<128>;\n.reg .b32 %x<4>;\n" \
    ".reg .b64 %da, %db;\n.reg .pred %q;\n"
#define COPY_IN                                                                    \
    "mov.u32 %r8, %t4;\nmov.u32 %r9, tile;\nin: cvt.u64.u32 %d9, %r8;\n"           \
    "add.s64 %d9, %a, %d9;\nld.global.u32 %r10, [%d9];\nadd.s32 %r11, %r9, %r8;\n" \
    "@1;st.shared.u32 [%r11], %r10;\nadd.s32 %r8, %r8, 512;\n"                     \
    "setp.lt.u32 %p9, %r8, 49152;\n@%p9 bra in;\n"
#define PROXY_FENCE "fence.proxy.async.shared::cta;\n"
#define FENCE "wgmma.fence.sync.aligned;\n"
#define COMMIT "wgmma.commit_group.sync.aligned;\n"
#define WAIT "wgmma.wait_group.sync.aligned 0;\n"
#define DESCRIPTORS "mov.u64 %da, $0;\nmov.u64 %db, $1;\nsetp.ne.s32 %q, $2, 0;\n"

static char list[MOST * 8], start_sums[MOST * 32], copy_out[MOST * 48];

/* The texts that depend on N. */
static void write_registers(int n) {
    char *l = list, *s = start_sums, *c = copy_out;
    c += sprintf(c,
                 "mul.lo.s32 %%r12, %%tid, %d;\ncvt.u64.u32 %%d12, %%r12;\n"
                 "add.s64 %%d12, %%b, %%d12;\n@4;",
                 2 * n);
    for (int i = 0; i < n / 2; i++) {
        l += sprintf(l, "%s%%w%d", i ? ", " : "", i);
        s += sprintf(s, "mov.f32 %%w%d, 0f42C80000;\n", i); /* 100 */
        c += sprintf(c, "st.global.f32 [%%d12+%d], %%w%d;\n", 4 * i, i);
    }
}

static const char *product(int n, const char *types, const char *a, const char *rest) {
    static char text[8192];
    snprintf(text, sizeof text, "@3;wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s {%s}, %s, %s;\n",
             n, types, list, a, rest);
    return text;
}

static char body[HOPPER_TEXT / 2];
static const char *join(const char *const *parts) {
    body[0] = 0;
    for (; *parts; parts++)
        strncat(body, *parts, sizeof body - strlen(body) - 1);
    return body;
}
#define JOIN(...) join((const char *const[]){__VA_ARGS__, NULL})

static void check(const hopper *h, int n, float start, float scale) {
    const float *b = (const float *)(const void *)sg_memory_host(h->one.b, HOPPER_BYTES, false);
    for (int thread = 0; thread < 128; thread++)
        for (int i = 0; i < n / 2; i++) {
            const int row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
            const int col = i / 4 * 8 + thread % 4 * 2 + i % 2;
            float sum = 0;
            for (int k = 0; k < K; k++)
                sum += a_value(row, k) * b_value(col, k);
            if (b[thread * n / 2 + i] != start + scale * sum)
                fail_msg("row %d, column %d: %g, not %g", row, col, (double)b[thread * n / 2 + i],
                         (double)(start + scale * sum));
        }
}

static void run(const char *text, int n, float start, float scale) {
    const hopper h = hopper_run(DECLARE, text, 128, 0, image, sizeof image, NULL, 0, 7);
    if (!h.fine) {
        sg_case_print();
        fail_msg("reports");
    }
    check(&h, n, start, scale);
    hopper_end(&h);
}

static void every_layout(void **state) {
    (void)state;
    for (int a_mn = 0; a_mn < 2; a_mn++)
        for (int b_mn = 0; b_mn < 2; b_mn++)
            for (int swizzle = 0; swizzle < 4; swizzle++) {
                const int n = swizzle == 1 ? 48 : 64;
                const layout a = make_layout(a_mn, swizzle, M);
                const layout b = make_layout(b_mn, 3 - swizzle, b_mn && swizzle == 0 ? 64 : n);
                char rest[40];
                fill(&a, &b, n, false);
                write_registers(n);
                snprintf(rest, sizeof rest, "%%db, %%q, 1, 1, %d, %d", a_mn, b_mn);
                const char *text =
                    JOIN(COPY_IN PROXY_FENCE "bar.sync 0;\n" DESCRIPTORS, start_sums, FENCE,
                         product(n, "bf16.bf16", "%da", rest), COMMIT WAIT, copy_out);
                run(hopper_numbers(text,
                                   (const long long[]){descriptor(&a, 0), descriptor(&b, B_AT), 1}),
                    n, 100, 1);
            }
}

static void shapes_and_scales(void **state) {
    (void)state;
    static const int sizes[] = {8, 24, 128, 256};
    for (int i = 0; i < 4; i++) {
        const int n = sizes[i];
        const layout a = make_layout(false, 3, M), b = make_layout(false, 0, n);
        fill(&a, &b, n, i & 1);
        write_registers(n);
        const char *text = JOIN(COPY_IN PROXY_FENCE "bar.sync 0;\n" DESCRIPTORS, start_sums, FENCE,
                                product(n, i & 1 ? "f16.f16" : "bf16.bf16", "%da",
                                        i & 2 ? "%db, %q, -1, 1, 0, 0" : "%db, %q, 1, -1, 0, 0"),
                                COMMIT WAIT, copy_out);
        run(hopper_numbers(text,
                           (const long long[]){descriptor(&a, 0), descriptor(&b, B_AT), i == 2}),
            n, i == 2 ? 100 : 0, -1);
    }
}

/* A from registers: each thread loads the pairs that the layout gives it. */
#define A_PAIRS                                                                 \
    "and.b32 %r20, %tid, 31;\nshr.u32 %r21, %r20, 2;\nshr.u32 %r22, %tid, 5;\n" \
    "shl.b32 %r22, %r22, 4;\nadd.s32 %r21, %r21, %r22;\n" /* row */             \
    "and.b32 %r23, %r20, 3;\nshl.b32 %r23, %r23, 2;\nmov.u32 %r24, tile;\n"     \
    "mad.lo.s32 %r24, %r21, 16, %r24;\nadd.s32 %r24, %r24, %r23;\n"             \
    "@2;ld.shared.u32 %x0, [%r24];\nld.shared.u32 %x1, [%r24+128];\n"           \
    "ld.shared.u32 %x2, [%r24+1024];\nld.shared.u32 %x3, [%r24+1152];\n"
#define A_REGISTERS "{%x0, %x1, %x2, %x3}"

static layout a_plain, b_plain;
static const char *with_registers(const char *fence, const char *after) {
    const int n = 64;
    a_plain = make_layout(false, 0, M);
    b_plain = make_layout(true, 3, n);
    fill(&a_plain, &b_plain, n, false);
    write_registers(n);
    const char *text = JOIN(COPY_IN PROXY_FENCE "bar.sync 0;\n" DESCRIPTORS, start_sums, A_PAIRS,
                            fence, product(n, "bf16.bf16", A_REGISTERS, "%db, 1, 1, 1, 1"), COMMIT,
                            after, WAIT, copy_out);
    return hopper_numbers(text, (const long long[]){0, descriptor(&b_plain, B_AT), 1});
}

static void a_in_registers(void **state) {
    (void)state;
    run(with_registers(FENCE, ""), 64, 100, 1);
    char text[HOPPER_TEXT / 2];
    snprintf(text, sizeof text, "%s", with_registers("", ""));
    hopper_wrong(DECLARE, text, 128, SG_R_PROXY, 3);
    snprintf(text, sizeof text, "%s", with_registers(FENCE, "@5;mov.u32 %x2, 0;\n"));
    hopper_wrong(DECLARE, text, 128, SG_R_ASYNC_EARLY, 5);
    /* Reading A's registers meanwhile is fine. */
    run(with_registers(FENCE, "@5;add.s32 %r25, %x2, 1;\n"), 64, 100, 1);
}

/* ---- Planted bugs, with both operands in shared memory. */

static const char *planted(const char *proxy_fence, const char *barrier, const char *fence,
                           const char *after_product, const char *wait, const char *after_wait) {
    static char text[HOPPER_TEXT / 2];
    const int n = 32;
    a_plain = make_layout(false, 3, M);
    b_plain = make_layout(false, 3, n);
    fill(&a_plain, &b_plain, n, false);
    write_registers(n);
    const char *joined =
        JOIN(COPY_IN, proxy_fence, barrier, DESCRIPTORS, start_sums, fence,
             product(n, "bf16.bf16", "%da", "%db, %q, 1, 1, 0, 0"), after_product, COMMIT, wait,
             after_wait, copy_out, "wgmma.wait_group.sync.aligned 0;\n");
    snprintf(text, sizeof text, "%s",
             hopper_numbers(joined, (const long long[]){descriptor(&a_plain, 0),
                                                        descriptor(&b_plain, B_AT), 1}));
    return text;
}
#define BARRIER "bar.sync 0;\n"

static void planted_bugs(void **state) {
    (void)state;
    hopper_right(DECLARE, planted(PROXY_FENCE, BARRIER, FENCE, "", WAIT, ""), 128, 0, NULL);
    hopper_wrong(DECLARE, planted("", BARRIER, FENCE, "", WAIT, ""), 128, SG_R_PROXY, 3);
    hopper_right(DECLARE, planted("", BARRIER PROXY_FENCE BARRIER, FENCE, "", WAIT, ""), 128, 0,
                 NULL);
    hopper_wrong(DECLARE, planted(PROXY_FENCE, "", FENCE, "", WAIT, ""), 128, SG_R_RACE,
                 EITHER(3, 1));
    hopper_wrong(DECLARE, planted(PROXY_FENCE, BARRIER, "", "", WAIT, ""), 128, SG_R_PROXY, 3);
    hopper_wrong(DECLARE, planted(PROXY_FENCE, BARRIER, FENCE, "", "", ""), 128, SG_R_ASYNC_EARLY,
                 4);
    hopper_wrong(DECLARE,
                 planted(PROXY_FENCE, BARRIER, FENCE, "", "wgmma.wait_group.sync.aligned 1;\n", ""),
                 128, SG_R_ASYNC_EARLY, 4);
    hopper_wrong(
        DECLARE,
        planted(PROXY_FENCE, BARRIER, FENCE, "@5;add.f32 %w3, %w3, 0f00000000;\n", WAIT, ""), 128,
        SG_R_ASYNC_EARLY, 5);
    hopper_wrong(DECLARE,
                 planted(PROXY_FENCE, BARRIER, FENCE, "@5;cvt.rn.f32.s32 %w3, %tid;\n", WAIT, ""),
                 128, SG_R_ASYNC_EARLY, 5);
    /* Operands that are overwritten before the wait, or after it by a warp that another one told.
     */
#define OVERWRITE "mov.u32 %r9, tile;\nadd.s32 %r9, %r9, %t4;\n@5;st.shared.u32 [%r9], 0;\n"
    hopper_wrong(DECLARE, planted(PROXY_FENCE, BARRIER, FENCE, OVERWRITE, WAIT, ""), 128, SG_R_RACE,
                 EITHER(5, 3));
    hopper_wrong(DECLARE, planted(PROXY_FENCE, BARRIER, FENCE, BARRIER OVERWRITE, WAIT, ""), 128,
                 SG_R_RACE, 5);
    hopper_right(DECLARE, planted(PROXY_FENCE, BARRIER, FENCE, "", WAIT, BARRIER OVERWRITE), 128, 0,
                 NULL);
    /* Warps that differ. */
    hopper_wrong(DECLARE,
                 planted(PROXY_FENCE, BARRIER "setp.lt.u32 %p8, %tid, 32;\n@%p8 bra skip;\n", FENCE,
                         "skip:\n", WAIT, ""),
                 128, SG_R_DEADLOCK, 3);
    hopper_wrong(DECLARE, planted(PROXY_FENCE, BARRIER, FENCE, "", WAIT, ""), 96, SG_R_MATRIX, 3);
}

static void descriptors_are_checked(void **state) {
    (void)state;
#define WITH(change) planted(PROXY_FENCE, BARRIER, change FENCE, "", WAIT, "")
    hopper_wrong(DECLARE,
                 WITH("shr.u32 %r20, %tid, 5;\nmul.wide.u32 %d20, %r20, 64;\n"
                      "add.s64 %db, %db, %d20;\n"),
                 128, SG_R_MATRIX, 3);
    hopper_wrong(DECLARE,
                 WITH("and.b32 %r20, %tid, 1;\nmul.wide.u32 %d20, %r20, 64;\n"
                      "add.s64 %db, %db, %d20;\n"),
                 128, SG_R_MATRIX, 3);
    hopper_wrong(DECLARE, WITH("add.s64 %db, %db, 8;\n"), 128, SG_R_MATRIX, 3);
    hopper_wrong(DECLARE, WITH("add.s64 %db, %db, 2048;\n"), 128, SG_R_BOUNDS, 3);
    hopper_wrong(DECLARE, WITH("or.b64 %db, %db, 562949953421312;\n"), 128, SG_R_MATRIX, 3);
    hopper_wrong(DECLARE, WITH("setp.lt.u32 %q, %lane, 5;\n"), 128, SG_R_MATRIX, 3);
}

/* Bytes that nobody wrote taint what is computed from them, and only that. */
static void unwritten_bytes(void **state) {
    (void)state;
    const char *text = planted(PROXY_FENCE, BARRIER, FENCE, "", WAIT, "");
    char *edited = strdup(text), *limit = strstr(edited, "49152;");
    assert_non_null(edited);
    assert_non_null(limit);
    for (int i = 0; i < 5; i++)
        limit[i] = "4096 "[i];
    /* What of b is unwritten: every word, since none of B was copied. */
    const hopper h = hopper_run(DECLARE, edited, 128, 0, image, sizeof image, NULL, 0, 1);
    free(edited);
    sg_case_print();
    assert_true(h.fine);
    assert_int_equal(sg_memory_unwritten(h.one.b, 128 * 16 * 4), 128 * 16 * 4);
    hopper_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout),
        cmocka_unit_test(shapes_and_scales),
        cmocka_unit_test(a_in_registers),
        cmocka_unit_test(planted_bugs),
        cmocka_unit_test(descriptors_are_checked),
        cmocka_unit_test(unwritten_bytes),
    };
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
