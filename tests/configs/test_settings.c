/* The table of settings: text and back, ranges, errors that name file, line and nearest spelling.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "configs/settings.h"
#include "kernels/core/nearest.h"

static motet_settings fresh(void) {
    motet_settings settings;
    motet_settings_default(&settings);
    return settings;
}

static void assert_refused(motet_status status, motet_status code, const char *words) {
    assert_int_equal(status, code);
    if (!strstr(motet_error(), words)) fail_msg("\"%s\" lacks \"%s\"", motet_error(), words);
}

static void test_defaults(void **state) {
    (void)state;
    motet_settings s = fresh();
    assert_int_equal(s.model_width, 256);
    assert_int_equal(s.train_steps, 10000);
    assert_true(s.train_muon_lr == 0.004f);
    assert_string_equal(s.train_dtype, "bf16");
    assert_string_equal(s.run_dir, "runs/mini");
    assert_int_equal(motet_settings_check(&s), MOTET_OK);
}

static void test_text_round_trip(void **state) {
    (void)state;
    motet_settings s = fresh(), back = fresh();
    s.model_width = 320;
    s.train_seed = INT64_MAX;
    s.train_muon_lr = 0.1f + 1e-8f;
    s.train_beta2 = 0.98765433f;
    memset(s.data_corpus, 'x', MOTET_SETTING_TEXT - 1); /* longer than many INI readers take */
    s.data_corpus[MOTET_SETTING_TEXT - 1] = 0;
    snprintf(s.run_dir, sizeof s.run_dir, "a dir = with; marks#and spaces");
    char *text = motet_settings_text(&s, 0);
    assert_non_null(text);
    assert_int_equal(motet_settings_read_text(&back, text, "text"), MOTET_OK);
    assert_memory_equal(&s, &back, sizeof s);
    free(text);
    text = motet_settings_text(&s, 1);
    assert_non_null(strstr(text, "width = 320"));
    assert_null(strstr(text, "[train]"));
    free(text);
}

static void test_reads_ini(void **state) {
    (void)state;
    motet_settings s = fresh();
    const char *text = "\xef\xbb\xbf# comment\r\n; another\r\n\r\n [ train ] # rest\r\n"
                       "\tsteps=7\r\nmuon_lr = 1e-3 ; slow\r\n[run]\r\ndir = x y";
    assert_int_equal(motet_settings_read_text(&s, text, "text"), MOTET_OK);
    assert_int_equal(s.train_steps, 7);
    assert_true(s.train_muon_lr == 0.001f);
    assert_string_equal(s.run_dir, "x y");
}

static void test_ini_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"[train]\nsteps = 5\nstep = 6\n", "here.ini:3: unknown setting train.step, did you mean "
                                           "train.steps?"},
        {"[model]\nwdith = 6\n", "here.ini:2: unknown setting model.wdith, did you mean "
                                 "model.width?"},
        {"[train]\nrows = 15\n", "here.ini:2: train.rows: 15 is out of range, use 16 to 1048576"},
        {"[train]\nrows = 99999999999999999999\n", "out of range"},
        {"[train]\nrows = 16x\n", "\"16x\" is not a whole number"},
        {"[train]\nrows =\n", "\"\" is not a whole number"},
        {"[train]\nclip = much\n", "\"much\" is not a number"},
        {"[train]\nclip = nan\n", "not a number"},
        {"[train]\nclip = inf\n", "out of range, use 0 to 1e+06"},
        {"[train]\nclip\n", "here.ini:2: \"clip\" is not key = value"},
        {"clip = 1\n", "here.ini:1: \"clip = 1\" stands before the first [section]"},
        {"[train\n", "lacks its ]"},
        {"[train] x\n", "\"x\" after the section's name"},
        {"[run]\ndir = a\tb\n", "control character at byte 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        motet_settings s = fresh(), before = fresh();
        assert_refused(motet_settings_read_text(&s, cases[i].text, "here.ini"), MOTET_E_USAGE,
                       cases[i].words);
        assert_memory_equal(&s, &before, sizeof s); /* nothing is taken from a bad file */
    }
}

static void test_long_values_and_lines(void **state) {
    (void)state;
    motet_settings s = fresh();
    char text[4096] = "[run]\ndir = ";
    memset(text + strlen(text), 'y', 600);
    assert_refused(motet_settings_read_text(&s, text, "here.ini"), MOTET_E_USAGE,
                   "the text has 600 bytes, at most 511");
    memset(text + strlen(text), 'y', 2000);
    assert_refused(motet_settings_read_text(&s, text, "here.ini"), MOTET_E_USAGE,
                   "here.ini:2: the line has");
}

