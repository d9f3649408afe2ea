#include "train/tensorboard.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "train/run_scalars.h"

/* Field numbers and wire types of protocol buffers: a key is number << 3 | type. */
enum { VARINT = 0, EIGHT_BYTES = 1, BYTES = 2, FOUR_BYTES = 5 };
enum { EVENT_WALL_TIME = 1, EVENT_STEP, EVENT_FILE_VERSION, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, SESSION_STATUS = 1, SESSION_START = 1 };

enum { MESSAGE_ROOM = 16384, TAG_ROOM = 128 };

/* What does not fit is counted, and not written. */
typedef struct message {
    size_t size;
    unsigned char bytes[MESSAGE_ROOM];
} message;

static void add(message *m, const void *bytes, size_t count) {
    if (m->size + count <= MESSAGE_ROOM) memcpy(m->bytes + m->size, bytes, count);
    m->size += count;
}

static void add_varint(message *m, uint64_t value) {
    unsigned char bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (unsigned char)(value | 0x80);
    bytes[count++] = (unsigned char)value;
    add(m, bytes, count);
}

static void add_key(message *m, int number, int type) {
    add_varint(m, (uint64_t)(number << 3 | type));
}

static void add_bytes(message *m, int number, const void *bytes, size_t count) {
    add_key(m, number, BYTES);
    add_varint(m, count);
    add(m, bytes, count);
}

static void begin_event(message *m, int64_t step) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    m->size = 0;
    add_key(m, EVENT_WALL_TIME, EIGHT_BYTES);
    add(m, &seconds, sizeof seconds);
    add_key(m, EVENT_STEP, VARINT);
    add_varint(m, (uint64_t)step);
}

static uint32_t masked_crc32c(const void *data, size_t count) {
    const unsigned char *bytes = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static motet_status write_record(const motet_tensorboard *board, const message *m) {
    unsigned char record[MESSAGE_ROOM + 16];
    uint64_t length = m->size;
    if (m->size > MESSAGE_ROOM)
        return MOTET_FAIL(MOTET_E_MEMORY, "%s: an event of %zu bytes, %d at most", board->path,
                          m->size, MESSAGE_ROOM);
    uint32_t head = masked_crc32c(&length, sizeof length), tail = masked_crc32c(m->bytes, m->size);
    memcpy(record, &length, 8);
    memcpy(record + 8, &head, 4);
    memcpy(record + 12, m->bytes, m->size);
    memcpy(record + 12 + m->size, &tail, 4);
    /* One write, so that a reader sees no half record. */
    if (write(board->file, record, m->size + 16) == (ssize_t)m->size + 16) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO, "%s: cannot be written: %m", board->path);
}

motet_status motet_tensorboard_open(motet_tensorboard *board, const char *run_path,
                                    int64_t first_step) {
    static const char version[] = "brain.Event:2";
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    board->file = -1;
    snprintf(board->path, sizeof board->path, "%s/tensorboard", run_path);
    mkdir(board->path, 0777); /* that it is not there is said by open */
    snprintf(board->path, sizeof board->path,
             "%s/tensorboard/events.out.tfevents.%010lld.%s.%d.motet", run_path,
             (long long)time(NULL), host, (int)getpid());
    board->file = open(board->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (board->file < 0) return MOTET_FAIL(MOTET_E_IO, "%s: cannot be opened: %m", board->path);
    message m;
    begin_event(&m, 0);
    add_bytes(&m, EVENT_FILE_VERSION, version, sizeof version - 1);
    MOTET_TRY(write_record(board, &m));
    begin_event(&m, first_step);
    add_bytes(&m, EVENT_SESSION,
              (const unsigned char[]){SESSION_STATUS << 3 | VARINT, SESSION_START}, 2);
    return write_record(board, &m);
}

void motet_tensorboard_close(motet_tensorboard *board) {
    if (board->file >= 0) close(board->file);
    board->file = -1;
}

static void add_value(void *user, const char *const *names, int depth, double number) {
    char tag[TAG_ROOM];
    size_t length = 0;
    for (int i = 0; i < depth && length < sizeof tag; i++)
        length +=
            (size_t)snprintf(tag + length, sizeof tag - length, "%s%s", i ? "/" : "", names[i]);
    float value = (float)number;
    message m = {.size = 0};
    add_bytes(&m, VALUE_TAG, tag, strlen(tag));
    add_key(&m, VALUE_SIMPLE, FOUR_BYTES);
    add(&m, &value, sizeof value);
    add_bytes(user, SUMMARY_VALUE, m.bytes, m.size);
}

motet_status motet_tensorboard_write(motet_tensorboard *board, const json_t *line) {
    message values = {.size = 0}, event;
    motet_run_scalars(line, add_value, &values);
    if (values.size == 0) return MOTET_OK;
    begin_event(&event, json_integer_value(json_object_get(line, "step")));
    add_bytes(&event, EVENT_SUMMARY, values.bytes, values.size);
    return write_record(board, &event);
}
