/* case: how tests launch a kernel that is written as a PTX string. */
#ifndef SOFTGPU_CASE_H
#define SOFTGPU_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/softgpu/counters.h"
#include "tests/softgpu/launch.h"
#include "tests/softgpu/memory.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

/* Wraps a body into kernel k(a, b, c): three addresses, already in %a, %b, %c; %tid.x in %tid,
 * %ctaid.x in %block, the lane in %lane, tid * 4 in %t4 and %t8, the thread's number in the grid
 * times 4 in %g8, a + %g8 in %at and so on for b and c. SG_LINE(n): what follows is of line n. */
#define SG_CASE(declarations, body) SG_CASE_HEAD declarations SG_CASE_MIDDLE body SG_CASE_TAIL
#define SG_CASE_HEAD                                                                \
    ".version 8.0\n.target sm_80\n.address_size 64\n"                               \
    ".visible .entry k(.param .u64 k_a, .param .u64 k_b, .param .u64 k_c)\n{\n"     \
    ".reg .pred %p<16>;\n.reg .b16 %h<16>;\n.reg .b32 %r<32>;\n.reg .f32 %f<16>;\n" \
    ".reg .b64 %d<32>;\n.reg .b64 %a, %b, %c, %at, %bt, %ct, %t8, %g8;\n"           \
    ".reg .b32 %tid, %block, %lane, %t4, %grid;\n"
#define SG_CASE_MIDDLE                                                              \
    "\nld.param.u64 %a, [k_a];\nld.param.u64 %b, [k_b];\nld.param.u64 %c, [k_c];\n" \
    "mov.u32 %tid, %tid.x;\nmov.u32 %block, %ctaid.x;\nand.b32 %lane, %tid, 31;\n"  \
    "shl.b32 %t4, %tid, 2;\ncvt.u64.u32 %t8, %t4;\nmov.u32 %grid, %ntid.x;\n"       \
    "mad.lo.s32 %grid, %grid, %block, %tid;\nmul.wide.u32 %g8, %grid, 4;\n"         \
    "add.s64 %at, %a, %g8;\nadd.s64 %bt, %b, %g8;\nadd.s64 %ct, %c, %g8;\n"
#define SG_CASE_TAIL "\nret;\n}\n.file 1 \"case.cu\"\n"
#define SG_LINE(n) "\n.loc 1 " #n " 0\n"

/* The same with a body that is known at run time; valid until the next call. */
static inline const char *sg_case_text(const char *declarations, const char *body) {
    static char text[16384];
    snprintf(text, sizeof text, "%s%s%s%s%s", SG_CASE_HEAD, declarations, SG_CASE_MIDDLE, body,
             SG_CASE_TAIL);
    return text;
}

typedef struct sg_case {
    uint64_t a, b, c; /* addresses */
    uint32_t blocks, threads;
    uint64_t dynamic_shared;
} sg_case;

/* Launches once; false if anything was reported. Counters, if wanted, are those of this shape. */
static inline bool sg_case_run(const char *ptx, const sg_case *one, sg_counters *counters) {
    char sentence[512] = "";
    sg_loaded *loaded = NULL;
    if (!sg_loaded_make(&loaded, ptx, sentence, sizeof sentence)) fail_msg("%s", sentence);
    sg_kernel *kernel = sg_loaded_kernel(loaded, "k");
    assert_non_null(kernel);
    const uint32_t blocks[3] = {one->blocks, 1, 1}, threads[3] = {one->threads, 1, 1};
    const uint64_t params[3] = {one->a, one->b, one->c};
    sg_counters *all = sg_counters_of("k", blocks, threads, one->dynamic_shared);
    memset(all, 0, sizeof *all);
    bool fine = sg_kernel_launch(kernel, blocks, threads, one->dynamic_shared, params);
    if (counters) *counters = *all;
    sg_loaded_free(loaded);
    return fine;
}

/* Of this kind at this line of the case: how many. */
static inline int sg_case_reports(sg_report_kind kind, int line) {
    int found = 0;
    for (int i = 0; i < sg_report_count(); i++) {
        const sg_reported *r = sg_report_get(i);
        if (r->kind == kind && (line < 0 || r->line == line)) found++;
    }
    return found;
}

static inline void sg_case_print(void) {
    for (int i = 0; i < sg_report_count(); i++)
        print_message("  line %d: %s\n", sg_report_get(i)->line, sg_report_get(i)->sentence);
}

static inline uint64_t sg_case_memory(uint64_t bytes, bool zeroed) {
    uint64_t address = 0;
    assert_true(sg_memory_take(&address, bytes, "test memory"));
    if (zeroed) memset(sg_memory_host(address, bytes, true), 0, bytes);
    return address;
}

static inline sg_case sg_case_three(uint32_t blocks, uint32_t threads) {
    return (sg_case){.blocks = blocks,
                     .threads = threads,
                     .a = sg_case_memory(4096, true),
                     .b = sg_case_memory(4096, true),
                     .c = sg_case_memory(4096, true)};
}
static inline void sg_case_give_back(const sg_case *one) {
    assert_true(sg_memory_give_back(one->a));
    assert_true(sg_memory_give_back(one->b));
    assert_true(sg_memory_give_back(one->c));
    sg_report_clear();
}

/* Runs and wants exactly one report, of this kind at line 1, with these words in it. */
static inline void sg_case_wants(const char *ptx, const sg_case *one, sg_report_kind kind,
                                 const char *words) {
    sg_report_clear();
    bool fine = sg_case_run(ptx, one, NULL);
    if (fine || sg_report_count() != 1 || sg_case_reports(kind, 1) != 1 ||
        !strstr(sg_report_get(0)->sentence, words)) {
        sg_case_print();
        fail_msg("%d reports, wanted one that says '%s'", sg_report_count(), words);
    }
    sg_report_clear();
}
static inline void sg_case_wants_none(const char *ptx, const sg_case *one, sg_counters *counters) {
    sg_report_clear();
    if (!sg_case_run(ptx, one, counters) || sg_report_count()) {
        sg_case_print();
        fail_msg("%d reports, wanted none", sg_report_count());
    }
}

#endif
