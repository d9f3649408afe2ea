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

/* What a rank says first, and what follows: a kind, then a rank or the number of an exchange. In
 * network order. */
typedef struct greeting {
    uint32_t magic, rank, ranks;
} greeting;
typedef struct notice {
    uint32_t kind, value;
} notice;
enum { MAGIC = 0x6d6f7465, DIED = 1, DONE, WELCOME, REFUSED, GAVE_UP, BEAT, ASK, LATE };
enum { NOBODY = -2 }; /* is to blame */

/* What is known of a peer: rank 0 knows all, the others rank 0. */
typedef struct peer {
    uint32_t state;    /* 0 there; DIED, GAVE_UP, DONE */
    uint32_t exchange; /* that it waited in last */
    double heard;      /* when it said so */
} peer;

struct motet_rendezvous {
    int rank, ranks;
    int *sockets;      /* rank 0: [ranks], others: [0] to rank 0; -1 closed */
    peer *peers;       /* rank 0: [ranks], others: [1] */
    uint32_t exchange; /* that this rank waited in last */
    int lost;          /* rank that has gone, -1 none */
    uint32_t how;      /* DIED or GAVE_UP */
    int asked;         /* somebody asked who is late, from this exchange */
    uint32_t asked_in;
    int late; /* rank that keeps the others waiting, -1 none known, NOBODY */
};

static const double silence_s = 2; /* a rank that waits says so four times a second */

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

static void tell(int socket, uint32_t kind, uint32_t value) {
    notice n = {htonl(kind), htonl(value)};
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

motet_status motet_rendezvous_port(int *port) {
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t length = sizeof any;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int good = s >= 0 && bind(s, (struct sockaddr *)&any, length) == 0 &&
               getsockname(s, (struct sockaddr *)&any, &length) == 0;
    *port = ntohs(any.sin_port);
    if (s >= 0) close(s);
    return good ? MOTET_OK : MOTET_FAIL(MOTET_E_IO, "no free port: %s", strerror(errno));
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
        tell(r->sockets[i], WELCOME, (uint32_t)i);
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
            if (ntohl(n.kind) == REFUSED) {
                close(s);
                return MOTET_FAIL(MOTET_E_USAGE,
                                  "rank 0 at %s:%d does not know this process as rank %d of %d",
                                  host, port, r->rank, r->ranks);
            }
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
        *r = (motet_rendezvous){.rank = rank, .ranks = ranks, .lost = -1, .late = -1};
        r->sockets = malloc((size_t)count * sizeof *r->sockets);
        r->peers = calloc((size_t)count, sizeof *r->peers);
    }
    if (!r || !r->sockets || !r->peers) {
        if (r) {
            free(r->sockets);
            free(r->peers);
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
        if (r->sockets[i] >= 0) tell(r->sockets[i], orderly ? DONE : GAVE_UP, (uint32_t)r->rank);
        shut(&r->sockets[i]);
    }
    free(r->sockets);
    free(r->peers);
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

/* ---- Afterwards: who is there, and who waits. */

/* What a peer has said or done: 0 nothing, or the kind of its notice; a closed line is DIED. */
static uint32_t listen_to(int socket, notice *n) {
    ssize_t got = recv(socket, n, sizeof *n, MSG_DONTWAIT | MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0) return DIED;
    if (got < (ssize_t)sizeof *n) return 0; /* the rest is on its way */
    recv(socket, n, sizeof *n, MSG_DONTWAIT);
    return ntohl(n->kind);
}

static void tell_all(const motet_rendezvous *r, uint32_t kind, uint32_t value) {
    int count = r->rank == 0 ? r->ranks : 1;
    for (int i = 0; i < count; i++)
        if (r->sockets[i] >= 0 && !r->peers[i].state) tell(r->sockets[i], kind, value);
}

/* By rank 0, asked by one that waits in this exchange: a rank that says nothing, else the one that
 * is furthest behind. The first answer stays. */
static void find_late(motet_rendezvous *r, uint32_t exchange) {
    uint32_t furthest = 0;
    int silent = -1, behind = -1;
    for (int i = 1; i < r->ranks; i++) {
        const peer *p = &r->peers[i];
        if (p->state) continue;
        if (silent < 0 && seconds() - p->heard > silence_s) silent = i;
        if (exchange - p->exchange - 1 < UINT32_MAX / 2 && exchange - p->exchange > furthest) {
            furthest = exchange - p->exchange;
            behind = i;
        }
    }
    if (r->late < 0) r->late = silent >= 0 ? silent : behind >= 0 ? behind : NOBODY;
    tell_all(r, LATE, (uint32_t)r->late);
}

/* Everything that peer i has said meanwhile. */
static void hear(motet_rendezvous *r, int i) {
    peer *p = &r->peers[i];
    while (!p->state) {
        notice n = {0};
        uint32_t kind = listen_to(r->sockets[i], &n), value = ntohl(n.value);
        switch (kind) {
        case 0:
            return;
        case BEAT:
            p->exchange = value;
            p->heard = seconds();
            break;
        case ASK:
            r->asked = 1, r->asked_in = value;
            break;
        case LATE:
            if (r->rank != 0) r->late = (int)value;
            break;
        case DONE:
            p->state = DONE;
            break;
        default: /* its own end, or, said by rank 0, another one's */
            if (r->rank == 0) p->state = kind;
            if (r->lost < 0) {
                r->lost = r->rank == 0 ? i : kind == DIED && !n.kind ? 0 : (int)value;
                r->how = kind;
            }
            if (r->rank == 0)
                tell_all(r, kind, (uint32_t)i);
            else
                return;
        }
    }
}

static motet_status name_late(const motet_rendezvous *r) {
    return MOTET_FAIL(MOTET_E_IO, "rank %d keeps the others waiting: it is stopped, or hangs",
                      r->late);
}

motet_status motet_rendezvous_check(motet_rendezvous *r) {
    int count = r->rank == 0 ? r->ranks : 1;
    for (int i = 0; i < count && r->lost < 0; i++)
        if (r->sockets[i] >= 0) hear(r, i);
    if (r->asked && r->rank == 0) find_late(r, r->asked_in); /* after all have been heard */
    r->asked = 0;
    if (r->late >= 0) return name_late(r);
    if (r->lost < 0) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO,
                      r->how == GAVE_UP ? "rank %d has given up: it says why" : "rank %d has died",
                      r->lost);
}

void motet_rendezvous_beat(motet_rendezvous *r, uint32_t exchange) {
    r->exchange = exchange;
    tell_all(r, BEAT, exchange);
}

motet_status motet_rendezvous_blame(motet_rendezvous *r, uint32_t exchange) {
    double deadline = seconds() + silence_s;
    MOTET_TRY(motet_rendezvous_check(r));
    if (r->rank == 0) {
        find_late(r, exchange);
    } else if (seconds() - r->peers[0].heard > silence_s) {
        r->late = 0;
    } else {
        tell(r->sockets[0], ASK, exchange);
        while (r->late == -1 && seconds() < deadline) {
            MOTET_TRY(motet_rendezvous_check(r));
            nanosleep(&(struct timespec){0, 10000000}, NULL);
        }
    }
    if (r->late >= 0) return name_late(r);
    return MOTET_FAIL(MOTET_E_IO,
                      "all ranks wait in the same exchange: NCCL or a link between them hangs");
}
