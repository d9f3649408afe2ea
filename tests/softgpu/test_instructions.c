/* Every arithmetic instruction on values whose results are known: from the PTX ISA's own text and
 * from IEEE 754. Each runs for all lanes, and for odd lanes only, where even lanes must keep what
 * they had. Then the frequent ones on random values, different in every lane, against plain C. */
#include "tests/softgpu/instruction_case.h"

#define MIN32 0x80000000u
#define MIN64 0x8000000000000000ull

static void integers(void **state) {
    (void)state;
    static const row rows[] = {
        {"add.s32 %r1, %r2, %r3;", 'r', ALL32, 2, 0, 1},
        {"add.u16 %h1, %h2, %h3;", 'h', 0xffff, 2, 0, 1},
        {"add.s64 %d1, %d2, %d3;", 'd', ALL64, 2, 0, 1},
        {"add.s64 %d1, %d2, -8;", 'd', 3, 0, 0, (uint64_t)-5},
        {"add.sat.s32 %r1, %r2, %r3;", 'r', 0x7fffffff, 5, 0, 0x7fffffff},
        {"sub.sat.s32 %r1, %r2, %r3;", 'r', MIN32, 5, 0, MIN32},
        {"sub.s32 %r1, %r2, %r3;", 'r', 2, 5, 0, (uint32_t)-3},
        {"sub.s16 %h1, %h2, %h3;", 'h', 2, 5, 0, 0xfffd},
        {"mul.lo.s32 %r1, %r2, %r3;", 'r', 0x10001, 0x10001, 0, 0x20001},
        {"mul.lo.u16 %h1, %h2, %h3;", 'h', 0xffff, 0xffff, 0, 1},
        {"mul.lo.s64 %d1, %d2, %d3;", 'd', 0x100000001, 0x100000001, 0, 0x200000001},
        {"mul.hi.u32 %r1, %r2, %r3;", 'r', ALL32, ALL32, 0, 0xfffffffe},
        {"mul.hi.s32 %r1, %r2, %r3;", 'r', ALL32, 5, 0, ALL32},
        {"mul.hi.u64 %d1, %d2, %d3;", 'd', ALL64, ALL64, 0, ALL64 - 1},
        {"mul.hi.s64 %d1, %d2, %d3;", 'd', ALL64, 5, 0, ALL64},
        {"mul.hi.u16 %h1, %h2, %h3;", 'h', 0xffff, 0xffff, 0, 0xfffe},
        {"mul.hi.s16 %h1, %h2, %h3;", 'h', 0xffff, 5, 0, 0xffff},
        {"mul.wide.u32 %d1, %r2, %r3;", 'd', ALL32, ALL32, 0, 0xfffffffe00000001},
        {"mul.wide.s32 %d1, %r2, %r3;", 'd', ALL32, 5, 0, (uint64_t)-5},
        {"mul.wide.u16 %r1, %h2, %h3;", 'r', 0xffff, 0xffff, 0, 0xfffe0001},
        {"mul.wide.s16 %r1, %h2, %h3;", 'r', 0xffff, 5, 0, (uint32_t)-5},
        {"mad.lo.s32 %r1, %r2, %r3, %r4;", 'r', 3, (uint32_t)-4, 5, (uint32_t)-7},
        {"mad.lo.s64 %d1, %d2, %d3, %d4;", 'd', 3, (uint64_t)-4, 5, (uint64_t)-7},
        {"mad.hi.u32 %r1, %r2, %r3, %r4;", 'r', ALL32, ALL32, 3, 1},
        {"mad.wide.u32 %d1, %r2, %r3, %d4;", 'd', ALL32, 2, ALL64, 0x1fffffffd},
        {"mad.wide.s32 %d1, %r2, %r3, %d4;", 'd', ALL32, 2, 1, ALL64},
        {"mad.wide.u16 %r1, %h2, %h3, %r4;", 'r', 0xffff, 2, 5, 0x20003},
        {"div.s32 %r1, %r2, %r3;", 'r', (uint32_t)-7, 2, 0, (uint32_t)-3},
        {"div.s32 %r1, %r2, %r3;", 'r', MIN32, ALL32, 0, MIN32},
        {"div.u32 %r1, %r2, %r3;", 'r', (uint32_t)-7, 2, 0, 0x7ffffffc},
        {"div.u32 %r1, %r2, %r3;", 'r', 7, 0, 0, ALL32},
        {"div.s64 %d1, %d2, %d3;", 'd', (uint64_t)-7, 2, 0, (uint64_t)-3},
        {"div.s64 %d1, %d2, %d3;", 'd', MIN64, ALL64, 0, MIN64},
        {"div.u64 %d1, %d2, %d3;", 'd', ALL64, 16, 0, ALL64 >> 4},
        {"div.s16 %h1, %h2, %h3;", 'h', 0x8000, 0xffff, 0, 0x8000},
        {"rem.s32 %r1, %r2, %r3;", 'r', (uint32_t)-7, 4, 0, (uint32_t)-3},
        {"rem.s32 %r1, %r2, %r3;", 'r', MIN32, ALL32, 0, 0},
        {"rem.u32 %r1, %r2, %r3;", 'r', 7, 0, 0, 7},
        {"rem.u64 %d1, %d2, %d3;", 'd', 1000, 7, 0, 6},
        {"abs.s32 %r1, %r2;", 'r', (uint32_t)-7, 0, 0, 7},
        {"abs.s32 %r1, %r2;", 'r', MIN32, 0, 0, MIN32},
        {"abs.s64 %d1, %d2;", 'd', (uint64_t)-7, 0, 0, 7},
        {"neg.s32 %r1, %r2;", 'r', 7, 0, 0, (uint32_t)-7},
        {"neg.s16 %h1, %h2;", 'h', 7, 0, 0, 0xfff9},
        {"neg.s64 %d1, %d2;", 'd', 7, 0, 0, (uint64_t)-7},
        {"min.s32 %r1, %r2, %r3;", 'r', ALL32, 1, 0, ALL32},
        {"min.u32 %r1, %r2, %r3;", 'r', ALL32, 1, 0, 1},
        {"max.s32 %r1, %r2, %r3;", 'r', ALL32, 1, 0, 1},
        {"max.u64 %d1, %d2, %d3;", 'd', ALL64, 1, 0, ALL64},
        {"max.s64 %d1, %d2, %d3;", 'd', ALL64, 1, 0, 1},
        {"min.s16 %h1, %h2, %h3;", 'h', 0xffff, 1, 0, 0xffff},
        {"min.u16 %h1, %h2, %h3;", 'h', 0xffff, 1, 0, 1},
        {"sad.s32 %r1, %r2, %r3, %r4;", 'r', (uint32_t)-3, 4, 10, 17},
        {"sad.u32 %r1, %r2, %r3, %r4;", 'r', 9, 4, 10, 15},
        {"dp4a.u32.u32 %r1, %r2, %r3, %r4;", 'r', 0xff020304, 0x01010102, 1, 1 + 255 + 2 + 3 + 8},
        {"dp4a.s32.s32 %r1, %r2, %r3, %r4;", 'r', 0xff020304, 0x01010102, 1, 1 - 1 + 2 + 3 + 8},
        {"dp4a.s32.u32 %r1, %r2, %r3, %r4;", 'r', 0xff000000, 0xff000000, 0, (uint32_t)-255},
        {"dp2a.lo.s32.s32 %r1, %r2, %r3, %r4;", 'r', 0xffff0003, 0x0000ff02, 5, 5 + 6 + 1},
        {"dp2a.hi.u32.u32 %r1, %r2, %r3, %r4;", 'r', 0x00020003, 0x04050000, 1, 1 + 15 + 8},
        {"add.cc.u32 %r5, %r2, %r3;\naddc.u32 %r1, %r4, 0;", 'r', ALL32, 1, 7, 8},
        {"add.cc.u32 %r5, %r2, %r3;\naddc.u32 %r1, %r4, 0;", 'r', ALL32, 0, 7, 7},
        {"sub.cc.u32 %r5, %r2, %r3;\nsubc.u32 %r1, %r4, 0;", 'r', 1, 2, 7, 6},
        {"sub.cc.u32 %r5, %r2, %r3;\nsubc.u32 %r1, %r4, 0;", 'r', 2, 2, 7, 7},
        {"add.cc.u64 %d5, %d2, %d3;\naddc.u64 %d1, %d4, 0;", 'd', ALL64, 1, 7, 8},
    };
    /* Those of two instructions do not keep old values: the guard is on the first only. */
    const size_t single = sizeof rows / sizeof *rows - 5;
    check_rows(rows, single);
    for (size_t i = single; i < sizeof rows / sizeof *rows; i++) {
        uint64_t in[32][3], out[32];
        for (int l = 0; l < 32; l++)
            memcpy(in[l], &rows[i].x, sizeof in[l]);
        sg_report_clear();
        assert_true(
            compute(out, rows[i].instruction, rows[i].result, false, (const uint64_t(*)[3])in));
        for (int l = 0; l < 32; l++)
            assert_int_equal(out[l], rows[i].expected);
    }
}

