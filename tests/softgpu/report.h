/* report: what softgpu found wrong. Each report has a kind, a sentence, and the source line; the
 * same kind at the same instruction is reported once a launch. All go to stderr, or as JSON lines
 * to the file SOFTGPU_REPORT names; at exit a process that made any exits with 86 whatever it
 * wanted to return. SOFTGPU_EXPECT=1 (softgpu's own tests): they are only kept, to be asked for.
 */
#ifndef SOFTGPU_REPORT_H
#define SOFTGPU_REPORT_H

#include "tests/softgpu/warp.h"

/* X(NAME, "word") */
#define SG_REPORTS(X)                                                   \
    X(BOUNDS, "out of bounds")                                          \
    X(FREED, "use after free")                                          \
    X(SPACE, "wrong address space")                                     \
    X(ALIGNMENT, "misaligned")                                          \
    X(UNWRITTEN, "unwritten bytes used")                                \
    X(RACE, "race")                                                     \
    X(ASYNC_EARLY, "asynchronous copy read before its wait")            \
    X(PROXY, "missing proxy fence")                                     \
    X(BARRIER, "barrier misused")                                       \
    X(DEADLOCK, "deadlock")                                             \
    X(STEPS, "too many instructions")                                   \
    X(WARP_SYNC, "warp-wide instruction by part of the lanes it names") \
    X(MATRIX, "matrix instruction misused")                             \
    X(LAUNCH, "launch limit")                                           \
    X(UNKNOWN, "unknown instruction")                                   \
    X(TRAP, "trap")                                                     \
    X(HANDLE, "wrong handle")                                           \
    X(LEAK, "device memory not given back")

typedef enum sg_report_kind {
#define X(name, word) SG_R_##name,
    SG_REPORTS(X)
#undef X
        SG_REPORT_KINDS
} sg_report_kind;

/* warp and op may be NULL (host side). lanes: those concerned. */
void sg_report(sg_report_kind kind, const sg_warp *warp, const sg_op *op, uint32_t lanes,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same with a place of its own, for what concerns two places: "other" is told in the text. */
void sg_report_at(sg_report_kind kind, const sg_module *module, const sg_place *place,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

typedef struct sg_reported {
    sg_report_kind kind;
    char kernel[96], file[96];
    int line, ptx_line;
    char sentence[512];
} sg_reported;
int sg_report_count(void);
const sg_reported *sg_report_get(int i);
void sg_report_clear(void);

#endif
