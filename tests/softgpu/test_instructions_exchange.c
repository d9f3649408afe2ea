/* Instructions that look at other lanes, with the result of every lane. */
#include "tests/softgpu/schedule_case.h"

typedef uint32_t by_lane(int lane);
static const struct exchange {
    const char *body;
    by_lane *wanted;
} * exchange_now;

static void check_exchange(const uint32_t *b, const uint32_t *c, uint32_t threads) {
    (void)c;
    for (uint32_t i = 0; i < threads; i++)
        if (b[i] != exchange_now->wanted((int)i % 32))
            fail_msg("%s: lane %u has %#x, not %#x", exchange_now->body, i, b[i],
                     exchange_now->wanted((int)i % 32));
}

#define LANES(name, ...)                \
    static uint32_t name(int l) {       \
        return (uint32_t)(__VA_ARGS__); \
    }
LANES(shfl_bfly, 100 + (l ^ 5))
LANES(shfl_up, 100 + (l % 8 >= 3 ? l - 3 : l))
LANES(shfl_down, 100 + (l % 16 + 3 < 16 ? l + 3 : l))
LANES(shfl_idx, 100 + 7 + 0 * l)
LANES(shfl_segment, 100 + (l / 8 * 8 + 2))
LANES(shfl_inside, l % 8 >= 3)
LANES(half_shuffled, l < 16 ? 100 + (l ^ 1) : 0)
LANES(tile_shuffled, 100 + (l ^ 8))
LANES(vote_ballot, 0x0000ffe0u + 0 * l)
LANES(vote_all, l * 0)
LANES(vote_any, 1 + l * 0)
LANES(vote_uni, l * 0)
LANES(ballot_tile, l < 16 ? 0xffe0 : 0xf0000000)
LANES(redux_add, 31 * 16 + 0 * l)
LANES(redux_min, (uint32_t)-16 + 0u * (uint32_t)l)
LANES(redux_max, 15 + 0 * l)
LANES(redux_umax, UINT32_MAX + 0u * (uint32_t)l)
LANES(redux_xor, 0 * l)
LANES(redux_or, 31 + 0 * l)
LANES(match_any, 0x01010101u << l % 8)
LANES(match_all, 0 * l)
LANES(elected, l == 4)
LANES(elected_lane, l >= 4 ? 4 : 0)
LANES(active, l < 4 ? 0xf : 0xfffffff0)

static void exchanges(void **state) {
    (void)state;
    static const struct exchange cases[] = {
        {"shfl.sync.bfly.b32 %r1, %r2, 5, 31, -1;", shfl_bfly},
        {"shfl.sync.up.b32 %r1, %r2, 3, 0x1800, -1;", shfl_up},
        {"shfl.sync.up.b32 %r1|%p1, %r2, 3, 0x1800, -1; selp.u32 %r1, 1, 0, %p1;", shfl_inside},
        {"shfl.sync.down.b32 %r1, %r2, 3, 0x101f, -1;", shfl_down},
        {"shfl.sync.idx.b32 %r1, %r2, 7, 31, -1;", shfl_idx},
        {"shfl.sync.idx.b32 %r1, %r2, 2, 0x181f, -1;", shfl_segment},
        {"setp.lt.u32 %p1, %lane, 16;\n@%p1 shfl.sync.bfly.b32 %r1, %r2, 1, 31, 0xffff;",
         half_shuffled},
        {"setp.lt.u32 %p1, %lane, 16;\nselp.b32 %r3, 0xffff, 0xffff0000, %p1;\n"
         "shfl.sync.bfly.b32 %r1, %r2, 8, 31, %r3;",
         tile_shuffled},
        {"setp.gt.u32 %p1, %lane, 4;\nsetp.lt.and.u32 %p1, %lane, 16, %p1;\n"
         "vote.sync.ballot.b32 %r1, %p1, -1;",
         vote_ballot},
        {"setp.gt.u32 %p1, %lane, 4;\nvote.sync.all.pred %p2, %p1, -1;\nselp.u32 %r1,1,0,%p2;",
         vote_all},
        {"setp.gt.u32 %p1, %lane, 4;\nvote.sync.any.pred %p2, !%p1, -1;\nselp.u32 %r1,1,0,%p2;",
         vote_any},
        {"setp.gt.u32 %p1, %lane, 4;\nvote.sync.uni.pred %p2, %p1, -1;\nselp.u32 %r1,1,0,%p2;",
         vote_uni},
        {"setp.gt.u32 %p2, %lane, 15;\nselp.b32 %r3, 28, 5, %p2;\nsetp.ge.u32 %p1, %lane, %r3;\n"
         "selp.b32 %r3, 0xffff0000, 0xffff, %p2;\nvote.sync.ballot.b32 %r1, %p1, %r3;",
         ballot_tile},
        {"redux.sync.add.u32 %r1, %lane, -1;", redux_add},
        {"sub.s32 %r3, %lane, 16;\nredux.sync.min.s32 %r1, %r3, -1;", redux_min},
        {"sub.s32 %r3, %lane, 16;\nredux.sync.max.s32 %r1, %r3, -1;", redux_max},
        {"sub.s32 %r3, %lane, 16;\nredux.sync.max.u32 %r1, %r3, -1;", redux_umax},
        {"redux.sync.xor.b32 %r1, %lane, -1;", redux_xor},
        {"redux.sync.or.b32 %r1, %lane, -1;", redux_or},
        {"and.b32 %r3, %lane, 7;\nmatch.any.sync.b32 %r1, %r3, -1;", match_any},
        {"and.b32 %r3, %lane, 7;\nmatch.all.sync.b32 %r1|%p1, %r3, -1;", match_all},
        {"setp.gt.u32 %p2, %lane, 3;\n@%p2 elect.sync %r3|%p1, 0xfffffff0;\n"
         "and.pred %p1, %p1, %p2;\nselp.u32 %r1, 1, 0, %p1;",
         elected},
        {"setp.gt.u32 %p2, %lane, 3;\n@%p2 elect.sync %r1|%p1, 0xfffffff0;", elected_lane},
        {"setp.gt.u32 %p2, %lane, 3;\n@%p2 bra M;\nactivemask.b32 %r1;\nbra N;\n"
         "M: activemask.b32 %r1;\nN:",
         active},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[600];
        snprintf(body, sizeof body,
                 "mov.u32 %%r1, 0;\nsetp.ne.u32 %%p1, 0, 0;\nadd.s32 %%r2, %%lane, 100;\n%s\n"
                 "st.global.u32 [%%bt], %%r1;",
                 cases[i].body);
        exchange_now = &cases[i];
        run_right(sg_case_text("", body), 1, 64, check_exchange);
    }
}

int main(void) {
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    const struct CMUnitTest tests[] = {cmocka_unit_test(exchanges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
