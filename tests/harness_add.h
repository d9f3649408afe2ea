/* harness_add: a kernel for tests of launches, as PTX. add(sum, value): *sum += value, by every
 * thread, unordered: give it one. */
#ifndef MOTET_TESTS_HARNESS_ADD_H
#define MOTET_TESTS_HARNESS_ADD_H

static const char add_ptx[] = ".version 8.0\n"
                              ".target sm_80\n"
                              ".address_size 64\n"
                              ".visible .entry add(.param .u64 sum, .param .u32 value)\n"
                              "{\n"
                              "    .reg .b32 %r<4>;\n"
                              "    .reg .b64 %rd<3>;\n"
                              "    ld.param.u64 %rd1, [sum];\n"
                              "    ld.param.u32 %r1, [value];\n"
                              "    cvta.to.global.u64 %rd2, %rd1;\n"
                              "    ld.global.u32 %r2, [%rd2];\n"
                              "    add.s32 %r3, %r2, %r1;\n"
                              "    st.global.u32 [%rd2], %r3;\n"
                              "    ret;\n"
                              "}\n";

#endif
