#include <hdf5.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/file.h"
#include "tests/corpus/harness_shard.h"

static motet_corpus *open_corpus(const char *name, int verify) {
    motet_corpus *corpus;
    if (motet_corpus_open(&corpus, harness_path(name), verify)) fail_msg("%s", motet_error());
    return corpus;
}

static void returns_what_was_written(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {        /* mapped, by HDF5, by HDF5 and deflate */
        harness_corpus("a.h5", 400, way == 2); /* several flushes and chunks, and a rest of both */
        motet_corpus *c = open_corpus("a.h5", way != 1);
        assert_int_equal(motet_corpus_count(c), 400);
        assert_int_equal(motet_corpus_source_count(c), 2);
        assert_string_equal(motet_corpus_source(c, 0), "alpha");
        assert_string_equal(motet_corpus_source(c, 1), "beta");
        assert_null(motet_corpus_source(c, 2));
        assert_null(motet_corpus_piece(c, 400));
        assert_null(motet_corpus_piece(c, -1));
        assert_int_equal(strlen(motet_corpus_sha256(c)), 64);
        for (int i = 0; i < 400; i++) {
            int64_t count;
            motet_event *wanted = harness_events(&count, 4 + i % 7, 8, (unsigned)i);
            motet_event *events = calloc((size_t)count, sizeof *events);
            assert_non_null(events);
            assert_int_equal(motet_corpus_event_count(c, i), count);
            assert_int_equal(motet_corpus_read(events, c, i, 0, count), MOTET_OK);
            assert_memory_equal(events, wanted, (size_t)count * sizeof *events);
            assert_int_equal(motet_corpus_read(events, c, i, 9, 5), MOTET_OK);
            assert_memory_equal(events, wanted + 9, 5 * sizeof *events);
            assert_int_equal(motet_corpus_read(events, c, i, 1, count), MOTET_E_USAGE);
            assert_int_equal(motet_corpus_read(events, c, i, -1, 1), MOTET_E_USAGE);
            assert_int_equal(motet_corpus_read(events, c, i, count, 0), MOTET_OK);
            const motet_piece *p = motet_corpus_piece(c, i);
            assert_true(p->tempo_bpm == 100.5f + (float)i);
            assert_int_equal(p->key, i % 24);
            assert_int_equal(p->split, i % 5 == 4);
            assert_int_equal(p->source, i % 2);
            assert_true(p->group == 1000u + (uint64_t)i);
            assert_true(p->note_hash == UINT64_MAX - (uint64_t)i);
            assert_true(motet_piece_has_program(p, 0));
            assert_int_equal(motet_piece_has_program(p, 128), i & 1);
            assert_false(motet_piece_has_program(p, 1));
            char text[64], short_text[3];
            assert_int_equal(motet_corpus_caption_count(c, i), 2);
            assert_int_equal(motet_corpus_caption(text, 64, c, i, 0), MOTET_OK);
            assert_int_equal(strncmp(text, "caption one of ", 15), 0);
            assert_int_equal(atoi(text + 15), i);
            assert_int_equal(motet_corpus_caption(text, 2, c, i, 1), MOTET_OK);
            assert_string_equal(text, ""); /* not half of an e with accent */
            assert_int_equal(motet_corpus_caption(short_text, 3, c, i, 1), MOTET_OK);
            assert_string_equal(short_text, "\xc3\xa9");
            assert_int_equal(motet_corpus_caption(text, 64, c, i, 2), MOTET_E_USAGE);
            free(events);
            free(wanted);
        }
        motet_corpus_close(c);
    }
}

static void same_pieces_give_the_same_bytes(void **state) {
    (void)state;
    unsigned char *a, *b;
    size_t m, n;
    harness_corpus("a.h5", 70, 0);
    assert_int_equal(motet_file_read(&a, &m, harness_path("a.h5"), 1 << 28), MOTET_OK);
    sleep(1); /* a time stamp in the file would differ */
    harness_corpus("a.h5", 70, 0);
    assert_int_equal(motet_file_read(&b, &n, harness_path("a.h5"), 1 << 28), MOTET_OK);
    assert_int_equal(m, n);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
}

