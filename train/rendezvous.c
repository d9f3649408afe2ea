#include "train/rendezvous.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What a rank says first, and what follows: one byte of kind, then a rank. In network order. */
typedef struct greeting {
    uint32_t magic, rank, ranks;
} greeting;
typedef struct notice {
    uint32_t kind, rank;
} notice;
enum { MAGIC = 0x6d6f7465, DIED = 1, DONE = 2, WELCOME = 3, REFUSED = 4 };

struct motet_rendezvous {
    int rank, ranks;
    int *sockets;  /* rank 0: [ranks], others: [0] to rank 0; -1 closed */
    char *states;  /* rank 0: [ranks] of a rank: 0 there, DIED, DONE */
    int dead;      /* rank that has died, -1 none */
    int root_done; /* rank 0 has closed in order */
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Reads or writes exactly so many bytes until the deadline; 1 if done. */
static int transfer(int socket, void *data, size_t bytes, int reads, double deadline) {
    unsigned char *at = data;
    while (bytes) {
        double left = deadline - seconds();
        struct pollfd wait = {.fd = socket, .events = reads ? POLLIN : POLLOUT};
        if (left <= 0 || poll(&wait, 1, left > 1 ? 1000 : (int)(left * 1000) + 1) < 0) {
            if (left > 0 && errno == EINTR) continue;
            return 0;
        }
        if (!wait.revents) continue;
        ssize_t moved = reads ? recv(socket, at, bytes, MSG_DONTWAIT)
                              : send(socket, at, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (moved < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (moved <= 0) return 0;
        at += moved;
        bytes -= (size_t)moved;
    }
    return 1;
}

static void tell(int socket, uint32_t kind, int rank) {
    notice n = {htonl(kind), htonl((uint32_t)rank)};
    transfer(socket, &n, sizeof n, 0, seconds() + 1);
}

static void shut(int *socket) {
    if (*socket >= 0) close(*socket);
    *socket = -1;
}

static motet_status resolve(struct addrinfo **list, const char *host, int port, int passive) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0};
    int result = getaddrinfo(passive ? NULL : host, service, &hints, list);
    if (result == 0) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO, "%s:%d: %s", host, port, gai_strerror(result));
}

/* Any address of this host: MASTER_ADDR may be a name that only the others resolve as we mean it.
 */
static motet_status listen_at(int *listener, const char *host, int port) {
    struct addrinfo *list;
    *listener = -1;
    MOTET_TRY(resolve(&list, host, port, 1));
    int last = 0;
    for (struct addrinfo *a = list; a && *listener < 0; a = a->ai_next) {
        int on = 1, s = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (s < 0) continue;
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(s, a->ai_addr, a->ai_addrlen) == 0 && listen(s, 1024) == 0)
            *listener = s;
        else
            last = errno, close(s);
    }
    freeaddrinfo(list);
    if (*listener >= 0) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO, "rank 0 cannot listen at port %d: %s", port, strerror(last));
}

/* A stranger is turned away; a rank that fits is welcomed. */
static motet_status greet(motet_rendezvous *r, int socket, double deadline) {
    greeting g;
    double soon = seconds() + 5;
    if (!transfer(socket, &g, sizeof g, 1, soon < deadline ? soon : deadline) ||
        ntohl(g.magic) != MAGIC) {
        close(socket);
        return MOTET_OK;
    }
    uint32_t rank = ntohl(g.rank), ranks = ntohl(g.ranks);
    if (ranks == (uint32_t)r->ranks && rank > 0 && rank < ranks && r->sockets[rank] < 0) {
        int on = 1;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        r->sockets[rank] = socket;
        return MOTET_OK;
    }
    tell(socket, REFUSED, 0);
    close(socket);
    if (ranks != (uint32_t)r->ranks)
        return MOTET_FAIL(MOTET_E_USAGE, "rank %u counts %u ranks, rank 0 counts %d", rank, ranks,
                          r->ranks);
    return MOTET_FAIL(MOTET_E_USAGE, "two processes say that they are rank %u of %u", rank, ranks);
}

static motet_status missing(const motet_rendezvous *r, double timeout_s) {
    char names[200] = "";
    int count = 0;
    for (int i = 1; i < r->ranks; i++) {
        if (r->sockets[i] >= 0) continue;
        size_t used = strlen(names);
        if (count++ < 16) snprintf(names + used, sizeof names - used, "%s%d", used ? ", " : "", i);
    }
    return MOTET_FAIL(MOTET_E_IO, "%d of %d ranks have not come within %.0f seconds: %s%s", count,
                      r->ranks, timeout_s, names, count > 16 ? ", ..." : "");
}

static motet_status accept_all(motet_rendezvous *r, int listener, double timeout_s) {
    double deadline = seconds() + timeout_s;
    int there = 1;
    while (there < r->ranks) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        double left = deadline - seconds();
        if (left <= 0) return missing(r, timeout_s);
        if (poll(&wait, 1, left > 1 ? 1000 : (int)(left * 1000) + 1) <= 0) continue;
        int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket >= 0) MOTET_TRY(greet(r, socket, deadline));
        there = 1;
        for (int i = 1; i < r->ranks; i++)
            there += r->sockets[i] >= 0;
    }
    for (int i = 1; i < r->ranks; i++)
        tell(r->sockets[i], WELCOME, i);
    return MOTET_OK;
}

