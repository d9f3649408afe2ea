/* TMA: boxes with every swizzle and edge, stores, groups, and planted bugs with their lines. */
#include "tests/softgpu/driver.h"
#include "tests/softgpu/hopper_case.h"

#define COLS 100
#define PITCH 208 /* bytes */
#define ROWS 50
#define TALL 20 /* rows of a box */

#define TILE                                                                \
    ".shared .align 1024 .b8 tile[16384];\n.shared .align 8 .b8 bar[16];\n" \
    ".reg .b32 %m, %tile, %own, %other;\n.reg .pred %q, %first;\n"
#define BEGIN                                                                             \
    "mov.u32 %m, bar;\nmov.u32 %tile, tile;\nadd.s32 %own, %tile, %t4;\n"                 \
    "xor.b32 %r1, %t4, 128;\nadd.s32 %other, %tile, %r1;\nsetp.eq.s32 %first, %tid, 0;\n" \
    "@%first mbarrier.init.shared::cta.b64 [%m], 1;\n"
#define PUBLISH "@%first fence.mbarrier_init.release.cluster;\n"
#define EXPECT "@%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], "
#define TENSOR_LOAD(rank, coordinates)                                                           \
    "@%first cp.async.bulk.tensor." rank ".shared::cluster.global.mbarrier::complete_tx::bytes " \
    "[%tile], [%c, {" coordinates "}], [%m];\n"
#define WAIT "W: mbarrier.try_wait.parity.shared::cta.b64 %q, [%m], 0;\n@!%q bra W;\n"
/* The words of the tile go to b. */
#define COPY_OUT(words)                                                              \
    "mov.u32 %r8, %tid;\nagain: shl.b32 %r9, %r8, 2;\nadd.s32 %r10, %tile, %r9;\n"   \
    "@4;ld.shared.u32 %r11, [%r10];\ncvt.u64.u32 %d9, %r9;\nadd.s64 %d9, %b, %d9;\n" \
    "st.global.u32 [%d9], %r11;\nmov.u32 %r12, %ntid.x;\nadd.s32 %r8, %r8, %r12;\n"  \
    "setp.lt.u32 %p9, %r8, " words ";\n@%p9 bra again;\n"

static uint16_t value_at(int y, int x) {
    return (uint16_t)(y * 256 + x + 1);
}

static struct {
    cuuint32_t rank, box[3];
    cuuint64_t dims[3], strides[2];
    CUtensorMapSwizzle swizzle;
    bool into_b;
} wanted;

static void make_map(const sg_case *one) {
    static CUtensorMap map;
    const cuuint32_t ones[3] = {1, 1, 1};
    assert_int_equal(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_UINT16, wanted.rank,
                                            (void *)(uintptr_t)(wanted.into_b ? one->b : one->a),
                                            wanted.dims, wanted.strides, wanted.box, ones,
                                            CU_TENSOR_MAP_INTERLEAVE_NONE, wanted.swizzle,
                                            CU_TENSOR_MAP_L2_PROMOTION_NONE,
                                            CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                     CUDA_SUCCESS);
    memcpy(sg_memory_host(one->c, sizeof map, true), &map, sizeof map);
}

static void want_matrix(int box_cols, CUtensorMapSwizzle swizzle, bool into_b) {
    wanted.rank = 2;
    wanted.dims[0] = COLS;
    wanted.dims[1] = ROWS;
    wanted.strides[0] = PITCH;
    wanted.box[0] = (cuuint32_t)box_cols;
    wanted.box[1] = TALL;
    wanted.swizzle = swizzle;
    wanted.into_b = into_b;
    hopper_prepare = make_map;
}

static void fill(unsigned char *bytes) {
    memset(bytes, 0xee, ROWS * PITCH);
    for (int y = 0; y < ROWS; y++)
        for (int x = 0; x < COLS; x++) {
            const uint16_t value = value_at(y, x);
            memcpy(bytes + y * PITCH + 2 * x, &value, 2);
        }
}