static void refuses_damage(void **state) {
    (void)state;
    motet_corpus *c;
    unsigned char *bytes;
    size_t size;
    harness_corpus("a.h5", 10, 0);
    assert_int_equal(motet_file_read(&bytes, &size, harness_path("a.h5"), 1 << 28), MOTET_OK);
    bytes[size / 2] ^= 4;
    harness_write("a.h5", bytes, size);
    assert_int_equal(motet_corpus_open(&c, harness_path("a.h5"), 1), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "a.h5"));
    assert_non_null(strstr(motet_error(), "SHA-256"));
    bytes[size / 2] ^= 4;
    harness_write("a.h5", bytes, size / 3);
    assert_int_equal(motet_corpus_open(&c, harness_path("a.h5"), 1), MOTET_E_DATA);
    harness_rehash("a.h5"); /* truncated, but with the right hash: HDF5's own check */
    assert_int_equal(motet_corpus_open(&c, harness_path("a.h5"), 1), MOTET_E_DATA);
    assert_null(c);
    harness_write("a.h5", "hello", 5);
    harness_rehash("a.h5");
    assert_int_equal(motet_corpus_open(&c, harness_path("a.h5"), 1), MOTET_E_DATA);
    unlink(harness_path("a.h5.sha256"));
    assert_int_equal(motet_corpus_open(&c, harness_path("a.h5"), 1), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "missing"));
    unlink(harness_path("a.h5"));
    assert_int_equal(motet_corpus_open(&c, harness_path("a.h5"), 1), MOTET_E_IO);
    free(bytes);
}

/* Overwrites one element of an array with a value, as a hostile author would. */
static void poke(const char *array, hid_t type, hsize_t index, const void *value) {
    hid_t file = H5Fopen(harness_path("a.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, array, H5P_DEFAULT), space = H5Dget_space(dataset);
    hsize_t start[2] = {index, 0}, count[2] = {1, 1};
    hid_t memory = H5Screate_simple(1, count, NULL);
    assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0);
    assert_true(H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, value) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
    harness_rehash("a.h5");
}

static void refuse_poked(const char *array, hid_t type, hsize_t index, const void *value,
                         const char *part) {
    motet_corpus *c = NULL;
    harness_corpus("a.h5", 10, 0);
    poke(array, type, index, value);
    if (motet_corpus_open(&c, harness_path("a.h5"), 1) != MOTET_E_DATA)
        fail_msg("%s[%d] was accepted", array, (int)index);
    if (!strstr(motet_error(), part)) fail_msg("%s: %s", array, motet_error());
}

static void refuses_lies_with_a_good_hash(void **state) {
    (void)state;
    const uint64_t huge = UINT64_MAX / 2, one = 1, zero = 0;
    const uint8_t byte = 200;
    const uint16_t source = 2;
    const float nan = __builtin_nanf("");
    refuse_poked("/offsets", H5T_NATIVE_UINT64, 10, &huge, "/offsets");
    refuse_poked("/offsets", H5T_NATIVE_UINT64, 3, &huge, "/offsets");
    refuse_poked("/offsets", H5T_NATIVE_UINT64, 3, &zero, "/offsets");
    refuse_poked("/offsets", H5T_NATIVE_UINT64, 0, &one, "/offsets");
    refuse_poked("/caption_offsets", H5T_NATIVE_UINT64, 4, &huge, "/caption_offsets");
    refuse_poked("/piece_captions", H5T_NATIVE_UINT64, 4, &huge, "/piece_captions");
    refuse_poked("/meta/key", H5T_NATIVE_UINT8, 7, &byte, "piece 7");
    refuse_poked("/meta/metre", H5T_NATIVE_UINT8, 7, &byte, "piece 7");
    refuse_poked("/meta/split", H5T_NATIVE_UINT8, 7, &byte, "piece 7");
    refuse_poked("/meta/source", H5T_NATIVE_UINT16, 7, &source, "piece 7");
    refuse_poked("/meta/tempo_bpm", H5T_NATIVE_FLOAT, 7, &nan, "piece 7");
    /* An event that would index beyond a table is found when it is read. */
    motet_corpus *c;
    motet_event events[8];
    harness_corpus("a.h5", 10, 0);
    poke("/events", H5T_NATIVE_UINT8, 5, &byte);
    c = open_corpus("a.h5", 1);
    assert_int_equal(motet_corpus_read(events, c, 0, 0, 5), MOTET_OK);
    assert_int_equal(motet_corpus_read(events, c, 0, 4, 2), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "event 5 of piece 0"));
    motet_corpus_close(c);
}

