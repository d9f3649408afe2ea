/* matrix_case: mma.sync's fragments for the tests. The maps are written down as "PTX ISA" gives
 * them, one formula a type and shape, and share nothing with matrix.c. */
#ifndef SOFTGPU_MATRIX_CASE_H
#define SOFTGPU_MATRIX_CASE_H

#include "tests/softgpu/case.h"

/* ---- Fragments: element i of a lane (g = lane / 4, t = lane % 4) of A, B, C. */

typedef struct place {
    int row, col;
} place;

static inline place a_half16(int g, int t, int i) {
    return (place){i < 2 || (4 <= i && i < 6) ? g : g + 8, t * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
}
static inline place b_half16(int g, int t, int i) {
    return (place){t * 2 + (i & 1) + (i >= 2 ? 8 : 0), g};
}
static inline place a_half8(int g, int t, int i) {
    return (place){i < 2 ? g : g + 8, t * 2 + (i & 1)};
}
static inline place b_half8(int g, int t, int i) {
    return (place){t * 2 + i, g};
}
static inline place a_tf32x4(int g, int t, int i) {
    return (place){i == 0 ? g : g + 8, t};
}
static inline place b_tf32x4(int g, int t, int i) {
    (void)i;
    return (place){t, g};
}
static inline place a_tf32x8(int g, int t, int i) {
    return (place){i == 0 || i == 2 ? g : g + 8, i <= 1 ? t : t + 4};
}
static inline place b_tf32x8(int g, int t, int i) {
    return (place){i == 0 ? t : t + 4, g};
}
static inline place a_byte16(int g, int t, int i) {
    return (place){i < 4 ? g : g + 8, t * 4 + (i & 3)};
}
static inline place b_byte16(int g, int t, int i) {
    return (place){t * 4 + i, g};
}
static inline place a_byte32(int g, int t, int i) {
    return (place){i < 4 || (8 <= i && i < 12) ? g : g + 8, t * 4 + (i & 3) + (i >= 8 ? 16 : 0)};
}
static inline place b_byte32(int g, int t, int i) {
    return (place){t * 4 + (i & 3) + (i >= 4 ? 16 : 0), g};
}
static inline place c_any(int g, int t, int i) {
    return (place){i < 2 ? g : g + 8, t * 2 + (i & 1)};
}

/* ---- The shapes. */

typedef enum element { BF16, F16, TF32, S8, U8 } element;
typedef place fragment(int g, int t, int i);
typedef struct kind {
    const char *name;
    element of;
    int k, bits;
    fragment *a, *b;
} kind;

static const kind kinds[] = {
    {"m16n8k16.row.col.f32.bf16.bf16.f32", BF16, 16, 16, a_half16, b_half16},
    {"m16n8k8.row.col.f32.bf16.bf16.f32", BF16, 8, 16, a_half8, b_half8},
    {"m16n8k16.row.col.f32.f16.f16.f32", F16, 16, 16, a_half16, b_half16},
    {"m16n8k8.row.col.f32.f16.f16.f32", F16, 8, 16, a_half8, b_half8},
    {"m16n8k8.row.col.f32.tf32.tf32.f32", TF32, 8, 32, a_tf32x8, b_tf32x8},
    {"m16n8k4.row.col.f32.tf32.tf32.f32", TF32, 4, 32, a_tf32x4, b_tf32x4},
    {"m16n8k32.row.col.s32.s8.s8.s32", S8, 32, 8, a_byte32, b_byte32},
    {"m16n8k16.row.col.s32.s8.s8.s32", S8, 16, 8, a_byte16, b_byte16},
    {"m16n8k32.row.col.s32.u8.u8.s32", U8, 32, 8, a_byte32, b_byte32},
    {"m16n8k16.row.col.s32.u8.u8.s32", U8, 16, 8, a_byte16, b_byte16},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static inline bool is_integer(const kind *k) {
    return k->of == S8 || k->of == U8;
}
static inline int elements_of_a(const kind *k) {
    return 16 * k->k / 32;
}

/* Fragments in memory: a lane has 64 bytes: 4 words of A, 2 of B, 4 of C. D goes to %b, 16 bytes a
 * lane. */
enum { LANE = 64, WORD_B = 4, WORD_C = 6 };
#define LOAD_FRAGMENTS                                                                  \
    "mul.wide.u32 %d1, %lane, 64;\nadd.s64 %d2, %a, %d1;\n"                             \
    "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%d2];\n"                                   \
    "ld.global.v2.u32 {%r5, %r6}, [%d2+16];\n"                                          \
    "ld.global.v2.u32 {%r7, %r8}, [%d2+24];\nld.global.v2.u32 {%r9, %r10}, [%d2+32];\n" \
    "mov.b32 %f1, %r7;\nmov.b32 %f2, %r8;\nmov.b32 %f3, %r9;\nmov.b32 %f4, %r10;\n"
#define STORE_RESULT                                        \
    "mul.wide.u32 %d1, %lane, 16;\nadd.s64 %d2, %b, %d1;\n" \
    "st.global.v4.u32 [%d2], {%r11, %r12, %r13, %r14};\n"

static inline const char *mma_text(const kind *k) {
    static char text[400];
    const int registers = elements_of_a(k) * k->bits / 32;
    snprintf(text, sizeof text, "mma.sync.aligned.%s %s, %s, %s, %s;\n%s", k->name,
             is_integer(k) ? "{%r11, %r12, %r13, %r14}" : "{%f11, %f12, %f13, %f14}",
             registers == 2 ? "{%r1, %r2}" : "{%r1, %r2, %r3, %r4}",
             registers == 2 ? "{%r5}" : "{%r5, %r6}",
             is_integer(k) ? "{%r7, %r8, %r9, %r10}" : "{%f1, %f2, %f3, %f4}",
             is_integer(k) ? ""
                           : "mov.b32 %r11, %f11;\nmov.b32 %r12, %f12;\nmov.b32 %r13, %f13;\n"
                             "mov.b32 %r14, %f14;\n");
    return text;
}

#endif