/* Where element x of row y of a box lies: the documents' pictures, unit by unit of 16 bytes. */
static int position(int y, int x, int row_bytes, int swizzle) {
    const int unit = 2 * x / 16;
    const int moved = swizzle == 3   ? unit ^ (y % 8)
                      : swizzle == 2 ? unit ^ (y / 2 % 4)
                      : swizzle == 1 ? unit ^ (y / 4 % 2)
                                     : unit;
    return y * row_bytes + moved * 16 + 2 * x % 16;
}

static void loads_of_every_swizzle(void **state) {
    (void)state;
    static unsigned char matrix[ROWS * PITCH];
    static const int corners[][2] = {{16, 5}, {-8, -3}, {90, 40}, {200, 0}};
    fill(matrix);
    for (int swizzle = 0; swizzle < 4; swizzle++)
        for (int i = 0; i < 4; i++) {
            const int cols = swizzle ? 8 << swizzle : 24, row_bytes = 2 * cols;
            const char *body = hopper_numbers(
                BEGIN PUBLISH
                "bar.sync 0;\n" EXPECT
                "$0;\nmov.s32 %r5, $1;\nmov.s32 %r6, $2;\n" TENSOR_LOAD("2d", "%r5, %r6")
                    WAIT COPY_OUT("$3"),
                (const long long[]){TALL * row_bytes, corners[i][0], corners[i][1],
                                    TALL * row_bytes / 4});
            want_matrix(cols, (CUtensorMapSwizzle)swizzle, false);
            const hopper h =
                hopper_run(TILE, body, 64, 0, matrix, sizeof matrix, NULL, 0, (uint64_t)i + 1);
            if (!h.fine) sg_case_print();
            assert_true(h.fine);
            const unsigned char *b = sg_memory_host(h.one.b, HOPPER_BYTES, false);
            for (int y = 0; y < TALL; y++)
                for (int x = 0; x < cols; x++) {
                    const int gy = corners[i][1] + y, gx = corners[i][0] + x;
                    const bool inside = gy >= 0 && gy < ROWS && gx >= 0 && gx < COLS;
                    uint16_t got;
                    memcpy(&got, b + position(y, x, row_bytes, swizzle), 2);
                    assert_int_equal(got, inside ? value_at(gy, gx) : 0);
                }
            hopper_end(&h);
        }
    hopper_prepare = NULL;
}

static void three_dimensions(void **state) {
    (void)state;
    static uint16_t cube[4 * 5 * 32];
    for (int i = 0; i < 640; i++)
        cube[i] = (uint16_t)(i + 1);
    memset(&wanted, 0, sizeof wanted);
    wanted.rank = 3;
    const cuuint64_t dims[3] = {32, 5, 4};
    const cuuint32_t box[3] = {8, 3, 2};
    memcpy(wanted.dims, dims, sizeof dims);
    memcpy(wanted.box, box, sizeof box);
    wanted.strides[0] = 64;
    wanted.strides[1] = 320;
    hopper_prepare = make_map;
    const hopper h = hopper_run(
        TILE,
        BEGIN PUBLISH "bar.sync 0;\n" EXPECT
                      "96;\nmov.s32 %r5, -1;\n" TENSOR_LOAD("3d", "4, 3, %r5") WAIT COPY_OUT("24"),
        32, 0, cube, sizeof cube, NULL, 0, 1);
    if (!h.fine) sg_case_print();
    assert_true(h.fine);
    const uint16_t *b = (const uint16_t *)(const void *)sg_memory_host(h.one.b, 96, false);
    for (int z = 0; z < 2; z++)
        for (int y = 0; y < 3; y++)
            for (int x = 0; x < 8; x++) {
                const bool inside = z - 1 >= 0 && y + 3 < 5;
                assert_int_equal(b[(z * 3 + y) * 8 + x],
                                 inside ? cube[((z - 1) * 5 + y + 3) * 32 + x + 4] : 0);
            }
    hopper_end(&h);
    hopper_prepare = NULL;
}

/* ---- Loads: 20 rows of 64 bytes, 1,280 bytes. */

#define LOADED(publish, bytes, load, wait) \
    BEGIN publish "bar.sync 0;\n" EXPECT bytes ";\n@2;" load "@3;" wait COPY_OUT("320")
#define LOAD TENSOR_LOAD("2d", "0, 0")

