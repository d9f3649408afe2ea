/* The kernel that tells cuDNN about packed sequences, on the driver that MOTET_CUDA_DRIVER names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cudnn_job.h"
#include "kernels/cuda/device.h"

MOTET_CUDA_MODULE(cudnn);
static motet_cuda_kernel prepare = {.module = &cudnn_module, .name = "motet_cudnn_prepare"};

enum { SEQUENCES = 4, BATCH = 8, LIST = 12, HEADS = 2, WIDTH = 40, ROWS = 11 };
static const int32_t q_rows[SEQUENCES + 1] = {0, 5, 5, 8, 10}; /* the second has no queries, */
static const int32_t k_rows[SEQUENCES + 1] = {0, 5, 9, 9, 11}; /* the third no keys */
enum { Q_PITCH = 250, K_PITCH = 170, V_PITCH = 180, OUT_PITCH = 100 };

static void need(motet_status status) {
    if (status != MOTET_OK) fail_msg("%s (%s)", motet_error(), motet_error_where());
}

static void *take(size_t bytes) {
    void *block;
    need(motet_cuda_memory.take(&block, bytes, MOTET_SHARED));
    memset(block, 0x5a, bytes);
    return block;
}
static void give_back(void *block) {
    motet_cuda_memory.give_back(block, MOTET_SHARED);
}

static void run(motet_cudnn_job j) {
    int32_t *offsets = take(2 * sizeof q_rows);
    memcpy(offsets, q_rows, sizeof q_rows);
    memcpy(offsets + SEQUENCES + 1, k_rows, sizeof k_rows);
    j.q_offsets = offsets;
    j.k_offsets = offsets + SEQUENCES + 1;
    j.sequences = SEQUENCES, j.batch = BATCH, j.list = LIST, j.heads = HEADS, j.width = WIDTH;
    const int64_t pitch[4] = {Q_PITCH, K_PITCH, V_PITCH, OUT_PITCH};
    memcpy(j.pitch, pitch, sizeof pitch);
    need(motet_cuda_launch(&prepare, (motet_cuda_grid){BATCH + 1, 1, 1}, CUDNN_THREADS, 0,
                           MOTET_CUDA_ARGS(&j)));
    need(motet_cuda_memory.synchronize());
    give_back(offsets);
}

/* Zeros in rows first..end-1, HEADS * WIDTH of each; all else as it was. */
static void blank_rows(const uint16_t *rows, int64_t pitch, int first, int end) {
    for (int row = 0; row < ROWS; row++)
        for (int64_t c = 0; c < pitch; c++) {
            bool inside = row >= first && row < end && c < (int64_t)HEADS * WIDTH;
            if (rows[row * pitch + c] != (inside ? 0 : 0x5a5a))
                fail_msg("row %d, column %d is %d", row, (int)c, rows[row * pitch + c]);
        }
}

static void check_lists(const int32_t *lists) {
    const int32_t q_lengths[BATCH] = {5, 0, 0, 2}, k_lengths[BATCH] = {5, 0, 0, 2};
    assert_memory_equal(lists, q_lengths, sizeof q_lengths);
    assert_memory_equal(lists + LIST, k_lengths, sizeof k_lengths);
    for (int s = 0; s <= BATCH; s++) {
        int at = s < SEQUENCES ? s : SEQUENCES;
        assert_int_equal(lists[2 * LIST + s], q_rows[at] * Q_PITCH);
        assert_int_equal(lists[3 * LIST + s], k_rows[at] * K_PITCH);
        assert_int_equal(lists[4 * LIST + s], k_rows[at] * V_PITCH);
        assert_int_equal(lists[5 * LIST + s], q_rows[at] * OUT_PITCH);
        assert_int_equal(lists[6 * LIST + s], q_rows[at] * HEADS);
    }
}

static void forward(void **state) {
    (void)state;
    int32_t *lists = take(CUDNN_LISTS * LIST * sizeof *lists);
    uint16_t *out = take(ROWS * OUT_PITCH * sizeof *out);
    float *lse = take(ROWS * HEADS * sizeof *lse), was = lse[0];
    run((motet_cudnn_job){.lists = lists, .per_query = out, .query_pitch = OUT_PITCH, .lse = lse});
    check_lists(lists);
    blank_rows(out, OUT_PITCH, 5, 8);
    for (int i = 0; i < ROWS * HEADS; i++)
        assert_true(i >= 5 * HEADS && i < 8 * HEADS ? isinf(lse[i]) && lse[i] < 0 : lse[i] == was);
    give_back(lists);
    give_back(out);
    give_back(lse);
}

static void backward(void **state) {
    (void)state;
    int32_t *lists = take(CUDNN_LISTS * LIST * sizeof *lists);
    uint16_t *dq = take(ROWS * Q_PITCH * sizeof *dq);
    uint16_t *dk = take(ROWS * K_PITCH * sizeof *dk), *dv = take(ROWS * V_PITCH * sizeof *dv);
    run((motet_cudnn_job){.lists = lists,
                          .per_query = dq,
                          .query_pitch = Q_PITCH,
                          .per_key = {dk, dv},
                          .key_pitch = {K_PITCH, V_PITCH}});
    check_lists(lists);
    blank_rows(dq, Q_PITCH, 5, 8);
    blank_rows(dk, K_PITCH, 5, 9);
    blank_rows(dv, V_PITCH, 5, 9);
    give_back(lists);
    give_back(dq);
    give_back(dk);
    give_back(dv);
}

static int open_device(void **state) {
    (void)state;
    const char *driver = getenv("MOTET_CUDA_DRIVER");
    if (driver) need(motet_cuda_device_open(0, driver));
    return 0;
}

static void no_driver(void **state) {
    (void)state;
    print_message("not run: MOTET_CUDA_DRIVER names no driver\n");
    skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(backward)};
    const struct CMUnitTest without[] = {cmocka_unit_test(no_driver)};
    if (!getenv("MOTET_CUDA_DRIVER")) return cmocka_run_group_tests(without, NULL, NULL);
    return cmocka_run_group_tests_name("cudnn_prepare", tests, open_device, NULL);
}