static void bits(void **state) {
    (void)state;
    static const row rows[] = {
        {"and.b32 %r1, %r2, %r3;", 'r', 0xff00ff00, 0x0ff00ff0, 0, 0x0f000f00},
        {"or.b64 %d1, %d2, %d3;", 'd', MIN64, 1, 0, MIN64 | 1},
        {"xor.b16 %h1, %h2, %h3;", 'h', 0xff00, 0x0ff0, 0, 0xf0f0},
        {"not.b16 %h1, %h2;", 'h', 0xff00, 0, 0, 0x00ff},
        {"not.b32 %r1, %r2;", 'r', 0xff00, 0, 0, 0xffff00ff},
        {"cnot.b32 %r1, %r2;", 'r', 0, 0, 0, 1},
        {"cnot.b32 %r1, %r2;", 'r', 5, 0, 0, 0},
        {"and.pred %p1, %p2, %p3;", 'p', 1, 1, 0, 1},
        {"and.pred %p1, %p2, %p3;", 'p', 1, 0, 0, 0},
        {"or.pred %p1, %p2, %p3;", 'p', 0, 1, 0, 1},
        {"xor.pred %p1, %p2, %p3;", 'p', 1, 1, 0, 0},
        {"not.pred %p1, %p2;", 'p', 0, 1, 0, 1},
        {"shl.b32 %r1, %r2, %r3;", 'r', 3, 31, 0, MIN32},
        {"shl.b32 %r1, %r2, %r3;", 'r', 3, 32, 0, 0},
        {"shl.b64 %d1, %d2, %r3;", 'd', 3, 63, 0, MIN64},
        {"shl.b64 %d1, %d2, %r3;", 'd', 3, 64, 0, 0},
        {"shl.b16 %h1, %h2, %r3;", 'h', 3, 15, 0, 0x8000},
        {"shr.u32 %r1, %r2, %r3;", 'r', MIN32, 31, 0, 1},
        {"shr.u32 %r1, %r2, %r3;", 'r', MIN32, 40, 0, 0},
        {"shr.s32 %r1, %r2, %r3;", 'r', MIN32, 40, 0, ALL32},
        {"shr.s64 %d1, %d2, %r3;", 'd', MIN64, 4, 0, 0xf800000000000000},
        {"shr.b64 %d1, %d2, %r3;", 'd', MIN64, 4, 0, 0x0800000000000000},
        {"shr.s16 %h1, %h2, %r3;", 'h', 0x8000, 4, 0, 0xf800},
        {"shr.u16 %h1, %h2, %r3;", 'h', 0x8000, 4, 0, 0x0800},
        {"shf.l.wrap.b32 %r1, %r2, %r3, %r4;", 'r', 0x80000001, 0x5, 1, 0xb},
        {"shf.l.clamp.b32 %r1, %r2, %r3, %r4;", 'r', 0x12345678, 0x5, 40, 0x12345678},
        {"shf.r.wrap.b32 %r1, %r2, %r3, %r4;", 'r', 0x12345678, 0x9, 36, 0x91234567},
        {"shf.r.clamp.b32 %r1, %r2, %r3, %r4;", 'r', 0x12345678, 0x9, 33, 0x9},
        {"bfe.u32 %r1, %r2, %r3, %r4;", 'r', 0x12345678, 8, 12, 0x456},
        {"bfe.s32 %r1, %r2, %r3, %r4;", 'r', 0x00000f00, 8, 4, ALL32},
        {"bfe.s32 %r1, %r2, %r3, %r4;", 'r', 0xf0000000, 28, 8, ALL32},
        {"bfe.u32 %r1, %r2, %r3, %r4;", 'r', 0xf0000000, 28, 8, 0xf},
        {"bfe.s32 %r1, %r2, %r3, %r4;", 'r', MIN32, 200, 8, ALL32},
        {"bfe.u32 %r1, %r2, %r3, %r4;", 'r', ALL32, 3, 0, 0},
        {"bfe.u64 %d1, %d2, %r3, %r4;", 'd', 0x123456789abcdef0, 16, 40, 0x3456789abc},
        {"bfe.s64 %d1, %d2, %r3, %r4;", 'd', 0xff00, 8, 8, ALL64},
        {"bfi.b32 %r1, %r2, %r3, 8, 4;", 'r', 0xabc, 0x11111111, 0, 0x11111c11},
        {"bfi.b32 %r1, %r2, %r3, 28, 8;", 'r', 0xabc, 0x11111111, 0, 0xc1111111},
        {"bfi.b32 %r1, %r2, %r3, 40, 8;", 'r', 0xabc, 0x11111111, 0, 0x11111111},
        {"bfi.b64 %d1, %d2, %d3, 32, 8;", 'd', 0xabc, 0, 0, 0xbc00000000},
        {"bmsk.clamp.b32 %r1, %r2, %r3;", 'r', 4, 8, 0, 0xff0},
        {"bmsk.clamp.b32 %r1, %r2, %r3;", 'r', 4, 40, 0, 0xfffffff0},
        {"bmsk.wrap.b32 %r1, %r2, %r3;", 'r', 36, 36, 0, 0xf0},
        {"bfind.u32 %r1, %r2;", 'r', 0x00010000, 0, 0, 16},
        {"bfind.u32 %r1, %r2;", 'r', 0, 0, 0, ALL32},
        {"bfind.s32 %r1, %r2;", 'r', (uint32_t)-2, 0, 0, 0},
        {"bfind.shiftamt.u32 %r1, %r2;", 'r', 0x00010000, 0, 0, 15},
        {"bfind.u64 %r1, %d2;", 'r', 1ull << 40, 0, 0, 40},
        {"popc.b32 %r1, %r2;", 'r', 0xf0f0, 0, 0, 8},
        {"popc.b64 %r1, %d2;", 'r', ALL64, 0, 0, 64},
        {"clz.b32 %r1, %r2;", 'r', 0x00010000, 0, 0, 15},
        {"clz.b32 %r1, %r2;", 'r', 0, 0, 0, 32},
        {"clz.b64 %r1, %d2;", 'r', 1, 0, 0, 63},
        {"brev.b32 %r1, %r2;", 'r', 0x00000003, 0, 0, 0xc0000000},
        {"brev.b64 %d1, %d2;", 'd', 3, 0, 0, 0xc000000000000000},
        {"prmt.b32 %r1, %r2, %r3, %r4;", 'r', 0x33221100, 0x77665544, 0x7610, 0x77661100},
        {"prmt.b32 %r1, %r2, %r3, 0xba98;", 'r', 0x80ff7f00, 0, 0, 0xffff0000},
        {"prmt.b32.f4e %r1, %r2, %r3, %r4;", 'r', 0x33221100, 0x77665544, 1, 0x44332211},
        {"prmt.b32.b4e %r1, %r2, %r3, %r4;", 'r', 0x33221100, 0x77665544, 1, 0x66770011},
        {"prmt.b32.rc8 %r1, %r2, %r3, %r4;", 'r', 0x33221100, 0x77665544, 2, 0x22222222},
        {"prmt.b32.ecl %r1, %r2, %r3, %r4;", 'r', 0x33221100, 0x77665544, 1, 0x33221111},
        {"prmt.b32.ecr %r1, %r2, %r3, %r4;", 'r', 0x33221100, 0x77665544, 1, 0x11111100},
        {"prmt.b32.rc16 %r1, %r2, %r3, %r4;", 'r', 0x33221100, 0x77665544, 1, 0x33223322},
        {"lop3.b32 %r1, %r2, %r3, %r4, 0x80;", 'r', 0xf0, 0xcc, 0xaa, 0x80},
        {"lop3.b32 %r1, %r2, %r3, %r4, 0x1a;", 'r', 0xf0, 0xcc, 0xaa, 0x1a},
        {"lop3.b32 %r1, %r2, %r3, %r4, 0x96;", 'r', 0x123, 0x456, 0x789, 0x123 ^ 0x456 ^ 0x789},
        {"lop3.b32 %r1, %r2, %r3, %r4, 0xe8;", 'r', 0xf0, 0xcc, 0xaa, 0xe8},
    };
    CHECK(rows);
}

