#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/build_parts.h"
#include "data/file.h"
#include "data/midi_write.h"
#include "tests/corpus/harness_shard.h"

/* A tune of `bars` bars of 4/4 for a program, moved by `shift` semitones. */
static void write_tune(const char *name, int bars, int notes_a_bar, unsigned seed, int shift) {
    static motet_note notes[60000];
    static motet_bar measures[4000];
    motet_tempo tempo = {0, 90 + seed % 60};
    motet_score score = {.notes = notes, .bars = measures, .tempos = &tempo, .tempo_count = 1};
    score.bar_count = bars;
    score.key = MOTET_NO_KEY;
    for (int b = 0; b < bars; b++) {
        measures[b] = (motet_bar){96 * b, 4, 4, (float)tempo.bpm};
        for (int n = 0; n < notes_a_bar; n++) {
            static const int SCALE[] = {0, 2, 4, 5, 7, 9, 11, 12};
            unsigned pick = (seed * 31 + (unsigned)(b * 5 + n * 3) + seed / 7 * (unsigned)n) % 8;
            notes[score.note_count++] = (motet_note){.start_ticks = 96 * b + 96 * n / notes_a_bar,
                                                     .duration_ticks = 96 / notes_a_bar,
                                                     .program = (uint8_t)(seed % 8),
                                                     .pitch = (uint8_t)(55 + SCALE[pick] + shift),
                                                     .velocity = 80};
        }
    }
    harness_write(name, "", 0); /* makes the folders */
    if (motet_midi_write_file(harness_path(name), &score, NULL)) fail_msg("%s", motet_error());
}

static void write_text(const char *name, const char *text) {
    harness_write(name, text, strlen(text));
}

static motet_build_options options_for(const char *const *paths, int count, const char *output) {
    return (motet_build_options){.paths = paths,
                                 .path_count = count,
                                 .output = output,
                                 .jobs = 2,
                                 .variants = 3,
                                 .valid_percent = 0};
}

static int64_t files_with(const motet_build_report *report, const char *reason) {
    int64_t files = 0;
    for (int i = 0; i < report->reason_count; i++)
        if (strstr(report->reasons[i].text, reason)) files += report->reasons[i].files;
    return files;
}

static void make_tunes(void) {
    if (harness_exists("tunes")) return;
    for (unsigned i = 0; i < 12; i++) {
        char name[64];
        snprintf(name, sizeof name, "tunes/%s/t%02u.mid", i % 2 ? "odd" : "even", i);
        write_tune(name, 8 + (int)i, 8, i + 3, 0);
    }
    write_tune("tunes/copy.MID", 9, 8, 4, 5); /* t01 in another key; sorts before its folder */
    write_tune("tunes/short.midi", 3, 8, 1, 0);
    write_tune("tunes/sparse.mid", 8, 1, 1, 0);
    write_text("tunes/readme.txt", "not music");
    write_text("tunes/broken.mid", "this is no MIDI file at all");
    write_text("tunes/empty.mid", "");
    write_text("tunes/.hidden.mid", "MThd");
    write_text("tunes/MANIFEST.tsv", "file\tsource\ttitle\tcomposer\tgroup\n"
                                     "even/t00.mid\tfirst source\tSong\tBach\t\n"
                                     "even/t02.mid\tfirst source\tSong\tBach\t\n"
                                     "odd/t03.mid\t\t\tTraditional\t\n"
                                     "odd/t05.mid\t\t\t\tthe group\n");
}

