/* instruction_case: how tests run one instruction on known values, with and without a guard. */
#ifndef SOFTGPU_INSTRUCTION_CASE_H
#define SOFTGPU_INSTRUCTION_CASE_H

#include "tests/softgpu/case.h"

#define OLD 0x0123456789abcdefull

/* Registers: x, y, z in %r2 %r3 %r4, and as %d, %h, %f, %g; whether they are not 0 in %p2 %p3 %p4.
 * result: the register 1 of which kind is looked at. */
static const char before[] =
    "mul.wide.u32 %d10, %lane, 24;\nadd.s64 %d10, %a, %d10;\n"
    "ld.global.u64 %d2, [%d10];\nld.global.u64 %d3, [%d10+8];\nld.global.u64 %d4, [%d10+16];\n"
    "mov.u64 %d1, 0x0123456789abcdef;\nmov.u32 %r1, 0x89abcdef;\nmov.u16 %h1, 0xcdef;\n"
    "mov.b32 %f1, %r1;\nmov.b64 %g1, %d1;\nsetp.ne.u32 %p1, 0, 0;\nmov.u32 %r5, %r1;\n"
    "cvt.u32.u64 %r2, %d2;\ncvt.u32.u64 %r3, %d3;\ncvt.u32.u64 %r4, %d4;\n"
    "mov.b32 %f2, %r2;\nmov.b32 %f3, %r3;\nmov.b32 %f4, %r4;\n"
    "cvt.u16.u64 %h2, %d2;\ncvt.u16.u64 %h3, %d3;\ncvt.u16.u64 %h4, %d4;\n"
    "mov.b64 %g2, %d2;\nmov.b64 %g3, %d3;\nmov.b64 %g4, %d4;\n"
    "setp.ne.u32 %p2, %r2, 0;\nsetp.ne.u32 %p3, %r3, 0;\nsetp.ne.u32 %p4, %r4, 0;\n"
    "and.b32 %r20, %lane, 1;\nsetp.eq.u32 %p15, %r20, 1;\n";
static const char after[] = "\nmul.wide.u32 %d10, %lane, 8;\nadd.s64 %d10, %b, %d10;\n"
                            "st.global.u64 [%d10], %d1;\n";

static inline const char *result_text(char result) {
    switch (result) {
    case 'r':
        return "\ncvt.u64.u32 %d1, %r1;";
    case 'f':
        return "\nmov.b32 %r1, %f1;\ncvt.u64.u32 %d1, %r1;";
    case 'h':
        return "\ncvt.u64.u16 %d1, %h1;";
    case 'g':
        return "\nmov.b64 %d1, %g1;";
    case 'p':
        return "\nselp.u64 %d1, 1, 0, %p1;";
    default:
        return "";
    }
}
static inline uint64_t old_of(char result) {
    return result == 'p'                    ? 0
           : result == 'h'                  ? OLD & 0xffff
           : result == 'd' || result == 'g' ? OLD
                                            : OLD & 0xffffffff;
}

/* Runs the instruction on in[lane][3]; false if it is refused or anything is reported. */
static inline bool compute(uint64_t out[32], const char *instruction, char result, bool odd_only,
                           const uint64_t in[32][3]) {
    static char body[4096];
    const uint64_t a = sg_case_memory(32 * 24, true), b = sg_case_memory(256, true);
    memcpy(sg_memory_host(a, 32 * 24, true), in, 32 * 24);
    snprintf(body, sizeof body, "%s%s%s%s%s", before, odd_only ? "@%p15 " : "", instruction,
             result_text(result), after);
    const sg_case one = {a, b, 0, 1, 32, 0};
    const bool fine =
        sg_case_run(sg_case_text(".reg .f64 %g<8>;\n.reg .b128 %q<4>;\n", body), &one, NULL);
    memcpy(out, sg_memory_host(b, 256, false), 256);
    sg_memory_give_back(a);
    sg_memory_give_back(b);
    return fine;
}

typedef struct row {
    const char *instruction;
    char result;
    uint64_t x, y, z, expected;
} row;

static inline void check_rows(const row *rows, size_t count) {
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        const row *r = &rows[i];
        uint64_t in[32][3], out[32];
        for (int l = 0; l < 32; l++) {
            in[l][0] = r->x;
            in[l][1] = r->y;
            in[l][2] = r->z;
        }
        for (int odd = 0; odd < 2; odd++) {
            sg_report_clear();
            if (!compute(out, r->instruction, r->result, odd, (const uint64_t(*)[3])in)) {
                print_message("%s does not run:\n", r->instruction);
                sg_case_print();
                failed++;
                break;
            }
            for (int l = 0; l < 32; l++) {
                const uint64_t wanted = odd && !(l & 1) ? old_of(r->result) : r->expected;
                if (out[l] == wanted) continue;
                print_message("%s of %#llx %#llx %#llx, lane %d: %#llx, not %#llx\n",
                              r->instruction, (unsigned long long)r->x, (unsigned long long)r->y,
                              (unsigned long long)r->z, l, (unsigned long long)out[l],
                              (unsigned long long)wanted);
                failed++;
                break;
            }
        }
    }
    assert_int_equal(failed, 0);
}
#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

#define ALL32 0xffffffffu
#define ALL64 UINT64_MAX

static inline uint64_t next_random(void) { /* xorshift */
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

#endif