static void moves(void **state) {
    (void)state;
    static const row rows[] = {
        {"mov.b32 %r1, %r2;", 'r', 0x12345678, 0, 0, 0x12345678},
        {"mov.u16 %h1, -2;", 'h', 0, 0, 0, 0xfffe},
        {"mov.f32 %f1, 0f3FC00000;", 'f', 0, 0, 0, 0x3fc00000},
        {"mov.pred %p1, %p2;", 'p', 1, 0, 0, 1},
        {"mov.b64 %d1, {%r2, %r3};", 'd', 0x11111111, 0x22222222, 0, 0x2222222211111111},
        {"mov.b32 %r1, {%h2, %h3};", 'r', 0x1111, 0x2222, 0, 0x22221111},
        {"mov.b64 %d1, {%h2, %h3, %h4, %h2};", 'd', 1, 2, 3, 0x0001000300020001},
        {"mov.b64 {%r1, %r5}, %d2;", 'r', 0x2222222211111111, 0, 0, 0x11111111},
        {"mov.b64 {%r5, %r1}, %d2;", 'r', 0x2222222211111111, 0, 0, 0x22222222},
        {"mov.b64 {_, %r1}, %d2;", 'r', 0x2222222211111111, 0, 0, 0x22222222},
        {"mov.b32 {%h5, %h1}, %r2;", 'h', 0x22221111, 0, 0, 0x2222},
        {"mov.b128 %q1, {%d2, %d3};\nmov.b128 {%d5, %d1}, %q1;", 'd', 5, 6, 0, 6},
        {"selp.b32 %r1, %r2, %r3, %p4;", 'r', 7, 8, 1, 7},
        {"selp.b32 %r1, %r2, %r3, %p4;", 'r', 7, 8, 0, 8},
        {"selp.f32 %f1, %f2, 0f3F800000, %p4;", 'f', 7, 8, 0, 0x3f800000},
        {"selp.b64 %d1, %d2, %d3, %p4;", 'd', ALL64, 8, 1, ALL64},
        {"selp.u16 %h1, 1, 0, %p4;", 'h', 0, 0, 1, 1},
        {"slct.s32.s32 %r1, %r2, %r3, %r4;", 'r', 7, 8, ALL32, 8},
        {"slct.b32.f32 %r1, %r2, %r3, %f4;", 'r', 7, 8, 0x80000000, 7},
        {"cvta.to.global.u64 %d1, %d2;", 'd', 0x700000000010, 0, 0, 0x700000000010},
        {"cvta.shared.u64 %d1, %d2;", 'd', 16, 0, 0, SG_SHARED_BASE + 16},
        {"cvta.to.shared.u64 %d1, %d2;", 'd', SG_SHARED_BASE + 16, 0, 0, 16},
        {"cvta.local.u64 %d1, %d2;", 'd', 16, 0, 0, SG_LOCAL_BASE + 16},
        {"isspacep.shared %p1, %d2;", 'p', SG_SHARED_BASE + 16, 0, 0, 1},
        {"isspacep.shared %p1, %d2;", 'p', SG_DEVICE_BASE, 0, 0, 0},
        {"isspacep.global %p1, %d2;", 'p', SG_DEVICE_BASE, 0, 0, 1},
        {"isspacep.local %p1, %d2;", 'p', SG_LOCAL_BASE, 0, 0, 1},
        {"cvt.s64.s32 %d1, %r2;", 'd', ALL32, 0, 0, ALL64},
        {"cvt.s64.s32 %d1, %d2;", 'd', 0x1ffffffff, 0, 0, ALL64},
        {"cvt.u64.u32 %d1, %r2;", 'd', ALL32, 0, 0, ALL32},
        {"cvt.u32.u64 %r1, %d2;", 'r', 0x123456789, 0, 0, 0x23456789},
        {"cvt.u16.u32 %h1, %r2;", 'h', 0x12345678, 0, 0, 0x5678},
        {"cvt.s32.s16 %r1, %h2;", 'r', 0x8000, 0, 0, 0xffff8000},
        {"cvt.s16.s8 %h1, %h2;", 'h', 0x80, 0, 0, 0xff80},
        {"cvt.s8.s32 %r1, %r2;", 'r', 0x180, 0, 0, 0xffffff80},
        {"cvt.s32.s8 %r1, %r2;", 'r', 0x180, 0, 0, 0xffffff80},
        {"cvt.u32.u8 %r1, %r2;", 'r', 0x180, 0, 0, 0x80},
        {"cvt.sat.s16.s32 %h1, %r2;", 'h', 40000, 0, 0, 32767},
        {"cvt.sat.u8.s32 %r1, %r2;", 'r', ALL32, 0, 0, 0},
    };
    check_rows(rows, 11);
    check_rows(rows + 12, sizeof rows / sizeof *rows - 12);
    uint64_t in[32][3], out[32];
    for (int l = 0; l < 32; l++) {
        in[l][0] = 1;
        in[l][1] = (uint64_t)l << 40;
    }
    assert_true(compute(out, rows[11].instruction, 'd', false, (const uint64_t(*)[3])in));
    for (int l = 0; l < 32; l++)
        assert_int_equal(out[l], (uint64_t)l << 40);
}

