#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/build_parts.h"

#define MEMORY_LIMIT ((rlim_t)1 << 30)
#define FILE_SECONDS 10
#define AHEAD 512 /* files in flight: bounds the memory that waits behind a slow one */

typedef struct worker {
    pid_t pid; /* 0: none */
    int socket;
    int64_t file; /* -1: idle */
    double since;
} worker;

typedef struct pool {
    const motet_build_list *list;
    const motet_build_options *options;
    worker *workers;
    motet_build_piece *waiting; /* [AHEAD] ring by file number */
    unsigned char *arrived;     /* [AHEAD] */
    int64_t next_file, next_take;
} pool;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int file_seconds(const motet_build_options *options) {
    return options->file_seconds > 0 ? options->file_seconds : FILE_SECONDS;
}

static int send_all(int fd, const void *bytes, size_t size) {
    for (const char *p = bytes; size;) {
        ssize_t sent = send(fd, p, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return 0;
        p += sent, size -= (size_t)sent;
    }
    return 1;
}

static int receive_all(int fd, void *bytes, size_t size) {
    for (char *p = bytes; size;) {
        ssize_t got = recv(fd, p, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        p += got, size -= (size_t)got;
    }
    return 1;
}

/* The CPU limit counts from the process's start, so it moves along with every file. */
static void limit_file(int seconds) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    rlim_t used = (rlim_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1);
    setrlimit(RLIMIT_CPU, &(struct rlimit){used + (rlim_t)seconds, RLIM_INFINITY});
}

/* A worker dies of what kills it, whatever handlers the parent has; and Ctrl-C is the parent's. */
static void limit_process(void) {
    static const int FATAL[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGXCPU, SIGSYS};
    for (size_t i = 0; i < sizeof FATAL / sizeof *FATAL; i++)
        signal(FATAL[i], SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_IGN);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes and reports on standard error */
    setrlimit(RLIMIT_AS, &(struct rlimit){MEMORY_LIMIT, MEMORY_LIMIT});
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0) dup2(null, STDERR_FILENO);
#endif
}

static void work(const pool *p, int socket) {
    int64_t file;
    limit_process();
    while (receive_all(socket, &file, sizeof file)) {
        motet_build_piece piece;
        limit_file(file_seconds(p->options));
        motet_build_file_read(&piece, &p->list->files[file], file, p->options);
        if (!send_all(socket, &piece.head, sizeof piece.head) ||
            !send_all(socket, piece.events, (size_t)piece.head.event_count * sizeof(motet_event)) ||
            !send_all(socket, piece.captions, (size_t)piece.head.caption_bytes))
            break;
        motet_build_piece_free(&piece);
    }
}

static motet_status start_worker(pool *p, worker *w) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return MOTET_FAIL(MOTET_E_IO, "cannot start a worker: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        /* A sibling's socket must close when the parent dies. */
        for (int i = 0; i < p->options->jobs; i++)
            if (p->workers[i].pid) close(p->workers[i].socket);
        close(ends[0]);
        work(p, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return MOTET_FAIL(MOTET_E_IO, "cannot start a worker: %s", strerror(errno));
    }
    *w = (worker){.pid = pid, .socket = ends[0], .file = -1};
    return MOTET_OK;
}