static void counts_what_it_leaves_out(void **state) {
    (void)state;
    char folder[512], output[512];
    make_tunes();
    snprintf(folder, sizeof folder, "%s", harness_path("tunes"));
    snprintf(output, sizeof output, "%s", harness_path("c.h5"));
    const char *const paths[] = {folder};
    const motet_build_options options = options_for(paths, 1, output);
    motet_build_report report;
    if (motet_build(&report, &options)) fail_msg("%s", motet_error());
    assert_int_equal(report.files, 17);
    assert_int_equal(report.done, 17);
    assert_int_equal(report.pieces, 12);
    assert_int_equal(report.labelled, 4);
    assert_int_equal(files_with(&report, "too short"), 2);
    assert_int_equal(files_with(&report, "same notes"), 1);
    int64_t left_out = 0;
    for (int i = 0; i < report.reason_count; i++)
        left_out += report.reasons[i].files;
    assert_int_equal(left_out, 5);

    motet_corpus *c;
    if (motet_corpus_open(&c, output, 1)) fail_msg("%s", motet_error());
    assert_int_equal(motet_corpus_count(c), 12);
    assert_int_equal(motet_corpus_source_count(c), 2);
    assert_string_equal(motet_corpus_source(c, 0), "first source");
    assert_string_equal(motet_corpus_source(c, 1), "tunes");
    /* Sorted: copy.MID first, then even/, then odd/ without t01, of which copy.MID is one. */
    for (int i = 0; i < 12; i++) {
        const motet_piece *p = motet_corpus_piece(c, i);
        int seed = i == 0 ? 4 : i <= 6 ? 3 + 2 * (i - 1) : 6 + 2 * (i - 7);
        assert_int_equal(p->bars, i == 0 ? 9 : 8 + seed - 3);
        assert_int_equal(p->source, i == 1 || i == 2 ? 0 : 1);
        assert_true(motet_piece_has_program(p, seed % 8));
        assert_int_equal(p->metre, motet_metre_index(4, 4));
        assert_int_equal(motet_tempo_bin((double)p->tempo_bpm), motet_tempo_bin(90 + seed % 60));
        assert_int_equal(p->split, MOTET_SPLIT_TRAIN);
        int captions = motet_corpus_caption_count(c, i);
        assert_true(captions >= 1 && captions <= 3);
    }
    /* One composer is one group; nobody's tunes and unlabelled ones stand alone. */
    assert_true(motet_corpus_piece(c, 1)->group == motet_corpus_piece(c, 2)->group);
    for (int i = 2; i < 12; i++)
        for (int k = 0; k < i; k++)
            if (i != 2 || k != 1)
                assert_true(motet_corpus_piece(c, i)->group != motet_corpus_piece(c, k)->group);
    motet_corpus_close(c);
}

static void spells_pieces_as_the_files_do(void **state) {
    (void)state;
    make_tunes();
    char file[512], output[512];
    snprintf(file, sizeof file, "%s", harness_path("tunes/even/t04.mid"));
    snprintf(output, sizeof output, "%s", harness_path("one.h5"));
    const char *const paths[] = {file};
    const motet_build_options options = options_for(paths, 1, output);
    motet_build_report report;
    motet_corpus *c;
    if (motet_build(&report, &options)) fail_msg("%s", motet_error());
    if (motet_corpus_open(&c, output, 1)) fail_msg("%s", motet_error());
    assert_string_equal(motet_corpus_source(c, 0), "even");
    int64_t count = motet_corpus_event_count(c, 0);
    assert_int_equal(count, 12 * 9 + 1);
    motet_event events[200];
    motet_score score;
    assert_int_equal(motet_corpus_read(events, c, 0, 0, count), MOTET_OK);
    assert_int_equal(motet_score_from_events(&score, events, count), MOTET_OK);
    assert_int_equal(score.bar_count, 12);
    assert_int_equal(score.note_count, 96);
    for (int i = 0; i < 96; i++) {
        assert_int_equal(score.notes[i].start_ticks, 12 * i);
        assert_int_equal(score.notes[i].duration_ticks, 12);
        assert_int_equal(score.notes[i].program, 7);
    }
    motet_score_free(&score);
    motet_corpus_close(c);
}

static void gives_the_same_bytes_with_any_number_of_workers(void **state) {
    (void)state;
    make_tunes();
    char folder[512], outputs[3][512];
    snprintf(folder, sizeof folder, "%s", harness_path("tunes"));
    const char *const paths[] = {folder};
    unsigned char *first = NULL, *bytes;
    size_t first_size = 0, size;
    for (int i = 0; i < 3; i++) {
        static const int JOBS[] = {1, 2, 7};
        char name[16];
        snprintf(name, sizeof name, "j%d.h5", i);
        snprintf(outputs[i], sizeof outputs[i], "%s", harness_path(name));
        motet_build_options options = options_for(paths, 1, outputs[i]);
        motet_build_report report;
        options.jobs = JOBS[i];
        options.valid_percent = 40;
        if (motet_build(&report, &options)) fail_msg("%s", motet_error());
        assert_true(report.valid_pieces > 0 && report.valid_pieces < report.pieces);
        assert_int_equal(motet_file_read(&bytes, &size, outputs[i], 1 << 28), MOTET_OK);
        if (i) {
            assert_int_equal(size, first_size);
            assert_memory_equal(bytes, first, size);
            free(bytes);
        } else {
            first = bytes, first_size = size;
        }
    }
    free(first);
}

