/* The core: status, arena, tensor, random numbers. */
#include "tests/kernels/harness_op.h"

#include <math.h>
#include <string.h>

#include "kernels/core/arena.h"
#include "kernels/core/rng.h"

static motet_status fails(int depth) {
    if (depth > 0) MOTET_TRY(fails(depth - 1));
    return MOTET_FAIL(MOTET_E_DATA, "byte %d is wrong", 7);
}

static void test_status(void **state) {
    (void)state;
    op_fails(fails(2), MOTET_E_DATA, "byte 7 is wrong");
    assert_non_null(strstr(motet_error_where(), "test_core.c:"));
    assert_int_equal(motet_fail_prefix(MOTET_E_DATA, "file %s", "a.mid"), MOTET_E_DATA);
    assert_string_equal(motet_error(), "file a.mid: byte 7 is wrong");
    /* The old sentence may be an argument of the new one. */
    motet_status status = MOTET_FAIL(MOTET_E_IO, "again: %s", motet_error());
    assert_int_equal(status, MOTET_E_IO);
    assert_string_equal(motet_error(), "again: file a.mid: byte 7 is wrong");
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    status = MOTET_FAIL(MOTET_E_USAGE, "%s", text);
    assert_int_equal(status, MOTET_E_USAGE);
    motet_fail_prefix(MOTET_E_USAGE, "%s", text);
    assert_true(strlen(motet_error()) < 1024);
    const int codes[] = {0, 2, 3, 4, 5, 6};
    for (int i = 0; i < 6; i++)
        assert_int_equal(motet_exit_code((motet_status)i), codes[i]);
}

static void test_arena(void **state) {
    (void)state;
    motet_arena arena = {0};
    unsigned char *bytes[2];
    motet_tensor t[2];
    for (int pass = 0; pass < 2; pass++) {
        bytes[pass] = motet_arena_take(&arena, 3, 1);
        t[pass] = motet_arena_tensor(&arena, MOTET_BF16, 2, (int64_t[]){5, 7});
        if (pass == 0) op_ok(motet_arena_bind(&arena));
    }
    assert_null(bytes[0]);
    assert_null(t[0].data);
    assert_non_null(bytes[1]);
    assert_int_equal((uintptr_t)bytes[1] % MOTET_ARENA_ALIGN, 0);
    assert_ptr_equal(t[1].data, bytes[1] + MOTET_ARENA_ALIGN);
    assert_int_equal(arena.size, 3 * MOTET_ARENA_ALIGN); /* 3 bytes, then 70 */
    for (int i = 0; i < 35; i++)
        assert_true(op_get(t[1], i) == 0);
    assert_null(motet_arena_take(&arena, 1 << 20, 1)); /* more than was counted */
    assert_true(arena.overflow);
    motet_arena_free(&arena);
    assert_null(arena.base);
    motet_arena_free(NULL);
}

static void test_arena_overflow(void **state) {
    (void)state;
    motet_arena product = {0}, sum = {0}, dims = {0}, negative = {0};
    motet_arena_take(&product, INT64_MAX, 8);
    op_fails(motet_arena_bind(&product), MOTET_E_MEMORY, "overflow");
    for (int i = 0; i < 3; i++)
        motet_arena_take(&sum, INT64_MAX, 1);
    op_fails(motet_arena_bind(&sum), MOTET_E_MEMORY, "overflow");
    motet_arena_tensor(&dims, MOTET_F32, 3, (int64_t[]){1 << 30, 1 << 30, 1 << 30});
    op_fails(motet_arena_bind(&dims), MOTET_E_MEMORY, "overflow");
    motet_arena_take(&negative, -1, 4);
    op_fails(motet_arena_bind(&negative), MOTET_E_MEMORY, "overflow");
}

