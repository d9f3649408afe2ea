/* Floating point: known results, directed roundings against the processor's own, 16-bit formats
 * against exhaustive definitions, approximate functions against libm in double. */
#include <fenv.h>
#include <float.h>
#include <math.h>

#include "tests/softgpu/float.h"
#include "tests/softgpu/instruction_case.h"

#define NAN32 0x7fffffffu
#define INF32 0x7f800000u
#define F(x) sg_bits32(x)
#define D(x) sg_bits64(x)

static void known(void **state) {
    (void)state;
    const row rows[] = {
        {"add.f32 %f1, %f2, %f3;", 'f', F(1.5f), F(2.25f), 0, F(3.75f)},
        {"add.f32 %f1, %f2, %f3;", 'f', INF32, INF32 | 1u << 31, 0, NAN32},
        {"add.f32 %f1, %f2, %f3;", 'f', 0xffc12345, F(1), 0, NAN32},
        {"add.f32 %f1, %f2, %f3;", 'f', 1, 1, 0, 2},
        {"add.ftz.f32 %f1, %f2, %f3;", 'f', 1, 0x80000001, 0, 0},
        {"add.ftz.f32 %f1, %f2, %f3;", 'f', 0x00800001, 0x80800000, 0, 0},
        {"add.sat.f32 %f1, %f2, %f3;", 'f', F(1), F(1), 0, F(1)},
        {"add.sat.f32 %f1, %f2, %f3;", 'f', F(-1), F(0.5f), 0, 0},
        {"sub.f32 %f1, %f2, %f3;", 'f', F(1), F(3), 0, F(-2)},
        {"mul.f32 %f1, %f2, %f3;", 'f', F(3), F(-0.5f), 0, F(-1.5f)},
        {"mul.rz.f32 %f1, %f2, %f3;", 'f', F(FLT_MAX), F(2), 0, F(FLT_MAX)},
        {"mul.rp.f32 %f1, %f2, %f3;", 'f', F(FLT_MAX), F(2), 0, INF32},
        {"mul.rm.f32 %f1, %f2, %f3;", 'f', F(-FLT_MAX), F(2), 0, INF32 | 1u << 31},
        /* (1 + e)(1 - e) - 1 is -e^2 only if the product is not rounded. */
        {"fma.rn.f32 %f1, %f2, %f3, %f4;", 'f', F(1 + 0x1p-12f), F(1 - 0x1p-12f), F(-1),
         F(-0x1p-24f)},
        {"fma.rn.f64 %g1, %g2, %g3, %g4;", 'g', D(3), D(4), D(5), D(17)},
        {"add.f64 %g1, %g2, %g3;", 'g', D(0.1), D(0.2), 0, D(0.1 + 0.2)},
        {"mul.rn.f64 %g1, %g2, %g3;", 'g', D(0.1), D(3), 0, D(0.1 * 3)},
        {"div.rn.f64 %g1, %g2, %g3;", 'g', D(1), D(3), 0, D(1.0 / 3)},
        {"rcp.rn.f64 %g1, %g2;", 'g', D(3), 0, 0, D(1.0 / 3)},
        {"sqrt.rn.f64 %g1, %g2;", 'g', D(2), 0, 0, D(sqrt(2))},
        {"min.f32 %f1, %f2, %f3;", 'f', F(1), F(2), 0, F(1)},
        {"min.f32 %f1, %f2, %f3;", 'f', NAN32, F(2), 0, F(2)},
        {"max.f32 %f1, %f2, %f3;", 'f', F(2), 0x7fc00000, 0, F(2)},
        {"max.f32 %f1, %f2, %f3;", 'f', 0x7fc00000, 0xffc00000, 0, NAN32},
        {"max.NaN.f32 %f1, %f2, %f3;", 'f', F(2), 0x7fc00000, 0, NAN32},
        {"min.f32 %f1, %f2, %f3;", 'f', 0, 1u << 31, 0, 1u << 31},
        {"max.f32 %f1, %f2, %f3;", 'f', 1u << 31, 0, 0, 0},
        {"abs.f32 %f1, %f2;", 'f', F(-2), 0, 0, F(2)},
        {"neg.f32 %f1, %f2;", 'f', F(-2), 0, 0, F(2)},
        {"abs.ftz.f32 %f1, %f2;", 'f', 0x80000001, 0, 0, 0},
        {"copysign.f32 %f1, %f2, %f3;", 'f', F(-1), F(5), 0, F(-5)},
        {"div.rn.f32 %f1, %f2, %f3;", 'f', F(1), F(3), 0, F(1.0f / 3)},
        {"div.full.f32 %f1, %f2, %f3;", 'f', F(1), F(3), 0, F(1.0f / 3)},
        {"div.rz.f32 %f1, %f2, %f3;", 'f', F(2), F(3), 0, F(0x1.555554p-1f)},
        {"rcp.rn.f32 %f1, %f2;", 'f', F(4), 0, 0, F(0.25f)},
        {"rcp.approx.ftz.f32 %f1, %f2;", 'f', 1, 0, 0, INF32},
        {"sqrt.rn.f32 %f1, %f2;", 'f', F(2), 0, 0, F(0x1.6a09e6p0f)},
        {"sqrt.rp.f32 %f1, %f2;", 'f', F(2), 0, 0, F(0x1.6a09e8p0f)},
        {"sqrt.rn.f32 %f1, %f2;", 'f', F(-2), 0, 0, NAN32},
        {"rsqrt.approx.f32 %f1, %f2;", 'f', F(4), 0, 0, F(0.5f)},
        {"rsqrt.approx.f32 %f1, %f2;", 'f', 0, 0, 0, INF32},
        {"ex2.approx.f32 %f1, %f2;", 'f', F(10), 0, 0, F(1024)},
        {"ex2.approx.f32 %f1, %f2;", 'f', F(-149), 0, 0, 1},
        {"ex2.approx.ftz.f32 %f1, %f2;", 'f', F(-149), 0, 0, 0},
        {"ex2.approx.f32 %f1, %f2;", 'f', F(128), 0, 0, INF32},
        {"ex2.approx.f32 %f1, %f2;", 'f', INF32 | 1u << 31, 0, 0, 0},
        {"ex2.approx.f32 %f1, %f2;", 'f', 0x7fc00000, 0, 0, NAN32},
        {"lg2.approx.f32 %f1, %f2;", 'f', F(0.125f), 0, 0, F(-3)},
        {"lg2.approx.f32 %f1, %f2;", 'f', 0, 0, 0, INF32 | 1u << 31},
        {"lg2.approx.f32 %f1, %f2;", 'f', F(-1), 0, 0, NAN32},
        {"lg2.approx.f32 %f1, %f2;", 'f', INF32, 0, 0, INF32},
        {"lg2.approx.f32 %f1, %f2;", 'f', 1, 0, 0, F(-149)},
        {"sin.approx.f32 %f1, %f2;", 'f', F(1), 0, 0, F(0x1.aed548p-1f)},
        {"tanh.approx.f32 %f1, %f2;", 'f', F(0), 0, 0, 0},
        {"fma.rn.bf16x2 %r1, %r2, %r3, %r4;", 'r', 0x3f804000, 0x40004040, 0x3f800000, 0x404040c0},
        {"fma.rn.f16 %h1, %h2, %h3, %h4;", 'h', 0x3c01, 0x3bfe, 0xbc00, 0x8010},
        {"fma.rn.relu.bf16 %h1, %h2, %h3, %h4;", 'h', 0xbf80, 0x3f80, 0, 0},
        {"add.f16x2 %r1, %r2, %r3;", 'r', 0x3c003c00, 0x3c004000, 0, 0x40004200},
        {"mul.f16 %h1, %h2, %h3;", 'h', 0x7bff, 0x4000, 0, 0x7c00},
        {"max.bf16x2 %r1, %r2, %r3;", 'r', 0xbf807fc0, 0x3f803f80, 0, 0x3f803f80},
        {"neg.bf16x2 %r1, %r2;", 'r', 0x3f80bf80, 0, 0, 0xbf803f80},
        {"ex2.approx.ftz.bf16 %h1, %h2;", 'h', 0x4040, 0, 0, 0x4100},
        {"cvt.rn.f32.s32 %f1, %r2;", 'f', (uint32_t)-3, 0, 0, F(-3)},
        {"cvt.rn.f32.u32 %f1, %r2;", 'f', ALL32, 0, 0, F(0x1p32f)},
        {"cvt.rz.f32.u32 %f1, %r2;", 'f', ALL32, 0, 0, F(0x1.fffffep31f)},
        {"cvt.rn.f32.u64 %f1, %d2;", 'f', 0x8000008000000001, 0, 0, F(0x1.000002p63f)},
        {"cvt.rn.f64.s64 %g1, %d2;", 'g', (uint64_t)-5, 0, 0, D(-5)},
        {"cvt.rzi.s32.f32 %r1, %f2;", 'r', F(-2.9f), 0, 0, (uint32_t)-2},
        {"cvt.rni.s32.f32 %r1, %f2;", 'r', F(2.5f), 0, 0, 2},
        {"cvt.rmi.s32.f32 %r1, %f2;", 'r', F(-2.1f), 0, 0, (uint32_t)-3},
        {"cvt.rpi.s32.f32 %r1, %f2;", 'r', F(2.1f), 0, 0, 3},
        {"cvt.rzi.s32.f32 %r1, %f2;", 'r', F(3e9f), 0, 0, 0x7fffffff},
        {"cvt.rzi.s32.f32 %r1, %f2;", 'r', F(-3e9f), 0, 0, 0x80000000},
        {"cvt.rzi.u32.f32 %r1, %f2;", 'r', F(3e9f), 0, 0, 3000000000u},
        {"cvt.rzi.u32.f32 %r1, %f2;", 'r', F(-1), 0, 0, 0},
        {"cvt.rzi.u32.f32 %r1, %f2;", 'r', F(5e9f), 0, 0, ALL32},
        {"cvt.rzi.s32.f32 %r1, %f2;", 'r', 0x7fc00000, 0, 0, 0},
        {"cvt.rzi.u64.f32 %d1, %f2;", 'd', F(1e20f), 0, 0, ALL64},
        {"cvt.rzi.u64.f32 %d1, %f2;", 'd', F(-1e20f), 0, 0, 0},
        {"cvt.rzi.u64.f32 %d1, %f2;", 'd', F(0x1.8p63f), 0, 0, 0xc000000000000000},
        {"cvt.rzi.u64.f32 %d1, %f2;", 'd', 0x7fc00000, 0, 0, 0x8000000000000000},
        {"cvt.rzi.s64.f64 %d1, %g2;", 'd', D(NAN), 0, 0, 0x8000000000000000},
        {"cvt.rzi.s64.f64 %d1, %g2;", 'd', D(-1e18), 0, 0, (uint64_t)-1000000000000000000},
        {"cvt.rni.f32.f32 %f1, %f2;", 'f', F(3.5f), 0, 0, F(4)},
        {"cvt.rzi.f32.f32 %f1, %f2;", 'f', F(-3.5f), 0, 0, F(-3)},
        {"cvt.rmi.f32.f32 %f1, %f2;", 'f', F(-3.5f), 0, 0, F(-4)},
        {"cvt.rpi.f64.f64 %g1, %g2;", 'g', D(3.2), 0, 0, D(4)},
        {"cvt.f64.f32 %g1, %f2;", 'g', F(0.1f), 0, 0, D((double)0.1f)},
        {"cvt.rn.f32.f64 %f1, %g2;", 'f', D(0.1), 0, 0, F(0.1f)},
        {"cvt.rz.f32.f64 %f1, %g2;", 'f', D(0.1), 0, 0, F(0x1.999998p-4f)},
        {"cvt.sat.f32.f32 %f1, %f2;", 'f', F(1.5f), 0, 0, F(1)},
        {"cvt.rn.bf16.f32 %h1, %f2;", 'h', 0x3f808000, 0, 0, 0x3f80},
        {"cvt.rn.bf16.f32 %h1, %f2;", 'h', 0x3f818000, 0, 0, 0x3f82},
        {"cvt.rz.bf16.f32 %h1, %f2;", 'h', 0x3f81ffff, 0, 0, 0x3f81},
        {"cvt.rn.bf16x2.f32 %r1, %f2, %f3;", 'r', F(1), F(2), 0, 0x3f804000},
        {"cvt.rn.relu.bf16x2.f32 %r1, %f2, %f3;", 'r', F(-1), F(2), 0, 0x00004000},
        {"cvt.rn.f16x2.f32 %r1, %f2, %f3;", 'r', F(1), F(2), 0, 0x3c004000},
        {"cvt.f32.bf16 %f1, %h2;", 'f', 0x4049, 0, 0, 0x40490000},
        {"cvt.f32.f16 %f1, %h2;", 'f', 0x0001, 0, 0, F(0x1p-24f)},
        {"cvt.rna.tf32.f32 %r1, %f2;", 'r', 0x3f801000, 0, 0, 0x3f802000},
        {"cvt.rn.f16.s32 %h1, %r2;", 'h', 2049, 0, 0, 0x6800},
    };
    CHECK(rows);
}