static int connect_once(const struct addrinfo *list) {
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int s = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (s < 0) continue;
        if (connect(s, a->ai_addr, a->ai_addrlen) == 0) return s;
        close(s);
    }
    return -1;
}

static motet_status connect_to(motet_rendezvous *r, const char *host, int port, double timeout_s) {
    double deadline = seconds() + timeout_s;
    while (seconds() < deadline) {
        struct addrinfo *list;
        MOTET_TRY(resolve(&list, host, port, 0));
        int s = connect_once(list), on = 1;
        freeaddrinfo(list);
        greeting g = {htonl(MAGIC), htonl((uint32_t)r->rank), htonl((uint32_t)r->ranks)};
        notice n = {0};
        if (s >= 0) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (s >= 0 && transfer(s, &g, sizeof g, 0, deadline) &&
            transfer(s, &n, sizeof n, 1, deadline)) {
            if (ntohl(n.kind) == WELCOME) {
                r->sockets[0] = s;
                return MOTET_OK;
            }
            close(s);
            return MOTET_FAIL(MOTET_E_USAGE,
                              "rank 0 at %s:%d does not know this process as rank %d of %d", host,
                              port, r->rank, r->ranks);
        }
        if (s >= 0) close(s);
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    return MOTET_FAIL(MOTET_E_IO, "rank 0 has not answered at %s:%d for %.0f seconds", host, port,
                      timeout_s);
}

motet_status motet_rendezvous_open(motet_rendezvous **rendezvous, const char *host, int port,
                                   int rank, int ranks, double timeout_s) {
    *rendezvous = NULL;
    motet_rendezvous *r = calloc(1, sizeof *r);
    int count = rank == 0 ? ranks : 1;
    if (r) {
        *r = (motet_rendezvous){.rank = rank, .ranks = ranks, .dead = -1};
        r->sockets = malloc((size_t)count * sizeof *r->sockets);
        r->states = calloc((size_t)ranks, 1);
    }
    if (!r || !r->sockets || !r->states) {
        if (r) {
            free(r->sockets);
            free(r->states);
        }
        free(r);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory to meet %d ranks", ranks);
    }
    for (int i = 0; i < count; i++)
        r->sockets[i] = -1;
    motet_status status;
    if (rank == 0) {
        int listener;
        status = listen_at(&listener, host, port);
        if (status == MOTET_OK) status = accept_all(r, listener, timeout_s);
        shut(&listener);
    } else {
        status = connect_to(r, host, port, timeout_s);
    }
    if (status != MOTET_OK) {
        motet_rendezvous_close(r, 0);
        return status;
    }
    *rendezvous = r;
    return MOTET_OK;
}

void motet_rendezvous_close(motet_rendezvous *r, int orderly) {
    if (!r) return;
    int count = r->rank == 0 ? r->ranks : 1;
    for (int i = 0; i < count; i++) {
        if (r->sockets[i] >= 0 && orderly) tell(r->sockets[i], DONE, r->rank);
        shut(&r->sockets[i]);
    }
    free(r->sockets);
    free(r->states);
    free(r);
}

motet_status motet_rendezvous_broadcast(motet_rendezvous *r, void *data, size_t bytes,
                                        double timeout_s) {
    double deadline = seconds() + timeout_s;
    if (r->rank != 0) {
        if (transfer(r->sockets[0], data, bytes, 1, deadline)) return MOTET_OK;
        return MOTET_FAIL(MOTET_E_IO, "rank 0 has gone, or not spoken for %.0f seconds", timeout_s);
    }
    for (int i = 1; i < r->ranks; i++)
        if (!transfer(r->sockets[i], data, bytes, 0, deadline))
            return MOTET_FAIL(MOTET_E_IO, "rank %d has gone, or not listened for %.0f seconds", i,
                              timeout_s);
    return MOTET_OK;
}

/* What a peer has said or done: 0 nothing, or the kind of its notice; a closed line is DIED. */
static uint32_t listen_to(int socket, notice *n) {
    ssize_t got = recv(socket, n, sizeof *n, MSG_DONTWAIT | MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0) return DIED;
    if (got < (ssize_t)sizeof *n) return 0; /* the rest is on its way */
    recv(socket, n, sizeof *n, MSG_DONTWAIT);
    return ntohl(n->kind);
}

static void check_others(motet_rendezvous *r) {
    notice n;
    for (int i = 1; i < r->ranks && r->dead < 0; i++) {
        if (r->states[i]) continue;
        uint32_t kind = listen_to(r->sockets[i], &n);
        if (!kind) continue;
        r->states[i] = (char)kind;
        if (kind == DIED) r->dead = i;
    }
    for (int i = 1; i < r->ranks && r->dead >= 0; i++)
        if (!r->states[i]) tell(r->sockets[i], DIED, r->dead);
}

static void check_root(motet_rendezvous *r) {
    notice n = {0};
    uint32_t kind = r->root_done ? 0 : listen_to(r->sockets[0], &n);
    if (kind == DONE) r->root_done = 1;
    if (kind == DIED) r->dead = (int)ntohl(n.rank); /* 0 where the line was closed */
}

motet_status motet_rendezvous_check(motet_rendezvous *r) {
    if (r->dead < 0) {
        if (r->rank == 0)
            check_others(r);
        else
            check_root(r);
    }
    if (r->dead < 0) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO, "rank %d has died", r->dead);
}