static void load_bugs(void **state) {
    (void)state;
    want_matrix(32, CU_TENSOR_MAP_SWIZZLE_64B, false);
    hopper_right(TILE, LOADED(PUBLISH, "1280", LOAD, WAIT), 64, 0, NULL);
    hopper_wrong(TILE, LOADED(PUBLISH, "1280", LOAD, ""), 64, SG_R_ASYNC_EARLY, 4);
    hopper_wrong(TILE, LOADED("", "1280", LOAD, WAIT), 64, SG_R_PROXY, 2);
    hopper_wrong(TILE, LOADED(PUBLISH, "1296", LOAD, WAIT), 64, SG_R_DEADLOCK, 3);
    hopper_wrong(TILE, LOADED(PUBLISH, "640", LOAD, WAIT), 64, SG_R_DEADLOCK, 3);
    /* Only thread 0 waits, and nothing tells the others: in flight to them, or a race. */
    hopper_caught(TILE, LOADED(PUBLISH, "1280", LOAD, "@!%first bra on;\n" WAIT "on:\n"), 64);
    hopper_right(TILE, LOADED(PUBLISH, "1280", LOAD, "@!%first bra on;\n" WAIT "on: bar.sync 0;\n"),
                 64, 0, NULL);
    hopper_wrong(TILE, LOADED(PUBLISH, "1280", "add.s32 %tile, %tile, 64;\n" LOAD, WAIT), 64,
                 SG_R_ALIGNMENT, 2);
    hopper_wrong(TILE, LOADED(PUBLISH, "1280", "add.s32 %tile, %tile, 16384;\n" LOAD, WAIT), 64,
                 SG_R_BOUNDS, 2);
    hopper_wrong(TILE, LOADED(PUBLISH, "1280", "add.s64 %c, %c, 256;\n" LOAD, WAIT), 64,
                 SG_R_MATRIX, 2);
    hopper_wrong(TILE, LOADED(PUBLISH, "1280", TENSOR_LOAD("3d", "0, 0, 0"), WAIT), 64, SG_R_MATRIX,
                 2);
    /* The block ends under it. */
    hopper_wrong(TILE, BEGIN PUBLISH "bar.sync 0;\n" EXPECT "1280;\n@2;" LOAD, 64, SG_R_ASYNC_EARLY,
                 2);
    /* A second load into what others may still read. */
#define TWICE(between)                  \
    LOADED(PUBLISH, "1280", LOAD, WAIT) \
    between EXPECT "1280;\n@5;" LOAD    \
                   "X: mbarrier.try_wait.parity.shared::cta.b64 %q, [%m], 1;\n@!%q bra X;\n"
    hopper_right(TILE, TWICE("bar.sync 0;\n"), 64, 0, NULL);
    hopper_wrong(TILE, TWICE(""), 64, SG_R_RACE, EITHER(5, 4));
    /* A tensor that is larger than its memory. */
    want_matrix(32, CU_TENSOR_MAP_SWIZZLE_64B, false);
    wanted.dims[1] = 100000;
    hopper_wrong(TILE, LOADED(PUBLISH, "1280", TENSOR_LOAD("2d", "0, 99000"), WAIT), 64,
                 SG_R_BOUNDS, 2);
    hopper_prepare = NULL;
}

/* ---- Stores. */

#define FILLED(fence, store, commit, wait)                                                \
    "mov.u32 %tile, tile;\nadd.s32 %own, %tile, %t4;\nsetp.eq.s32 %first, %tid, 0;\n"     \
    "mov.u32 %r8, %own;\nmov.u32 %r9, 0;\nagain: add.s32 %r10, %r9, %tid;\n"              \
    "@1;st.shared.u32 [%r8], %r10;\nadd.s32 %r8, %r8, 256;\nadd.s32 %r9, %r9, 64;\n"      \
    "setp.lt.s32 %p9, %r9, 320;\n@%p9 bra again;\n" fence "bar.sync 0;\n@2;" store commit \
    "@3;" wait
#define FENCE "fence.proxy.async.shared::cta;\n"
#define STORE(coordinates)                                                             \
    "@%first cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%c, {" coordinates \
    "}], [%tile];\n"