static void test_files(void **state) {
    (void)state;
    motet_settings s = fresh();
    assert_refused(motet_settings_read_file(&s, "/nonexistent/a.ini"), MOTET_E_IO,
                   "/nonexistent/a.ini");
    assert_refused(motet_settings_read_file(&s, "/"), MOTET_E_IO, "/: ");
    char path[] = "/tmp/motet-settings-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "[train]\n\0\n", 10), 10);
    close(file);
    assert_refused(motet_settings_read_file(&s, path), MOTET_E_USAGE, ":2: a zero byte");
    unlink(path);
}

/* The presets in the repository are readable, valid, and mini is the default. */
static void test_presets(void **state) {
    (void)state;
    static const char *const presets[] = {"configs/mini.ini", "configs/tiny.ini",
                                          "configs/small.ini", "configs/base.ini"};
    for (int i = 0; i < 4; i++) {
        motet_settings s = fresh(), start = fresh();
        if (motet_settings_read_file(&s, presets[i]) != MOTET_OK) fail_msg("%s", motet_error());
        assert_int_equal(motet_settings_check(&s), MOTET_OK);
        if (i == 0) assert_memory_equal(&s, &start, sizeof s);
    }
}

static void test_override(void **state) {
    (void)state;
    motet_settings s = fresh();
    assert_int_equal(motet_settings_override(&s, "--train.steps=12"), MOTET_OK);
    assert_int_equal(motet_settings_override(&s, "data.corpus=a=b.h5,c.h5"), MOTET_OK);
    assert_int_equal(s.train_steps, 12);
    assert_string_equal(s.data_corpus, "a=b.h5,c.h5");
    assert_refused(motet_settings_override(&s, "--train.stesp=1"), MOTET_E_USAGE,
                   "did you mean train.steps?");
    assert_refused(motet_settings_override(&s, "--train.steps"), MOTET_E_USAGE,
                   "is not section.key=value");
    assert_refused(motet_settings_override(&s, "--train.steps=-1"), MOTET_E_USAGE,
                   "use 0 to 1000000000");
    assert_refused(motet_settings_override(&s, "run.dir=a #b"), MOTET_E_USAGE, "comment");
    assert_refused(motet_settings_override(&s, "run.dir= a"), MOTET_E_USAGE, "blank");
    assert_refused(motet_settings_override(&s, "qqqqqqqq.zzzzzzzz=1"), MOTET_E_USAGE, "--help");
}

static void test_check(void **state) {
    (void)state;
    motet_settings s = fresh();
    s.model_heads = 3;
    assert_refused(motet_settings_check(&s), MOTET_E_USAGE, "model.width = 256 is not a multiple");
    s.model_heads = 1;
    assert_refused(motet_settings_check(&s), MOTET_E_USAGE, "must be 16, 32, 64 or 128");
    s = fresh();
    s.model_text_limit = 96, s.model_text_positions = 64;
    assert_refused(motet_settings_check(&s), MOTET_E_USAGE, "text_positions = 64");
    s = fresh();
    snprintf(s.train_dtype, sizeof s.train_dtype, "fp8");
    assert_refused(motet_settings_check(&s), MOTET_E_USAGE, "neither bf16 nor f32");
    s = fresh();
    s.train_text_frozen = 0;
    assert_refused(motet_settings_check(&s), MOTET_E_UNSUPPORTED, "no backward pass yet");
}

static void test_help(void **state) {
    (void)state;
    char *help = motet_settings_help();
    assert_non_null(help);
    assert_non_null(strstr(help, "--train.muon_lr=0.004"));
    assert_non_null(strstr(help, "(16 to 8192)"));
    int lines = 0;
    for (const char *c = help; *c; c++)
        lines += *c == '\n';
    assert_true(lines > 40);
    free(help);
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const words[] = {"piano", "violin", "viola", "cello"};
    assert_string_equal(motet_nearest("pinao", words, 4), "piano");
    assert_string_equal(motet_nearest("VIOLA", words, 4), "viola");
    assert_string_equal(motet_nearest("violinn", words, 4), "violin");
    assert_null(motet_nearest("xyzxyzxyz", words, 4));
    assert_null(motet_nearest("piano", words, 0));
    assert_null(motet_nearest("", words, 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_text_round_trip),
        cmocka_unit_test(test_reads_ini),
        cmocka_unit_test(test_ini_errors),
        cmocka_unit_test(test_long_values_and_lines),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_override),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