/* c: which bits of the input may be set, so that subnormal, huge and special numbers turn up. */
static uint32_t random_bits(int i) {
    const uint32_t bits = (uint32_t)next_random();
    switch (i % 4) {
    case 0:
        return bits;
    case 1: /* near 1 */
        return (bits & 0x83ffffffu) | 0x3c000000u;
    case 2: /* near the ends */
        return bits & 1u << 24 ? (bits & 0x807fffffu) | 0x7f000000u : bits & 0x80ffffffu;
    default: /* few digits: ties */
        return bits & 0xfff80000u;
    }
}

static bool same(uint32_t a, float wanted) {
    return a == (wanted != wanted ? NAN32 : sg_bits32(wanted));
}

__attribute__((noinline)) static float in_mode(int what, float x, float y, float z) {
    volatile float a = x, b = y, c = z, r;
    switch (what) {
    case 0:
        r = a + b;
        break;
    case 1:
        r = a * b;
        break;
    case 2:
        r = fmaf(a, b, c);
        break;
    case 3:
        r = a / b;
        break;
    default:
        r = sqrtf(a);
    }
    return r;
}

static void directed(void **state) {
    (void)state;
    static const char *const instructions[] = {
        "add.%s.f32 %%f1, %%f2, %%f3;", "mul.%s.f32 %%f1, %%f2, %%f3;",
        "fma.%s.f32 %%f1, %%f2, %%f3, %%f4;", "div.%s.f32 %%f1, %%f2, %%f3;",
        "sqrt.%s.f32 %%f1, %%f2;"};
    static const char *const names[] = {"rn", "rz", "rm", "rp"};
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    for (int what = 0; what < 5; what++)
        for (int m = 0; m < 4; m++)
            for (int round = 0; round < 8; round++) {
                char instruction[80];
                uint64_t in[32][3], out[32];
                snprintf(instruction, sizeof instruction, instructions[what], names[m]);
                for (int l = 0; l < 32; l++)
                    for (int i = 0; i < 3; i++)
                        in[l][i] = random_bits(round + (i == 2) * 3);
                sg_report_clear();
                assert_true(compute(out, instruction, 'f', false, (const uint64_t(*)[3])in));
                for (int l = 0; l < 32; l++) {
                    const float x = sg_as_f32((uint32_t)in[l][0]),
                                y = sg_as_f32((uint32_t)in[l][1]),
                                z = sg_as_f32((uint32_t)in[l][2]);
                    fesetround(modes[m]);
                    const float wanted = in_mode(what, x, y, z);
                    fesetround(FE_TONEAREST);
                    if (!same((uint32_t)out[l], wanted))
                        fail_msg("%s of %a, %a, %a: %a, not %a", instruction, (double)x, (double)y,
                                 (double)z, (double)sg_as_f32((uint32_t)out[l]), (double)wanted);
                }
            }
}