static void comparisons(void **state) {
    (void)state;
    const uint64_t one = 0x3f800000, two = 0x40000000, nan = 0x7fc00000;
    const row rows[] = {
        {"setp.lt.s32 %p1, %r2, %r3;", 'p', ALL32, 1, 0, 1},
        {"setp.lt.u32 %p1, %r2, %r3;", 'p', ALL32, 1, 0, 0},
        {"setp.hi.u32 %p1, %r2, %r3;", 'p', ALL32, 1, 0, 1},
        {"setp.lo.u32 %p1, %r2, %r3;", 'p', ALL32, 1, 0, 0},
        {"setp.ls.u32 %p1, %r2, %r3;", 'p', 1, 1, 0, 1},
        {"setp.hs.u32 %p1, %r2, %r3;", 'p', 0, 1, 0, 0},
        {"setp.le.s32 %p1, %r2, %r3;", 'p', 5, 5, 0, 1},
        {"setp.gt.s32 %p1, %r2, %r3;", 'p', 5, 5, 0, 0},
        {"setp.ge.s64 %p1, %d2, %d3;", 'p', ALL64, 0, 0, 0},
        {"setp.ge.u64 %p1, %d2, %d3;", 'p', ALL64, 0, 0, 1},
        {"setp.eq.b64 %p1, %d2, %d3;", 'p', MIN64, MIN64, 0, 1},
        {"setp.ne.s16 %p1, %h2, 0;", 'p', 0x10000, 0, 0, 0},
        {"setp.lt.s16 %p1, %h2, 0;", 'p', 0x8000, 0, 0, 1},
        {"setp.gt.u16 %p1, %h2, 1;", 'p', 0x8000, 0, 0, 1},
        {"setp.eq.and.s32 %p1, %r2, 5, %p3;", 'p', 5, 1, 0, 1},
        {"setp.eq.and.s32 %p1, %r2, 5, !%p3;", 'p', 5, 1, 0, 0},
        {"setp.eq.or.s32 %p1, %r2, 5, %p3;", 'p', 4, 1, 0, 1},
        {"setp.eq.xor.s32 %p1, %r2, 5, %p3;", 'p', 5, 1, 0, 0},
        {"setp.eq.s32 %p5|%p1, %r2, 5;", 'p', 4, 0, 0, 1},
        {"setp.eq.and.s32 %p5|%p1, %r2, 5, %p3;", 'p', 4, 1, 0, 1},
        {"setp.eq.and.s32 %p5|%p1, %r2, 5, %p3;", 'p', 4, 0, 0, 0},
        {"setp.lt.f32 %p1, %f2, %f3;", 'p', one, two, 0, 1},
        {"setp.lt.f32 %p1, %f2, %f3;", 'p', nan, two, 0, 0},
        {"setp.ltu.f32 %p1, %f2, %f3;", 'p', nan, two, 0, 1},
        {"setp.ltu.f32 %p1, %f2, %f3;", 'p', two, one, 0, 0},
        {"setp.le.f32 %p1, %f2, %f3;", 'p', one, one, 0, 1},
        {"setp.leu.f32 %p1, %f2, %f3;", 'p', two, one, 0, 0},
        {"setp.gt.f32 %p1, %f2, %f3;", 'p', two, one, 0, 1},
        {"setp.gtu.f32 %p1, %f2, %f3;", 'p', two, nan, 0, 1},
        {"setp.gtu.f32 %p1, %f2, %f3;", 'p', one, two, 0, 0},
        {"setp.ge.f32 %p1, %f2, %f3;", 'p', nan, nan, 0, 0},
        {"setp.geu.f32 %p1, %f2, %f3;", 'p', nan, nan, 0, 1},
        {"setp.geu.f32 %p1, %f2, %f3;", 'p', one, two, 0, 0},
        {"setp.eq.f32 %p1, %f2, %f3;", 'p', 0, 0x80000000, 0, 1},
        {"setp.ne.f32 %p1, %f2, %f3;", 'p', nan, one, 0, 0},
        {"setp.ne.f32 %p1, %f2, %f3;", 'p', two, one, 0, 1},
        {"setp.neu.f32 %p1, %f2, %f3;", 'p', nan, nan, 0, 1},
        {"setp.neu.f32 %p1, %f2, %f3;", 'p', one, one, 0, 0},
        {"setp.equ.f32 %p1, %f2, %f3;", 'p', nan, one, 0, 1},
        {"setp.equ.f32 %p1, %f2, %f3;", 'p', two, one, 0, 0},
        {"setp.num.f32 %p1, %f2, %f3;", 'p', one, two, 0, 1},
        {"setp.nan.f32 %p1, %f2, %f3;", 'p', one, nan, 0, 1},
        {"setp.eq.f32 %p1, %f2, 0f00000000;", 'p', 1, 0, 0, 0},
        {"setp.eq.ftz.f32 %p1, %f2, 0f00000000;", 'p', 1, 0, 0, 1},
        {"setp.lt.f64 %p1, %g2, 0d3FF0000000000000;", 'p', 0, 0, 0, 1},
        {"setp.gt.bf16 %p1, %h2, %h3;", 'p', 0x4000, 0x3f80, 0, 1},
        {"setp.lt.f16 %p1, %h2, %h3;", 'p', 0xbc00, 0x3c00, 0, 1},
        {"setp.lt.f16x2 %p5|%p1, %r2, %r3;", 'p', 0xbc003c00, 0x3c003c00, 0, 1},
        {"setp.lt.f16x2 %p1|%p5, %r2, %r3;", 'p', 0xbc003c00, 0x3c003c00, 0, 0},
        {"set.lt.u32.s32 %r1, %r2, %r3;", 'r', ALL32, 1, 0, ALL32},
        {"set.lt.f32.s32 %f1, %r2, %r3;", 'f', ALL32, 1, 0, one},
        {"set.gt.bf16x2.bf16x2 %r1, %r2, %r3;", 'r', 0x40003f80, 0x3f803f80, 0, 0x3f800000},
        {"testp.finite.f32 %p1, %f2;", 'p', one, 0, 0, 1},
        {"testp.infinite.f32 %p1, %f2;", 'p', 0xff800000, 0, 0, 1},
        {"testp.notanumber.f32 %p1, %f2;", 'p', nan, 0, 0, 1},
        {"testp.subnormal.f32 %p1, %f2;", 'p', 1, 0, 0, 1},
        {"testp.normal.f64 %p1, %g2;", 'p', 1, 0, 0, 0},
    };
    CHECK(rows);
}

