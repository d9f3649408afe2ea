/* Reports, options and counters: what a process says and how it ends. Options are read once a
 * process, so each case runs in a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/softgpu/counters.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

static char said[65536]; /* by the last child, on stderr */

/* Runs work in a child with NAME=value; its exit status. */
static int in_child(void (*work)(void), const char *name, const char *value) {
    char path[] = "/tmp/softgpu-said-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        static const char *const names[] = {
            "SOFTGPU_CHECK",     "SOFTGPU_SEED",   "SOFTGPU_ARCH",
            "SOFTGPU_MEMORY_MB", "SOFTGPU_STEPS",  "SOFTGPU_REPORT",
            "SOFTGPU_PROFILE",   "SOFTGPU_EXPECT", "SOFTGPU_RESIDENT"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            unsetenv(names[i]);
        if (name) setenv(name, value, 1);
        dup2(file, 2);
        work();
        exit(7);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    const ssize_t n = pread(file, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(file);
    unlink(path);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const char *read_file(const char *path) {
    static char text[16384];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    unlink(path);
    return text;
}

static int occurrences(const char *text, const char *word) {
    int n = 0;
    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

/* ---- A warp that stands at PTX line 8 of kernel k. */

static const char ptx[] = ".version 9.0\n.target sm_80\n.entry k()\n{\n .reg .b32 %r<2>;\n"
                          " .loc 1 31 0\n\n mov.b32 %r1, 1;\n ret;\n}\n.file 1 \"/a/k.cu\"\n";
static sg_module *module;
static sg_program program;
static sg_grid grid;
static sg_block block;
static sg_warp warp;
static sg_op op;

static void stand(void) {
    char sentence[200];
    if (!sg_module_parse(&module, ptx, sentence, sizeof sentence)) _exit(1);
    program = (sg_program){.module = module, .function = &module->functions[0]};
    grid = (sg_grid){.program = &program, .launch = 1};
    block = (sg_block){.grid = &grid, .index = {3, 2, 1}};
    warp = (sg_warp){.block = &block, .index = 5};
    op = (sg_op){.instruction = &module->functions[0].instructions[0]};
}

static void report_some(void) {
    stand();
    for (int i = 0; i < 3; i++) /* one launch: once */
        sg_report(SG_R_RACE, &warp, &op, 0xff, "byte %d was \"bad\"", 12 + i);
    sg_report(SG_R_BOUNDS, &warp, &op, 1, "another kind");
    grid.launch = 2;
    sg_report(SG_R_RACE, &warp, &op, 0xff, "again");
    sg_report(SG_R_HANDLE, NULL, NULL, 0, "cuMemFree: no such block");
    sg_report_at(SG_R_UNKNOWN, module, &op.instruction->place, "unknown thing");
    if (sg_report_count() != 5) _exit(1);
    const sg_reported *r = sg_report_get(0);
    if (r->kind != SG_R_RACE || strcmp(r->kernel, "k") || strcmp(r->file, "k.cu") ||
        r->line != 31 || r->ptx_line != 8 || strcmp(r->sentence, "byte 12 was \"bad\""))
        _exit(1);
    if (strcmp(sg_report_get(4)->kernel, "k") || sg_report_get(5)) _exit(1);
    sg_report_clear(); /* does not undo them */
    if (sg_report_count()) _exit(1);
}

static void reports(void **state) {
    (void)state;
    assert_int_equal(in_child(report_some, NULL, NULL), 86);
    assert_non_null(strstr(said, "softgpu: race: k.cu:31, PTX line 8: kernel k, block (3,2,1), "
                                 "warp 5, lanes 0x000000ff: byte 12 was \"bad\"\n"));
    assert_non_null(strstr(said, "softgpu: wrong handle: cuMemFree: no such block\n"));
    assert_non_null(strstr(said, "softgpu: unknown instruction: k.cu:31, PTX line 8: unknown"));
    assert_non_null(strstr(said, "softgpu: 5 reports\n"));
    assert_int_equal(occurrences(said, "\n"), 6);
    assert_int_equal(in_child(report_some, "SOFTGPU_EXPECT", "1"), 7);
    assert_string_equal(said, "");
}

static void report_files(void **state) {
    (void)state;
    char path[] = "/tmp/softgpu-report-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(in_child(report_some, "SOFTGPU_REPORT", path), 86);
    const char *text = read_file(path);
    assert_int_equal(occurrences(text, "\n"), 5);
    static const char first[] =
        "{\"kind\": \"race\", \"kernel\": \"k\", \"file\": \"k.cu\", \"line\": 31, \"ptx_line\": "
        "8, "
        "\"place\": \"k.cu:31, PTX line 8\", \"sentence\": \"byte 12 was \\\"bad\\\"\"}\n";
    assert_memory_equal(text, first, sizeof first - 1);
}

static void report_many(void) {
    stand();
    for (uint64_t i = 0; i < 1000; i++) {
        grid.launch = i + 1;
        sg_report(SG_R_BOUNDS, &warp, &op, 1, "far");
    }
}

static void many_reports(void **state) {
    (void)state;
    assert_int_equal(in_child(report_many, NULL, NULL), 86);
    assert_non_null(strstr(said, "softgpu: 1000 reports\n"));
    assert_in_range(occurrences(said, "\n"), 10, 100);
}

/* ---- Options. */

static void none_set(void) {
    const sg_options *o = sg_get_options();
    if (!o->full || o->seed != 1 || o->arch != 80 || o->memory_bytes != (uint64_t)8 << 30 ||
        o->steps != (uint64_t)1 << 33 || o->resident != 8 || o->report || o->profile || o->expect)
        _exit(1);
}
static void bounds_only(void) {
    if (sg_get_options()->full) _exit(1);
}
static void arch_90(void) {
    if (sg_get_options()->arch != 90) _exit(1);
}
static void one_megabyte(void) {
    if (sg_get_options()->memory_bytes != 1 << 20) _exit(1);
}
static void anything(void) {
    sg_get_options();
}

static void options(void **state) {
    (void)state;
    assert_int_equal(in_child(none_set, NULL, NULL), 7);
    assert_int_equal(in_child(bounds_only, "SOFTGPU_CHECK", "bounds"), 7);
    assert_int_equal(in_child(arch_90, "SOFTGPU_ARCH", "90"), 7);
    assert_int_equal(in_child(one_megabyte, "SOFTGPU_MEMORY_MB", "1"), 7);
    static const char *const wrong[][2] = {
        {"SOFTGPU_CHECK", "some"},  {"SOFTGPU_SEED", "-1"},
        {"SOFTGPU_SEED", "1x"},     {"SOFTGPU_ARCH", "86"},
        {"SOFTGPU_STEPS", "0"},     {"SOFTGPU_RESIDENT", "0"},
        {"SOFTGPU_MEMORY_MB", "0"}, {"SOFTGPU_EXPECT", "yes"},
        {"SOFTGPU_STEPS", " 1"},    {"SOFTGPU_SEED", "99999999999999999999"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(in_child(anything, wrong[i][0], wrong[i][1]), 2);
        char start[100];
        snprintf(start, sizeof start, "softgpu: %s=%s is not possible: give ", wrong[i][0],
                 wrong[i][1]);
        assert_int_equal(strncmp(said, start, strlen(start)), 0);
    }
}

/* ---- Counters. */

static void count_some(void) {
    const uint32_t blocks[3] = {2, 1, 1}, threads[3] = {64, 2, 1};
    sg_counters *c = sg_counters_of("k", blocks, threads, 128);
    c->launches = 3;
    c->instructions[SG_K_MMA] = 11;
    c->lanes[SG_K_INTEGER] = 12;
    c->global_sectors[1] = 13;
    c->mma_flops = (uint64_t)1 << 40;
    sg_counters *other = sg_counters_of("k", blocks, threads, 0);
    if (other == c || sg_counters_of("k", blocks, threads, 128) != c) _exit(1);
}

static void counters(void **state) {
    (void)state;
    char path[] = "/tmp/softgpu-profile-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(in_child(count_some, "SOFTGPU_PROFILE", path), 7);
    const char *text = read_file(path);
    assert_int_equal(occurrences(text, "\n"), 2);
    static const char start[] = "{\"kernel\": \"k\", \"grid\": [2, 1, 1], \"threads\": [64, 2, 1], "
                                "\"dynamic_shared\": 128, \"launches\": 3, \"blocks\": 0, ";
    assert_memory_equal(text, start, sizeof start - 1);
    assert_non_null(strstr(text, "\"mma\": 11}, \"lanes\": {\"integer\": 12, "));
    assert_non_null(strstr(text, "\"global_sectors\": [0, 13], "));
    assert_non_null(strstr(text, "\"mma_flops\": 1099511627776, "));
    assert_non_null(strstr(text, "\"async_bytes\": 0}\n"));
    assert_int_equal(in_child(count_some, "SOFTGPU_PROFILE", "/nowhere/x"), 7);
    assert_non_null(strstr(said, "cannot write the profile to /nowhere/x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reports), cmocka_unit_test(report_files),
                                       cmocka_unit_test(many_reports), cmocka_unit_test(options),
                                       cmocka_unit_test(counters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