/* Widening: by the definition of the formats. */
static double value_of_half(uint32_t bits, int part_bits, int bias) {
    const uint32_t exponent = (bits & 0x7fff) >> part_bits, part = bits & ((1u << part_bits) - 1);
    const uint32_t most = 0x7fffu >> part_bits;
    double value = exponent == most ? (part ? NAN : INFINITY)
                   : exponent
                       ? ldexp(part + (double)(1 << part_bits), (int)exponent - bias - part_bits)
                       : ldexp(part, 1 - bias - part_bits);
    return bits & 0x8000 ? -value : value;
}

/* r is the nearest to x, the even one of two: no neighbour is nearer. */
static bool is_nearest(uint32_t r, double x, int part_bits, int bias) {
    if (x != x) return r == 0x7fff;
    if ((r >> 15) != (uint32_t) !!signbit(x)) return false;
    const uint32_t infinity = 0x7fffu >> part_bits << part_bits, magnitude = r & 0x7fff;
    if (magnitude > infinity) return false;
    /* What would be the next number after the greatest stands for infinity. */
    const double top = ldexp(2, bias);
    const double here = magnitude == infinity ? top : fabs(value_of_half(r, part_bits, bias));
    const double away = magnitude == infinity       ? INFINITY
                        : magnitude + 1 == infinity ? top
                                                    : value_of_half(magnitude + 1, part_bits, bias);
    const double below = magnitude ? value_of_half(magnitude - 1, part_bits, bias) : -here;
    const double a = fabs(x), error = fabs(a - here);
    if (isinf(a)) return magnitude == infinity;
    if (magnitude == infinity && a > top) return true;
    const bool even = !(magnitude & 1);
    const double to_away = fabs(away - a), to_below = magnitude ? fabs(a - below) : INFINITY;
    return (error < to_away || (error == to_away && even)) &&
           (error < to_below || (error == to_below && even));
}