/* ---- Against C, on random values. */

typedef uint64_t reference(uint64_t x, uint64_t y, uint64_t z);
#define REFERENCE(name, ...)                                              \
    static uint64_t name(uint64_t x, uint64_t y, uint64_t z) {            \
        const uint32_t a = (uint32_t)x, b = (uint32_t)y, c = (uint32_t)z; \
        (void)a, (void)b, (void)c;                                        \
        return (uint64_t)(__VA_ARGS__);                                   \
    }
REFERENCE(add_32, (uint32_t)(a + b))
REFERENCE(mul_hi, (uint32_t)((uint64_t)a *b >> 32))
REFERENCE(mad_wide, (uint64_t)((int64_t)(int32_t)a *(int32_t)b) + z)
REFERENCE(div_s, b ? (uint32_t)((int64_t)(int32_t)a / (int32_t)b) : ALL32)
REFERENCE(rem_u64, y ? x % y : x)
REFERENCE(max_s, (int32_t)a > (int32_t)b ? a : b)
REFERENCE(shift, (c & 63) > 31 ? 0 : a >> (c & 63))
REFERENCE(lt_s64, (int64_t)x < (int64_t)y)
REFERENCE(majority, (a & b) | (a & c) | (b & c))
REFERENCE(count, (uint32_t)__builtin_popcountll(x))
REFERENCE(choose, c ? a : b)