static int end_worker(worker *w, int force) {
    int status = 0;
    if (!w->pid) return 0;
    close(w->socket);
    if (force) kill(w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    *w = (worker){.file = -1};
    return status;
}

static void arrive(pool *p, int64_t file, const motet_build_piece *piece) {
    p->waiting[file % AHEAD] = *piece;
    p->arrived[file % AHEAD] = 1;
}

/* Whatever it died of, the file it held is the one that pays. */
static void bury_worker(pool *p, worker *w, const char *reason) {
    int64_t file = w->file;
    int status = end_worker(w, 1);
    motet_build_piece piece = {.head = {.file = file}};
    if (reason)
        snprintf(piece.head.reason, sizeof piece.head.reason, "%s", reason);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        snprintf(piece.head.reason, sizeof piece.head.reason, "timed out (%d s of CPU)",
                 file_seconds(p->options));
    else if (WIFSIGNALED(status))
        snprintf(piece.head.reason, sizeof piece.head.reason, "crashed (signal %d)",
                 WTERMSIG(status));
    else
        snprintf(piece.head.reason, sizeof piece.head.reason, "crashed (exit %d)",
                 WEXITSTATUS(status));
    if (file >= 0) arrive(p, file, &piece);
}

/* Reads a result; 0 if the worker is gone or talks nonsense. */
static int receive_piece(motet_build_piece *piece, const pool *p, const worker *w) {
    *piece = (motet_build_piece){0};
    motet_build_result *head = &piece->head;
    if (!receive_all(w->socket, head, sizeof *head)) return 0;
    head->reason[sizeof head->reason - 1] = 0;
    if (head->file != w->file || head->event_count < 0 ||
        head->event_count > MOTET_BUILD_MAX_EVENTS || head->caption_count < 0 ||
        head->caption_count > p->options->variants || head->caption_bytes < 0 ||
        head->caption_bytes > (int64_t)p->options->variants * MOTET_CAPTION_BYTES ||
        (head->kept && (!head->event_count || !head->caption_count)))
        return 0;
    piece->events = malloc((size_t)head->event_count * sizeof(motet_event) + 1);
    piece->captions = malloc((size_t)head->caption_bytes + 1);
    int good =
        piece->events && piece->captions &&
        receive_all(w->socket, piece->events, (size_t)head->event_count * sizeof(motet_event)) &&
        receive_all(w->socket, piece->captions, (size_t)head->caption_bytes);
    int texts = 0;
    for (int64_t i = 0; good && i < head->caption_bytes; i++)
        texts += !piece->captions[i];
    if (good && texts == head->caption_count) return 1;
    motet_build_piece_free(piece);
    return 0;
}

static motet_status feed(pool *p) {
    for (int i = 0; i < p->options->jobs; i++) {
        worker *w = &p->workers[i];
        if (w->file >= 0 || p->next_file == p->list->count || p->next_file - p->next_take >= AHEAD)
            continue;
        if (!w->pid) MOTET_TRY(start_worker(p, w));
        int64_t file = p->next_file;
        if (!send_all(w->socket, &file, sizeof file)) { /* died idle: try again with a new one */
            end_worker(w, 1);
            MOTET_TRY(start_worker(p, w));
            if (!send_all(w->socket, &file, sizeof file))
                return MOTET_FAIL(MOTET_E_IO, "cannot reach a worker: %s", strerror(errno));
        }
        w->file = file, w->since = now();
        p->next_file++;
    }
    return MOTET_OK;
}

static void listen_once(pool *p, struct pollfd *polls) {
    int jobs = p->options->jobs;
    for (int i = 0; i < jobs; i++)
        polls[i] = (struct pollfd){.fd = p->workers[i].file >= 0 ? p->workers[i].socket : -1,
                                   .events = POLLIN};
    if (poll(polls, (nfds_t)jobs, 500) < 0) return; /* a signal: the caller looks at stop */
    for (int i = 0; i < jobs; i++) {
        worker *w = &p->workers[i];
        motet_build_piece piece;
        if (w->file < 0) continue;
        if (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) {
            if (receive_piece(&piece, p, w)) {
                arrive(p, w->file, &piece);
                w->file = -1;
            } else {
                bury_worker(p, w, NULL);
            }
        } else if (now() - w->since > 6.0 * file_seconds(p->options)) {
            bury_worker(p, w, "timed out (waiting, not computing)");
        }
    }
}

static motet_status run(pool *p, struct pollfd *polls, motet_build_take *take, void *user) {
    while (p->next_take < p->list->count) {
        if (p->options->stop && *p->options->stop)
            return MOTET_FAIL(MOTET_E_USAGE, "interrupted; nothing was written");
        MOTET_TRY(feed(p));
        listen_once(p, polls);
        for (; p->next_take < p->next_file && p->arrived[p->next_take % AHEAD]; p->next_take++) {
            motet_build_piece *piece = &p->waiting[p->next_take % AHEAD];
            motet_status status = take(user, piece);
            motet_build_piece_free(piece);
            p->arrived[p->next_take % AHEAD] = 0;
            MOTET_TRY(status);
        }
    }
    return MOTET_OK;
}

motet_status motet_build_pool_run(const motet_build_list *list, const motet_build_options *options,
                                  motet_build_take *take, void *user) {
    size_t jobs = (size_t)options->jobs;
    pool p = {.list = list, .options = options};
    p.workers = calloc(jobs, sizeof *p.workers);
    p.waiting = calloc(AHEAD, sizeof *p.waiting);
    p.arrived = calloc(AHEAD, 1);
    struct pollfd *polls = calloc(jobs, sizeof *polls);
    motet_status status = MOTET_OK;
    if (!p.workers || !p.waiting || !p.arrived || !polls)
        status = MOTET_FAIL(MOTET_E_MEMORY, "no memory for %d workers", options->jobs);
    for (size_t i = 0; status == MOTET_OK && i < jobs; i++)
        p.workers[i].file = -1;
    if (status == MOTET_OK) status = run(&p, polls, take, user);
    for (size_t i = 0; p.workers && i < jobs; i++)
        end_worker(&p.workers[i], 1);
    for (int i = 0; p.arrived && p.waiting && i < AHEAD; i++)
        if (p.arrived[i]) motet_build_piece_free(&p.waiting[i]);
    free(p.workers);
    free(p.waiting);
    free(p.arrived);
    free(polls);
    return status;
}