static void halves(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const double f16 = value_of_half(bits, 10, 15), bf16 = value_of_half(bits, 7, 127);
        assert_true(f16 != f16 ? isnan(sg_f32_of_f16(bits)) : (double)sg_f32_of_f16(bits) == f16);
        assert_true(bf16 != bf16 ? isnan(sg_f32_of_bf16(bits))
                                 : (double)sg_f32_of_bf16(bits) == bf16);
        if (f16 == f16) assert_int_equal(sg_f16_of_f32((float)f16), bits);
        if (f16 == f16) assert_int_equal(sg_round_half(f16, false, SG_RN), bits);
        if (bf16 == bf16) assert_int_equal(sg_bf16_of_f32((float)bf16), bits);
        if (bf16 == bf16) assert_int_equal(sg_round_half(bf16, true, SG_RN), bits);
    }
    for (int i = 0; i < 400000; i++) {
        uint32_t bits = random_bits(i);
        if (i % 3 == 0) bits = (bits & 0x8fffffffu) | 0x30000000u; /* f16's range */
        if (i % 5 == 0) bits &= 0xfffff000u;
        const float x = sg_as_f32(bits);
        const uint32_t f16 = sg_f16_of_f32(x), bf16 = sg_bf16_of_f32(x);
        if (!is_nearest(f16, (double)x, 10, 15)) fail_msg("f16 of %a is %x", (double)x, f16);
        if (!is_nearest(bf16, (double)x, 7, 127)) fail_msg("bf16 of %a is %x", (double)x, bf16);
        assert_int_equal(sg_round_half((double)x, false, SG_RN), f16);
        assert_int_equal(sg_round_half((double)x, true, SG_RN), bf16);
    }
}