#define COMMIT "@%first cp.async.bulk.commit_group;\n"
#define DONE "@%first cp.async.bulk.wait_group 0;\n"
#define READ "@%first cp.async.bulk.wait_group.read 0;\n"

static void stores_are_clipped(void **state) {
    (void)state;
    for (int swizzle = 0; swizzle < 4; swizzle++) {
        const int cols = swizzle ? 8 << swizzle : 32, row_bytes = 2 * cols;
        want_matrix(cols, (CUtensorMapSwizzle)swizzle, true);
        wanted.box[1] = (cuuint32_t)(1280 / row_bytes);
        const hopper h =
            hopper_run(TILE, FILLED(FENCE, "mov.s32 %r5, -8;\n" STORE("%r5, 45"), COMMIT, DONE), 64,
                       0, NULL, 0, NULL, 0, 1);
        if (!h.fine) sg_case_print();
        assert_true(h.fine);
        const unsigned char *b = sg_memory_host(h.one.b, HOPPER_BYTES, false);
        for (int y = 0; y < ROWS + 10; y++)
            for (int x = 0; x < PITCH / 2; x++) {
                const int by = y - 45, bx = x + 8;
                const bool stored = by >= 0 && by < 1280 / row_bytes && y < ROWS && bx < cols;
                uint16_t got, pair[2];
                memcpy(&got, b + y * PITCH + 2 * x, 2);
                if (!stored) {
                    assert_int_equal(got, 0);
                    continue;
                }
                const int at = position(by, bx, row_bytes, swizzle);
                const uint32_t word = (uint32_t)at / 4;
                memcpy(pair, &word, 4);
                assert_int_equal(got, pair[at / 2 % 2]);
            }
        hopper_end(&h);
    }
    hopper_prepare = NULL;
}

static void store_bugs(void **state) {
    (void)state;
    want_matrix(32, CU_TENSOR_MAP_SWIZZLE_NONE, true);
#define STORED(fence, commit, wait) FILLED(fence, STORE("0, 0"), commit, wait)
    hopper_right(TILE, STORED(FENCE, COMMIT, DONE), 64, 0, NULL);
    hopper_right(TILE, STORED(FENCE, COMMIT, READ), 64, 0, NULL);
    hopper_wrong(TILE, STORED("", COMMIT, DONE), 64, SG_R_PROXY, 2);
    /* Who asks may fence for all whose stores it knows. */
    hopper_right(TILE, FILLED("", FENCE STORE("0, 0"), COMMIT, DONE), 64, 0, NULL);
    hopper_wrong(TILE, STORED(FENCE, COMMIT, ""), 64, SG_R_ASYNC_EARLY, 2);
    hopper_wrong(TILE, STORED(FENCE, "", READ), 64, SG_R_ASYNC_EARLY, 2);
    /* No barrier before. */
    hopper_wrong(TILE,
                 "mov.u32 %tile, tile;\nadd.s32 %own, %tile, %t4;\nsetp.eq.s32 %first, %tid, 0;\n"
                 "@1;st.shared.u32 [%own], %tid;\n" FENCE "@2;" STORE("0, 0") COMMIT DONE,
                 64, SG_R_RACE, EITHER(2, 1));
    /* The tile is filled again before it was read. */
#define REFILLED(wait) \
    STORED(FENCE, COMMIT, wait) "bar.sync 0;\n@5;st.shared.u32 [%own], %tid;\n" READ
    hopper_right(TILE, REFILLED(READ), 64, 0, NULL);
    hopper_wrong(TILE, REFILLED(""), 64, SG_R_RACE, 5);
    /* What was stored is read: .read is too little for that. */
#define REREAD(wait)                                     \
    STORED(FENCE, COMMIT, wait)                          \
    "bar.sync 0;\n@5;@%first ld.global.u32 %r5, [%b];\n" \
    "@%first st.global.u32 [%a], %r5;\n"
    hopper_right(TILE, REREAD(DONE), 64, 0, NULL);
    hopper_wrong(TILE, REREAD(READ), 64, SG_R_RACE, 5);
    hopper_prepare = NULL;
}

/* ---- Plain ranges. */