/* A dataset may claim any size without storing a byte. */
static void refuses_sizes_that_are_not_stored(void **state) {
    (void)state;
    motet_corpus *c;
    harness_corpus("a.h5", 10, 0);
    hid_t file = H5Fopen(harness_path("a.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "/offsets", H5P_DEFAULT);
    hsize_t size = (hsize_t)1 << 50;
    assert_true(H5Dset_extent(dataset, &size) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    harness_rehash("a.h5");
    assert_int_equal(motet_corpus_open(&c, harness_path("a.h5"), 1), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "claims"));
}

static void checks_what_is_appended(void **state) {
    (void)state;
    static const char *const SOURCES[] = {"one"}, *const BROKEN[] = {"a\nb"};
    motet_corpus_writer *w;
    int64_t count;
    motet_event *events = harness_events(&count, 2, 2, 1);
    const char *const captions[] = {"x"};
    motet_piece piece = {.tempo_bpm = 100};
    assert_int_equal(motet_corpus_writer_open(&w, harness_path("b.h5"), SOURCES, 0, 0),
                     MOTET_E_USAGE);
    assert_int_equal(motet_corpus_writer_open(&w, harness_path("b.h5"), BROKEN, 1, 0),
                     MOTET_E_USAGE);
    assert_int_equal(motet_corpus_writer_open(&w, "/nowhere/b.h5", SOURCES, 1, 0), MOTET_E_IO);
    assert_int_equal(motet_corpus_writer_open(&w, harness_path("b.h5"), SOURCES, 1, 0), MOTET_OK);
    assert_int_equal(motet_corpus_append(w, &piece, events, 0, captions, 1), MOTET_E_USAGE);
    assert_int_equal(motet_corpus_append(w, &piece, events + 1, 2, captions, 1), MOTET_E_USAGE);
    assert_int_equal(motet_corpus_append(w, &piece, events, count, captions, 0), MOTET_E_USAGE);
    piece.source = 1;
    assert_int_equal(motet_corpus_append(w, &piece, events, count, captions, 1), MOTET_E_USAGE);
    assert_false(harness_exists("b.h5"));
    motet_corpus_writer_abandon(w);
    assert_false(harness_exists("b.h5"));
    assert_int_equal(harness_count_files(".tmp"), 0);
    free(events);
}

/* In a child, because HDF5 after a write error is not to be trusted; its exit must be clean. */
static void leaves_the_old_file_when_the_disk_is_full(void **state) {
    (void)state;
    unsigned char *before, *after;
    size_t m, n;
    harness_corpus("a.h5", 10, 0);
    assert_int_equal(motet_file_read(&before, &m, harness_path("a.h5"), 1 << 28), MOTET_OK);
    pid_t child = fork();
    if (child == 0) {
        static const char *const SOURCES[] = {"one"}, *const CAPTIONS[] = {"x"};
        motet_corpus_writer *w;
        const motet_piece piece = {.tempo_bpm = 100};
        int64_t count;
        motet_event *events = harness_events(&count, 2000, 30, 1);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){2 << 20, RLIM_INFINITY});
        motet_status status = motet_corpus_writer_open(&w, harness_path("a.h5"), SOURCES, 1, 0);
        for (int i = 0; status == MOTET_OK && i < 200; i++)
            status = motet_corpus_append(w, &piece, events, count, CAPTIONS, 1);
        int told = status == MOTET_E_IO && strstr(motet_error(), "File too large");
        if (w) motet_corpus_writer_abandon(w);
        free(events);
        exit(told ? 0 : 1); /* runs the handlers that HDF5 would have set up */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(harness_count_files(".tmp"), 0);
    assert_int_equal(motet_file_read(&after, &n, harness_path("a.h5"), 1 << 28), MOTET_OK);
    assert_int_equal(m, n);
    assert_memory_equal(before, after, n);
    motet_corpus_close(open_corpus("a.h5", 1));
    free(before);
    free(after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_what_was_written),
        cmocka_unit_test(same_pieces_give_the_same_bytes),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(refuses_lies_with_a_good_hash),
        cmocka_unit_test(refuses_sizes_that_are_not_stored),
        cmocka_unit_test(checks_what_is_appended),
        cmocka_unit_test(leaves_the_old_file_when_the_disk_is_full),
    };
    return cmocka_run_group_tests(tests, harness_make_folder, harness_remove_folder);
}