static void test_tensor(void **state) {
    (void)state;
    motet_tensor t = op_matrix(MOTET_I8, 5, 3);
    op_fill_integers(t, 1, -127, 127);
    motet_tensor rows = motet_tensor_rows(t, 2, 2);
    assert_int_equal(motet_tensor_count(rows), 6);
    assert_ptr_equal(rows.scale, t.scale + 2);
    for (int i = 0; i < 6; i++)
        assert_true(op_get(rows, i) == op_get(t, 6 + i));
    assert_string_equal(motet_dtype_name(MOTET_BF16), "bf16");
    /* Round to nearest, ties to even; NaN and infinity survive. */
    assert_int_equal(motet_bf16_from_f32(1.0f), 0x3f80);
    assert_int_equal(motet_bf16_from_f32(1.0f + 0x1p-8f), 0x3f80);
    assert_int_equal(motet_bf16_from_f32(1.0f + 0x1p-7f + 0x1p-8f), 0x3f82);
    assert_int_equal(motet_bf16_from_f32(1.0f + 0x1p-8f + 0x1p-20f), 0x3f81);
    assert_int_equal(motet_bf16_from_f32(-INFINITY), 0xff80);
    assert_int_equal(motet_bf16_from_f32(3.4e38f), 0x7f80);
    union {
        uint32_t u;
        float f;
    } small_nan = {0x7f800001u};
    assert_true(isnan(motet_f32_from_bf16(motet_bf16_from_f32(small_nan.f))));
}

/* The known answers that Random123 publishes for philox4x32-10. */
static void test_philox(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                 {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                  {0xffffffff, 0xffffffff},
                  {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
                 {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                  {0xa4093822, 0x299f31d0},
                  {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    for (int i = 0; i < 3; i++) {
        const uint32_t *c = known[i].counter, *k = known[i].key;
        uint32_t got[4];
        motet_philox((uint64_t)k[1] << 32 | k[0], (uint64_t)c[3] << 32 | c[2],
                     (uint64_t)c[1] << 32 | c[0], got);
        assert_memory_equal(got, known[i].want, sizeof got);
    }
    motet_rng rng = motet_rng_make(0, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(motet_rng_u32(&rng), known[0].want[i]);
}

static void test_uniform(void **state) {
    (void)state;
    assert_true(motet_uniform_from_u32(0) == 0);
    assert_true(motet_uniform_from_u32(0xffffffffu) == 1.0f - 0x1p-24f);
    enum { DRAWS = 60000, BINS = 60 };
    motet_rng rng = motet_rng_make(42, 7);
    int uniform[BINS] = {0}, below[BINS] = {0};
    double mean = 0, square = 0;
    for (int i = 0; i < DRAWS; i++) {
        float u = motet_rng_uniform(&rng);
        assert_true(u >= 0 && u < 1 && u * 0x1p24f == floorf(u * 0x1p24f));
        uniform[(int)(u * BINS)]++;
        uint32_t k = motet_rng_below(&rng, BINS);
        assert_true(k < BINS);
        below[k]++;
        double normal = (double)motet_rng_normal(&rng);
        mean += normal / DRAWS;
        square += normal * normal / DRAWS;
    }
    double chi_uniform = 0, chi_below = 0, expected = (double)DRAWS / BINS;
    for (int i = 0; i < BINS; i++) {
        chi_uniform += (uniform[i] - expected) * (uniform[i] - expected) / expected;
        chi_below += (below[i] - expected) * (below[i] - expected) / expected;
    }
    assert_true(chi_uniform < 100 && chi_below < 100); /* p < 0.001 at 59 degrees of freedom */
    assert_true(fabs(mean) < 0.02 && fabs(square - 1) < 0.03);
    assert_int_equal(motet_rng_below(&rng, 1), 0);
    motet_rng other = motet_rng_make(42, 8), same = motet_rng_make(42, 8);
    assert_int_equal(motet_rng_u32(&other), motet_rng_u32(&same));
    assert_int_not_equal(motet_rng_u32(&other), motet_rng_u32(&rng));
}

int main(void) {
    const struct CMUnitTest tests[] = {op_test(test_status),         op_test(test_arena),
                                       op_test(test_arena_overflow), op_test(test_tensor),
                                       op_test(test_philox),         op_test(test_uniform)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