static void counts_up(const uint32_t *b, uint32_t threads) {
    for (uint32_t i = 0; i < threads; i++)
        assert_int_equal(b[i], i);
}

static void ranges(void **state) {
    (void)state;
#define RANGE(source, bytes, wait)                                                            \
    BEGIN PUBLISH                                                                             \
        "st.global.u32 [%at], %tid;\nfence.proxy.async;\nbar.sync 0;\n" EXPECT                \
        "256;\n@2;@%first cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes " \
        "[%tile], [" source "], " bytes ", [%m];\n" wait "@4;ld.shared.u32 %r5, [%own];\n"    \
        "st.global.u32 [%bt], %r5;\n"
    hopper_right(TILE, RANGE("%a", "256", WAIT), 64, 0, counts_up);
    hopper_wrong(TILE, RANGE("%a", "256", ""), 64, SG_R_ASYNC_EARLY, 4);
    hopper_wrong(TILE, RANGE("%a+8", "256", WAIT), 64, SG_R_ALIGNMENT, 2);
    hopper_wrong(TILE, RANGE("%a", "248", WAIT), 64, SG_R_ALIGNMENT, 2);
    hopper_wrong(TILE, RANGE("%a+131056", "256", WAIT), 64, SG_R_BOUNDS, 2);
    hopper_right(TILE,
                 FILLED(FENCE,
                        "@%first cp.async.bulk.global.shared::cta.bulk_group [%b], [%tile], 256;\n",
                        COMMIT, DONE),
                 64, 0, counts_up);
    /* Whole warps that ask for one and the same store make one. */
    hopper_right(TILE,
                 FILLED(FENCE,
                        "setp.lt.u32 %first, %tid, 32;\n"
                        "@%first cp.async.bulk.global.shared::cta.bulk_group [%b], [%tile], 256;\n",
                        COMMIT, DONE),
                 64, 0, counts_up);
}

/* ---- cuTensorMapEncodeTiled. */

