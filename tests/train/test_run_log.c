/* run_log: one line goes to log.jsonl, to the event file of TensorBoard and to the page of
 * Prometheus; the latter two may fail. (tests/scripts/test_run_pictures.py reads event files.) */
#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/file.h"
#include "kernels/core/log.h"
#include "train/run_log.h"
#include "train/run_scalars.h"

static char folder[64];
static int warnings;

static void count_warning(void *user, motet_log_level level, const char *line) {
    (void)user, (void)line;
    warnings += level == MOTET_LOG_WARN;
}

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/motet-test-XXXXXX");
    warnings = 0;
    motet_log_to(count_warning, NULL);
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    motet_log_to(NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static json_t *train_line(int64_t step, double loss) {
    json_t *line = motet_log_jsonl_object("train", step);
    motet_log_jsonl_real(line, "loss", loss);
    motet_log_jsonl_real(line, "lr", NAN);
    json_object_set_new(line, "field", json_pack("{s:f, s:f}", "tempo", 0.25, "pitch", 1.5));
    json_object_set_new(line, "attribute",
                        json_pack("{s:{s:f, s:f}, s:{s:f}}", "key", "loss", 2.0, "accuracy", 0.5,
                                  "metre", "loss", 3.0));
    return line;
}

typedef struct heard {
    char text[1024];
} heard;

static void hear(void *user, const char *const *names, int depth, double value) {
    heard *h = user;
    size_t length = strlen(h->text);
    for (int i = 0; i < depth; i++)
        length += (size_t)snprintf(h->text + length, sizeof h->text - length, "%s/", names[i]);
    snprintf(h->text + length, sizeof h->text - length, "%g ", value);
}

static void test_scalars(void **state) {
    (void)state;
    heard h = {""};
    json_t *line = train_line(7, 3.5);
    motet_run_scalars(line, hear, &h);
    json_decref(line);
    assert_string_equal(h.text, "train/loss/3.5 train/field/tempo/0.25 train/field/pitch/1.5 "
                                "train/attribute/key/loss/2 train/attribute/key/accuracy/0.5 "
                                "train/attribute/metre/loss/3 ");
}

/* What GET path of 127.0.0.1:port says, headers and all. */
static void get(char *text, size_t size, int port, const char *path) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(connection, (struct sockaddr *)&at, sizeof at), 0);
    dprintf(connection, "GET %s HTTP/1.0\r\n\r\n", path);
    size_t length = 0;
    for (ssize_t got; (got = read(connection, text + length, size - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = 0;
    close(connection);
}

static int free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(probe, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&at, &size), 0);
    close(probe);
    return ntohs(at.sin_port);
}

static void test_prometheus(void **state) {
    (void)state;
    motet_run_log log, second = MOTET_RUN_LOG_CLOSED;
    char address[32], text[4096];
    const int port = free_port();
    snprintf(address, sizeof address, "%d", port);
    assert_int_equal(motet_run_log_open(&log, folder, 0, address), MOTET_OK);
    get(text, sizeof text, port, "/metrics");
    assert_non_null(strstr(text, "200 OK"));
    assert_int_equal(motet_run_log_write(&log, train_line(7, 9.0)), MOTET_OK);
    json_t *line = motet_log_jsonl_object("eval", 7);
    motet_log_jsonl_real(line, "loss", 5.25);
    assert_int_equal(motet_run_log_write(&log, line), MOTET_OK);
    assert_int_equal(motet_run_log_write(&log, train_line(8, 3.5)), MOTET_OK);
    get(text, sizeof text, port, "/metrics");
    static const char *const lines[] = {
        "\n# TYPE motet_train_attribute_accuracy gauge\n"
        "motet_train_attribute_accuracy{name=\"key\"} 0.5\n",
        "\n# TYPE motet_train_attribute_loss gauge\nmotet_train_attribute_loss{name=\"key\"} 2\n"
        "motet_train_attribute_loss{name=\"metre\"} 3\n",
        "\nmotet_train_field{name=\"tempo\"} 0.25\n",
        "\n# TYPE motet_train_loss gauge\nmotet_train_loss 3.5\n",
        "\nmotet_train_step 8\n",
        "\nmotet_eval_loss 5.25\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i])) fail_msg("%s is not in\n%s", lines[i], text);
    assert_null(strstr(text, "motet_train_lr"));
    get(text, sizeof text, port, "/");
    assert_non_null(strstr(text, "404"));
    assert_int_equal(motet_run_log_open(&second, folder, 0, address), MOTET_E_USAGE);
    assert_non_null(strstr(motet_error(), address));
    motet_run_log_close(&log);
}

static void test_addresses(void **state) {
    (void)state;
    static const char *const wrong[] = {"http", "0", "70000", "12x", "localhost:9400", ":9400"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        motet_prometheus *server;
        assert_int_equal(motet_prometheus_open(&server, wrong[i]), MOTET_E_USAGE);
        assert_null(server);
        assert_non_null(strstr(motet_error(), wrong[i]));
    }
}

static void test_unwritable_board(void **state) {
    (void)state;
    char path[128];
    motet_run_log log;
    snprintf(path, sizeof path, "%s/tensorboard", folder);
    assert_int_equal(motet_file_replace(path, "", 0), MOTET_OK); /* where the folder should be */
    assert_int_equal(motet_run_log_open(&log, folder, 0, ""), MOTET_E_IO);
    assert_non_null(strstr(motet_error(), path));
}

/* No room for the numbers of TensorBoard: one warning, and the log goes on. */
static void test_board_breaks(void **state) {
    (void)state;
    motet_run_log log;
    assert_int_equal(motet_run_log_open(&log, folder, 0, ""), MOTET_OK);
    int full = open("/dev/full", O_WRONLY);
    assert_true(dup2(full, log.board.file) >= 0);
    close(full);
    for (int i = 0; i < 3; i++)
        assert_int_equal(motet_run_log_write(&log, train_line(i, 1.0)), MOTET_OK);
    assert_int_equal(warnings, 1);
    motet_run_log_close(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scalars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prometheus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unwritable_board, setup, teardown),
        cmocka_unit_test_setup_teardown(test_board_breaks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