static void uses_the_list_of_captions(void **state) {
    (void)state;
    make_tunes();
    char folder[512], output[512], list[512];
    write_text("captions.tsv", "caption\tfile\tsource\n"
                               "a phrase nobody else would write\ttunes/even/t00.mid\tlisted\n"
                               "another one for the same file\ttunes/even/t00.mid\tlisted\n"
                               "lost\ttunes/even/nothing.mid\t\n");
    snprintf(folder, sizeof folder, "%s", harness_path("tunes/even"));
    snprintf(output, sizeof output, "%s", harness_path("k.h5"));
    snprintf(list, sizeof list, "%s", harness_path("captions.tsv"));
    const char *const paths[] = {folder};
    motet_build_options options = options_for(paths, 1, output);
    motet_build_report report;
    motet_corpus *c;
    options.captions = list;
    options.variants = 24;
    if (motet_build(&report, &options)) fail_msg("%s", motet_error());
    assert_int_equal(report.captions_unmatched, 1);
    assert_int_equal(report.labelled, 1);
    if (motet_corpus_open(&c, output, 1)) fail_msg("%s", motet_error());
    int hits = 0, strangers = 0;
    for (int i = 0; i < motet_corpus_count(c); i++) {
        for (int k = 0; k < motet_corpus_caption_count(c, i); k++) {
            char text[MOTET_CAPTION_BYTES];
            assert_int_equal(motet_corpus_caption(text, sizeof text, c, i, k), MOTET_OK);
            int hit = strstr(text, "nobody else") || strstr(text, "another one for");
            if (i == 0)
                hits += hit;
            else
                strangers += hit;
        }
    }
    assert_int_equal(strangers, 0);
    assert_true(hits >= 2);
    assert_string_equal(motet_corpus_source(c, motet_corpus_piece(c, 0)->source), "listed");
    motet_corpus_close(c);
}

static void cuts_long_pieces_at_a_bar(void **state) {
    (void)state;
    char file[512], output[512];
    write_tune("long.mid", 2000, 16, 5, 0);
    snprintf(file, sizeof file, "%s", harness_path("long.mid"));
    snprintf(output, sizeof output, "%s", harness_path("l.h5"));
    const char *const paths[] = {file};
    const motet_build_options options = options_for(paths, 1, output);
    motet_build_report report;
    motet_corpus *c;
    if (motet_build(&report, &options)) fail_msg("%s", motet_error());
    assert_int_equal(report.cut, 1);
    if (motet_corpus_open(&c, output, 1)) fail_msg("%s", motet_error());
    int64_t count = motet_corpus_event_count(c, 0);
    assert_int_equal(count, (MOTET_BUILD_MAX_EVENTS - 1) / 17 * 17 + 1);
    assert_int_equal(motet_corpus_piece(c, 0)->bars, (MOTET_BUILD_MAX_EVENTS - 1) / 17);
    motet_event last;
    assert_int_equal(motet_corpus_read(&last, c, 0, count - 1, 1), MOTET_OK);
    assert_int_equal(last.type, MOTET_EVENT_END);
    motet_corpus_close(c);
}

static void keeps_the_old_corpus_when_interrupted(void **state) {
    (void)state;
    make_tunes();
    char folder[512], output[512];
    volatile sig_atomic_t stop = 1;
    unsigned char *bytes;
    size_t size;
    write_text("old.h5", "old");
    snprintf(folder, sizeof folder, "%s", harness_path("tunes"));
    snprintf(output, sizeof output, "%s", harness_path("old.h5"));
    const char *const paths[] = {folder};
    motet_build_options options = options_for(paths, 1, output);
    motet_build_report report;
    options.stop = &stop;
    assert_int_equal(motet_build(&report, &options), MOTET_E_USAGE);
    assert_true(report.interrupted);
    assert_int_equal(motet_file_read(&bytes, &size, output, 100), MOTET_OK);
    assert_string_equal((char *)bytes, "old");
    free(bytes);
    assert_int_equal(harness_count_files(".tmp"), 0);
}