static void arguments(void **state) {
    (void)state;
    static CUtensorMap map;
    const cuuint64_t dims[2] = {COLS, ROWS}, strides[1] = {PITCH};
    const cuuint32_t box[2] = {32, 8}, ones[2] = {1, 1};
#define ENCODE(map, type, rank, address, dims, strides, box, steps, interleave, swizzle, fill)  \
    cuTensorMapEncodeTiled(                                                                     \
        map, CU_TENSOR_MAP_DATA_TYPE_##type, rank, (void *)(uintptr_t)(address), dims, strides, \
        box, steps, CU_TENSOR_MAP_INTERLEAVE_##interleave, CU_TENSOR_MAP_SWIZZLE_##swizzle,     \
        CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_##fill)
    assert_int_equal(ENCODE(&map, BFLOAT16, 2, 4096, dims, strides, box, ones, NONE, 64B, NONE),
                     CUDA_SUCCESS);
    CUtensorMap *odd = (CUtensorMap *)((uintptr_t)&map + 16);
    const cuuint64_t zero[2] = {0, ROWS}, ragged[1] = {200}, far[1] = {1ull << 40};
    const cuuint32_t wide[2] = {257, 8}, empty[2] = {0, 8}, thin[2] = {20, 8}, twos[2] = {1, 2};
#define REFUSED(...)                                                     \
    do {                                                                 \
        sg_report_clear();                                               \
        assert_int_equal(ENCODE(__VA_ARGS__), CUDA_ERROR_INVALID_VALUE); \
        assert_int_equal(sg_case_reports(SG_R_LAUNCH, -1), 1);           \
    } while (0)
    REFUSED(odd, BFLOAT16, 2, 4096, dims, strides, box, ones, NONE, 64B, NONE);
    REFUSED(NULL, BFLOAT16, 2, 4096, dims, strides, box, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 0, 4096, dims, strides, box, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 6, 4096, dims, strides, box, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4104, dims, strides, box, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, zero, strides, box, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, ragged, box, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, far, box, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, strides, wide, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, strides, empty, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, strides, thin, ones, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, strides, box, twos, NONE, 64B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, strides, box, ones, NONE, 32B, NONE);
    REFUSED(&map, BFLOAT16, 2, 4096, dims, strides, box, ones, 16B, 64B, NONE);
    REFUSED(&map, INT32, 2, 4096, dims, strides, box, ones, NONE, 128B, NAN_REQUEST_ZERO_FMA);
    sg_report_clear();
}

/* ---- As a program launches it: the map is a parameter, the launch has attributes. */

static const char whole[] =
    ".version 8.0\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .align 64 .b8 k_map[128], .param .u64 k_b)\n{\n"
    ".shared .align 128 .b8 tile[256];\n.shared .align 8 .b8 bar[8];\n"
    ".reg .b64 %d<8>;\n.reg .b32 %r<8>;\n.reg .pred %q;\n"
    "mov.b64 %d1, k_map;\ncvta.param.u64 %d2, %d1;\nprefetch.tensormap [%d2];\n"
    "mbarrier.init.shared.b64 [bar], 1;\nfence.proxy.async;\n"
    "mbarrier.arrive.expect_tx.shared.b64 _, [bar], 64;\n"
    "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
    ".L2::cache_hint [tile], [%d2, {4}], [bar], 1152921504606846976;\n"
    "W: mbarrier.try_wait.parity.shared.b64 %q, [bar], 0;\n@!%q bra W;\n"
    "ld.param.u64 %d3, [k_b];\nld.shared.u32 %r1, [tile+8];\nst.global.u32 [%d3], %r1;\nret;\n}\n";

static void through_the_driver(void **state) {
    (void)state;
    CUcontext context;
    CUmodule module;
    CUfunction function;
    CUdeviceptr a, b;
    static CUtensorMap map;
    const cuuint64_t dims[1] = {64};
    const cuuint32_t box[1] = {16}, ones[1] = {1};
    uint32_t words[64], result = 0;
    for (uint32_t i = 0; i < 64; i++)
        words[i] = 1000 + i;
    sg_get_options()->arch = 90;
    sg_report_clear();
    assert_int_equal(cuInit(0), CUDA_SUCCESS);
    assert_int_equal(cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    assert_int_equal(cuCtxSetCurrent(context), CUDA_SUCCESS);
    assert_int_equal(cuModuleLoadData(&module, whole), CUDA_SUCCESS);
    assert_int_equal(cuModuleGetFunction(&function, module, "k"), CUDA_SUCCESS);
    assert_int_equal(cuMemAlloc(&a, sizeof words), CUDA_SUCCESS);
    assert_int_equal(cuMemAlloc(&b, 4), CUDA_SUCCESS);
    assert_int_equal(cuMemcpyAsync(a, (CUdeviceptr)(uintptr_t)words, sizeof words, NULL),
                     CUDA_SUCCESS);
    assert_int_equal(ENCODE(&map, UINT32, 1, a, dims, NULL, box, ones, NONE, NONE, NONE),
                     CUDA_SUCCESS);
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
                                   .value.clusterDim = {1, 1, 1}};
    CUlaunchConfig config = {.gridDimX = 1,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = 1,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .attrs = &attribute,
                             .numAttrs = 1};
    void *params[] = {&map, &b};
    assert_int_equal(cuLaunchKernelEx(&config, function, params, NULL), CUDA_SUCCESS);
    assert_int_equal(cuMemcpyAsync((CUdeviceptr)(uintptr_t)&result, b, 4, NULL), CUDA_SUCCESS);
    assert_int_equal(cuStreamSynchronize(NULL), CUDA_SUCCESS);
    assert_int_equal(result, 1000 + 4 + 2);
    attribute.value.clusterDim.x = 2;
    assert_int_equal(cuLaunchKernelEx(&config, function, params, NULL), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(sg_report_count(), 0);
    cuMemFree(a);
    cuMemFree(b);
    cuModuleUnload(module);
    cuDevicePrimaryCtxRelease(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_of_every_swizzle),
        cmocka_unit_test(three_dimensions),
        cmocka_unit_test(load_bugs),
        cmocka_unit_test(stores_are_clipped),
        cmocka_unit_test(store_bugs),
        cmocka_unit_test(ranges),
        cmocka_unit_test(arguments),
        cmocka_unit_test(through_the_driver),
    };
    sg_get_options()->expect = true;
    sg_get_options()->full = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