static void random_lanes(void **state) {
    (void)state;
    static const struct {
        const char *instruction;
        char result;
        reference *wanted;
        uint64_t z_mask;
    } cases[] = {
        {"add.s32 %r1, %r2, %r3;", 'r', add_32, ALL64},
        {"mul.hi.u32 %r1, %r2, %r3;", 'r', mul_hi, ALL64},
        {"mad.wide.s32 %d1, %r2, %r3, %d4;", 'd', mad_wide, ALL64},
        {"div.s32 %r1, %r2, %r3;", 'r', div_s, ALL64},
        {"rem.u64 %d1, %d2, %d3;", 'd', rem_u64, ALL64},
        {"max.s32 %r1, %r2, %r3;", 'r', max_s, ALL64},
        {"shr.u32 %r1, %r2, %r4;", 'r', shift, 63},
        {"setp.lt.s64 %p1, %d2, %d3;", 'p', lt_s64, ALL64},
        {"lop3.b32 %r1, %r2, %r3, %r4, 0xe8;", 'r', majority, ALL64},
        {"popc.b64 %r1, %d2;", 'r', count, ALL64},
        {"selp.b32 %r1, %r2, %r3, %p4;", 'r', choose, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int round = 0; round < 6; round++) {
            uint64_t in[32][3], out[32];
            for (int l = 0; l < 32; l++) {
                in[l][0] = next_random();
                in[l][1] = next_random() >> next_random() % 64;
                in[l][2] = next_random() & cases[i].z_mask;
            }
            const bool odd = round & 1;
            sg_report_clear();
            assert_true(
                compute(out, cases[i].instruction, cases[i].result, odd, (const uint64_t(*)[3])in));
            for (int l = 0; l < 32; l++) {
                const uint64_t wanted = odd && !(l & 1)
                                            ? old_of(cases[i].result)
                                            : cases[i].wanted(in[l][0], in[l][1], in[l][2]);
                if (out[l] != wanted)
                    fail_msg("%s, lane %d: %llx, not %llx", cases[i].instruction, l,
                             (unsigned long long)out[l], (unsigned long long)wanted);
            }
        }
}

/* What is not understood is refused, never guessed. */
static void refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "add.s32.s32 %r1, %r2, %r3;",
        "add.sat.u32 %r1, %r2, %r3;",
        "add.b32 %r1, %r2, %r3;",
        "mul.s32 %r1, %r2, %r3;",
        "mad.lo.cc.u32 %r1, %r2, %r3, %r4;",
        "mul.wide.s64 %d1, %d2, %d3;",
        "shl.u32 %r1, %r2, %r3;",
        "and.s32 %r1, %r2, %r3;",
        "fma.f32 %f1, %f2, %f3, %f4;",
        "fma.rn.f16.f16 %h1, %h2, %h3, %h4;",
        "ex2.f32 %f1, %f2;",
        "rsqrt.rn.f32 %f1, %f2;",
        "setp.lo.s32 %p1, %r2, %r3;",
        "setp.ltu.s32 %p1, %r2, %r3;",
        "setp.lt.b32 %p1, %r2, %r3;",
        "cvt.f32.s32 %f1, %r2;",
        "cvt.s32.f32 %r1, %f2;",
        "cvt.rn.s32.f32 %r1, %f2;",
        "cvt.rzi.f32.s32 %f1, %r2;",
        "cvt.rn.f64.f32 %g1, %f2;",
        "shfl.bfly.b32 %r1, %r2, 1, 31;",
        "vote.ballot.b32 %r1, %p2;",
        "fence.acquire.gpu;",
        "bar.sync;",
        "lop3.and.b32 %r1, %r2, %r3, %r4, 1;",
        "add.rn.ftz.sat.f32.x %f1, %f2, %f3;",
    };
    const uint64_t in[32][3] = {{0}};
    uint64_t out[32];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sg_report_clear();
        if (compute(out, bad[i], 'd', false, in)) fail_msg("%s was taken", bad[i]);
        assert_int_equal(sg_case_reports(SG_R_UNKNOWN, -1), 1);
    }
}

int main(void) {
    sg_get_options()->expect = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),    cmocka_unit_test(bits),         cmocka_unit_test(moves),
        cmocka_unit_test(comparisons), cmocka_unit_test(random_lanes), cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