/* Rounded once, from the exact value: within half a unit in the last place of the double's. */
static void approximate(void **state) {
    (void)state;
    static const struct {
        const char *instruction;
        double (*wanted)(double);
        float low, high;
    } cases[] = {{"ex2.approx.f32", exp2, -150, 128},  {"lg2.approx.f32", log2, 0x1p-140f, 2},
                 {"lg2.approx.f32", log2, 0.9f, 1.1f}, {"sqrt.approx.f32", sqrt, 0, 1e30f},
                 {"sin.approx.f32", sin, -10, 10},     {"cos.approx.f32", cos, -10, 10},
                 {"tanh.approx.f32", tanh, -9, 9}};
    enum { COUNT = 8192 };
    const uint64_t a = sg_case_memory(COUNT * 4, true), b = sg_case_memory(COUNT * 4, true);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float *in = (float *)(void *)sg_memory_host(a, COUNT * 4, true);
        const float *out = (const float *)(const void *)sg_memory_host(b, COUNT * 4, false);
        for (int i = 0; i < COUNT; i++)
            in[i] = cases[c].low +
                    (cases[c].high - cases[c].low) * ((float)(next_random() >> 40) * 0x1p-24f);
        char body[200];
        snprintf(body, sizeof body,
                 "ld.global.f32 %%f1, [%%at];\n%s %%f2, %%f1;\nst.global.f32 [%%bt], %%f2;",
                 cases[c].instruction);
        const sg_case one = {a, b, 0, COUNT / 1024, 1024, 0};
        sg_report_clear();
        assert_true(sg_case_run(sg_case_text("", body), &one, NULL));
        int off = 0;
        for (int i = 0; i < COUNT; i++) {
            const float wanted = (float)cases[c].wanted((double)in[i]);
            if (out[i] == wanted) continue;
            off++; /* the double itself is not exact: once in 2^28 */
            if (nextafterf(wanted, out[i]) != out[i])
                fail_msg("%s of %a: %a, not %a", cases[c].instruction, (double)in[i],
                         (double)out[i], (double)wanted);
        }
        if (off > 1) fail_msg("%s: %d of %d are not the nearest", cases[c].instruction, off, COUNT);
    }
    sg_memory_give_back(a);
    sg_memory_give_back(b);
}

int main(void) {
    sg_get_options()->expect = true;
    const struct CMUnitTest tests[] = {cmocka_unit_test(known), cmocka_unit_test(directed),
                                       cmocka_unit_test(halves), cmocka_unit_test(approximate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