static void refuses_wrong_options(void **state) {
    (void)state;
    make_tunes();
    char folder[512], output[512], nowhere[512], short_one[512];
    snprintf(folder, sizeof folder, "%s", harness_path("tunes"));
    snprintf(output, sizeof output, "%s", harness_path("never.h5"));
    snprintf(nowhere, sizeof nowhere, "%s", harness_path("nowhere"));
    snprintf(short_one, sizeof short_one, "%s", harness_path("tunes/short.midi"));
    const char *paths[] = {folder};
    motet_build_report report;
    motet_build_options options = options_for(paths, 1, output);
    options.jobs = 0;
    assert_int_equal(motet_build(&report, &options), MOTET_E_USAGE);
    options.jobs = 1, options.variants = MOTET_BUILD_MAX_VARIANTS + 1;
    assert_int_equal(motet_build(&report, &options), MOTET_E_USAGE);
    options.variants = 1, options.valid_percent = 101;
    assert_int_equal(motet_build(&report, &options), MOTET_E_USAGE);
    options.valid_percent = 0, paths[0] = nowhere;
    assert_int_equal(motet_build(&report, &options), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "nowhere"));
    paths[0] = short_one; /* a file, but nothing is left of it */
    assert_int_equal(motet_build(&report, &options), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), "too short"));
    write_text("bad/MANIFEST.tsv", "name\tsource\nx\ty\n");
    write_tune("bad/x.mid", 8, 8, 1, 0);
    snprintf(nowhere, sizeof nowhere, "%s", harness_path("bad"));
    paths[0] = nowhere;
    assert_int_equal(motet_build(&report, &options), MOTET_E_DATA);
    write_text("bad/MANIFEST.tsv", "file\tsource\nx.mid\ty\tz\n");
    assert_int_equal(motet_build(&report, &options), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "line 2"));
    write_text("bad/MANIFEST.tsv", "file\tsource\nx.mid\t\xff\n");
    assert_int_equal(motet_build(&report, &options), MOTET_E_DATA);
    assert_false(harness_exists("never.h5"));
}

static motet_status collect(void *user, const motet_build_piece *piece) {
    motet_build_result *heads = user;
    heads[piece->head.file] = piece->head;
    return MOTET_OK;
}

/* A path of NULL crashes the worker that takes it, a pipe without a writer stops it. */
static void loses_only_the_file_that_crashes_or_hangs(void **state) {
    (void)state;
    make_tunes();
    static const char *const NAMES[] = {"tunes/even/t00.mid", NULL, "pipe.mid",
                                        "tunes/even/t02.mid", NULL, "tunes/even/t04.mid"};
    motet_build_file files[6] = {{0}};
    motet_build_result heads[6];
    assert_int_equal(mkfifo(harness_path("pipe.mid"), 0600), 0);
    for (int i = 0; i < 6; i++) {
        files[i].path = NAMES[i] ? strdup(harness_path(NAMES[i])) : NULL;
        files[i].key = "key";
        files[i].source = "source";
    }
    const motet_build_list list = {.files = files, .count = 6};
    const motet_build_options options = {.jobs = 2, .variants = 1, .file_seconds = 1};
    if (motet_build_pool_run(&list, &options, collect, heads)) fail_msg("%s", motet_error());
    for (int i = 0; i < 6; i++) {
        assert_int_equal(heads[i].file, i);
        if (i == 2)
            assert_int_equal(strncmp(heads[i].reason, "timed out", 9), 0);
        else if (!NAMES[i])
            assert_int_equal(strncmp(heads[i].reason, "crashed (", 9), 0);
        assert_int_equal(heads[i].kept, NAMES[i] && i != 2);
        free(files[i].path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_it_leaves_out),
        cmocka_unit_test(spells_pieces_as_the_files_do),
        cmocka_unit_test(gives_the_same_bytes_with_any_number_of_workers),
        cmocka_unit_test(uses_the_list_of_captions),
        cmocka_unit_test(cuts_long_pieces_at_a_bar),
        cmocka_unit_test(keeps_the_old_corpus_when_interrupted),
        cmocka_unit_test(refuses_wrong_options),
        cmocka_unit_test(loses_only_the_file_that_crashes_or_hangs),
    };
    return cmocka_run_group_tests(tests, harness_make_folder, harness_remove_folder);
}
