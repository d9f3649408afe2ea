#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/manifest.h"

static char path[] = "/tmp/motet_manifest_XXXXXX";

static int make_file(void **state) {
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static motet_status read_bytes(motet_manifest *m, const char *text, size_t size) {
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
    return motet_manifest_read(m, path);
}

static motet_status read_text(motet_manifest *m, const char *text) {
    return read_bytes(m, text, strlen(text));
}

static void reads_cells(void **state) {
    (void)state;
    motet_manifest m;
    /* A byte-order mark, Windows line ends, an empty line, missing cells, no last line end. */
    if (read_text(&m, "\xef\xbb\xbf"
                      "file\ttitle\tkind\r\na.mid\tDvo\xc5\x99\xc3\xa1k\tsong\r\n\r\nb.mid\n"
                      "c.mid\t\tx"))
        fail_msg("%s", motet_error());
    assert_int_equal(m.columns, 3);
    assert_int_equal(m.rows, 3);
    int file = motet_manifest_column(&m, "file"), title = motet_manifest_column(&m, "title");
    int kind = motet_manifest_column(&m, "kind");
    assert_int_equal(file, 0);
    assert_int_equal(motet_manifest_column(&m, "Kind"), -1);
    assert_string_equal(motet_manifest_cell(&m, 0, file), "a.mid");
    assert_string_equal(motet_manifest_cell(&m, 0, title), "Dvo\xc5\x99\xc3\xa1k");
    assert_string_equal(motet_manifest_cell(&m, 0, kind), "song");
    assert_string_equal(motet_manifest_cell(&m, 1, file), "b.mid");
    assert_null(motet_manifest_cell(&m, 1, title));
    assert_null(motet_manifest_cell(&m, 1, kind));
    assert_null(motet_manifest_cell(&m, 2, title));
    assert_string_equal(motet_manifest_cell(&m, 2, kind), "x");
    assert_null(motet_manifest_cell(&m, 3, file));
    assert_null(motet_manifest_cell(&m, -1, file));
    assert_null(motet_manifest_cell(&m, 0, -1));
    assert_null(motet_manifest_cell(&m, 0, 3));
    motet_manifest_free(&m);
    assert_int_equal(read_text(&m, "file"), MOTET_OK); /* a header alone is a table of no rows */
    assert_int_equal(m.rows, 0);
    motet_manifest_free(&m);
}

static void names_what_is_wrong(void **state) {
    (void)state;
    motet_manifest m;
    assert_int_equal(read_text(&m, ""), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), path));
    assert_int_equal(read_text(&m, "file\tb\n1\t2\n\n1\t2\t3\n"), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "line 4"));
    assert_int_equal(read_text(&m, "file\n\xc3\n"), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "line 2"));
    assert_int_equal(read_bytes(&m, "file\na\0b\n", 9), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "byte 6"));
    char wide[200];
    memset(wide, '\t', sizeof wide);
    assert_int_equal(read_bytes(&m, wide, sizeof wide), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "columns"));
    assert_int_equal(motet_manifest_read(&m, "/nowhere/M.tsv"), MOTET_E_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cells),
        cmocka_unit_test(names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
