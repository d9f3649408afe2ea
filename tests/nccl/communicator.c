#include "tests/nccl/communicator.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void set_state(struct ncclComm *c, ncclResult_t state, const char *error) {
    pthread_mutex_lock(&c->lock);
    if (c->state == ncclSuccess || c->state == ncclInProgress) {
        c->state = state;
        if (error) snprintf(c->error, sizeof c->error, "%s", error);
    }
    pthread_mutex_unlock(&c->lock);
}

static bool quits(struct ncclComm *c) {
    pthread_mutex_lock(&c->lock);
    bool answer = c->quits;
    pthread_mutex_unlock(&c->lock);
    return answer;
}

static void nap(void) {
    nanosleep(&(struct timespec){0, 50000}, NULL);
}

/* ---- All ranks come, each with a device of its own. */

static bool take_seat(struct ncclComm *c) {
    int none = 0, ranks = c->ranks;
    if (!atomic_compare_exchange_strong(&c->meeting->ranks, &none, ranks) && none != ranks) {
        set_state(c, ncclInvalidArgument, "ranks count each other differently");
        return false;
    }
    tn_seat *seat = &c->meeting->seats[c->rank];
    atomic_store(&seat->device, c->device.ordinal);
    if (atomic_exchange(&seat->taken, 1)) {
        set_state(c, ncclInvalidUsage, "two ranks have one number");
        return false;
    }
    return true;
}

static bool all_have_come(const struct ncclComm *c) {
    for (int r = 0; r < c->ranks; r++)
        if (!atomic_load(&c->meeting->seats[r].taken)) return false;
    return true;
}

static bool meet(struct ncclComm *c) {
    if (!take_seat(c)) return false;
    while (!all_have_come(c)) {
        if (quits(c)) return false;
        nap();
    }
    unlink(c->path);
    for (int r = 0; r < c->ranks; r++)
        for (int k = 0; k < r; k++)
            if (c->meeting->seats[r].device == c->meeting->seats[k].device) {
                char text[100];
                snprintf(text, sizeof text, "Duplicate GPU detected: ranks %d and %d on CUDA %d", k,
                         r, c->meeting->seats[r].device);
                set_state(c, ncclInvalidUsage, text);
                return false;
            }
    set_state(c, ncclSuccess, NULL);
    return true;
}

/* ---- Groups. */

static bool peers_are_well(struct ncclComm *c) {
    for (int r = 0; r < c->ranks; r++)
        if (r != c->rank && atomic_load(&c->meeting->seats[r].failed)) {
            char text[80];
            snprintf(text, sizeof text, "rank %d has reported an error", r);
            set_state(c, ncclRemoteError, text);
            return false;
        }
    return true;
}

/* Nothing of what follows ends before somebody aborts. */
static void hang(struct ncclComm *c) {
    while (!quits(c))
        nap();
}

static bool strike(struct ncclComm *c) {
    switch (c->fault) {
    case TN_DIE:
        kill(getpid(), SIGKILL);
        return false;
    case TN_STOP:
        kill(getpid(), SIGSTOP);
        return true;
    case TN_STALL:
        hang(c);
        return false;
    case TN_ERROR:
        atomic_store(&c->meeting->seats[c->rank].failed, 1);
        set_state(c, ncclSystemError, "the fault that was asked for");
        return false;
    default:
        return true;
    }
}

static ncclResult_t carry_out(struct ncclComm *c, tn_work *w, bool faulty, char *error,
                              size_t size) {
    for (bool done = false; !done;) {
        bool moved;
        ncclResult_t result = tn_work_step(w, c->meeting, c->rank, &moved, &done, error, size);
        if (result != ncclSuccess) return result;
        if (faulty && (done || 2 * w->moved_bytes > w->all_bytes)) {
            faulty = false;
            if (!strike(c)) return ncclInternalError;
        }
        if (moved || done) continue;
        if (!peers_are_well(c) || quits(c)) return ncclInternalError; /* the state says more */
        nap();
    }
    return tn_work_end(w, c->rank, c->ranks, error, size);
}

/* The streams of a group that failed stay busy until the communicator is aborted. */
static bool do_group(struct ncclComm *c, tn_group *g, uint64_t number) {
    char error[sizeof c->error] = "";
    tn_work work;
    cudaStream_t *streams = malloc((size_t)g->count * sizeof *streams);
    int count = g->count;
    bool faulty = c->fault != TN_NO_FAULT && number == c->fault_at;
    for (int i = 0; streams && i < count; i++)
        streams[i] = g->calls[i].stream;
    ncclResult_t result =
        streams ? tn_work_begin(&work, g->calls, g->count, c->rank, c->ranks, error, sizeof error)
                : ncclSystemError;
    set_state(c, ncclSuccess, NULL); /* launched */
    if (result == ncclSuccess) result = carry_out(c, &work, faulty, error, sizeof error);
    if (result != ncclSuccess) {
        if (*error) atomic_store(&c->meeting->seats[c->rank].failed, 1);
        set_state(c, result, *error ? error : "it was aborted");
        hang(c);
    }
    for (int i = 0; streams && i < count; i++)
        (void)tn_device_busy((CUstream)streams[i], -1);
    if (streams) tn_work_free(&work);
    free(streams);
    return result == ncclSuccess;
}

static void *run(void *user) {
    struct ncclComm *c = user;
    if (tn_device_enter(&c->device) != CUDA_SUCCESS) {
        set_state(c, ncclUnhandledCudaError, "the thread has no context");
        return NULL;
    }
    if (!meet(c)) return NULL;
    bool good = true;
    for (uint64_t number = 0; good; number++) {
        pthread_mutex_lock(&c->lock);
        while (!c->first && !c->quits && !c->finalized)
            pthread_cond_wait(&c->changed, &c->lock);
        tn_group *g = c->quits ? NULL : c->first;
        if (g) c->first = g->next;
        pthread_mutex_unlock(&c->lock);
        if (!g) break;
        good = do_group(c, g, number);
        free(g);
    }
    pthread_mutex_lock(&c->lock);
    bool finalized = c->finalized && !c->quits;
    pthread_mutex_unlock(&c->lock);
    if (finalized && good) {
        atomic_store(&c->meeting->seats[c->rank].finished, 1);
        set_state(c, ncclSuccess, NULL);
    }
    return NULL;
}

/* ---- What the program asks for. */

static void read_fault(struct ncclComm *c) {
    static const char *const kinds[] = {"", "die", "stop", "stall", "error"};
    const char *text = getenv("MOTET_TEST_NCCL_FAULT");
    char kind[16];
    int rank;
    unsigned long long at;
    if (!text || sscanf(text, "%15[a-z]:%d:%llu", kind, &rank, &at) != 3 || rank != c->rank) return;
    for (int i = 1; i < 5; i++)
        if (!strcmp(kind, kinds[i])) c->fault = (tn_fault)i;
    c->fault_at = at;
}

ncclResult_t tn_communicator_open(struct ncclComm **comm, int ranks, const char *path, int rank) {
    struct ncclComm *c = calloc(1, sizeof *c);
    if (!c) return ncclSystemError;
    *c = (struct ncclComm){.rank = rank, .ranks = ranks, .state = ncclInProgress};
    snprintf(c->path, sizeof c->path, "%s", path);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    read_fault(c);
    if (tn_device_open(&c->device) != CUDA_SUCCESS) {
        free(c);
        return ncclUnhandledCudaError;
    }
    c->meeting = tn_meeting_open(path);
    if (!c->meeting || pthread_create(&c->thread, NULL, run, c) != 0) {
        tn_meeting_close(c->meeting);
        free(c);
        return ncclSystemError;
    }
    *comm = c;
    return ncclInProgress;
}

ncclResult_t tn_communicator_submit(struct ncclComm *c, tn_call *calls, int count) {
    tn_group *group = malloc(sizeof *group);
    if (!group) return ncclSystemError;
    *group = (tn_group){.calls = calls, .count = count};
    for (int i = 0; i < count; i++)
        if (tn_device_busy((CUstream)calls[i].stream, 1) != CUDA_SUCCESS)
            return ncclUnhandledCudaError;
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < count; i++)
        if (calls[i].kind != TN_SEND_RECEIVE) calls[i].number = ++c->collectives;
    tn_group **last = &c->first;
    while (*last)
        last = &(*last)->next;
    *last = group;
    c->state = ncclInProgress;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return ncclInProgress;
}

ncclResult_t tn_communicator_finalize(struct ncclComm *c) {
    pthread_mutex_lock(&c->lock);
    ncclResult_t result = c->finalized ? ncclInvalidUsage : ncclInProgress;
    c->finalized = true;
    c->state = ncclInProgress;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return result;
}

ncclResult_t tn_communicator_state(struct ncclComm *c) {
    pthread_mutex_lock(&c->lock);
    ncclResult_t state = c->state;
    pthread_mutex_unlock(&c->lock);
    return state;
}

void tn_communicator_close(struct ncclComm *c) {
    pthread_mutex_lock(&c->lock);
    c->quits = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    for (tn_group *g = c->first; g;) { /* never begun */
        tn_group *next = g->next;
        for (int i = 0; i < g->count; i++)
            (void)tn_device_busy((CUstream)g->calls[i].stream, -1);
        free(g->calls);
        free(g);
        g = next;
    }
    unlink(c->path); /* of a meeting that never was complete */
    tn_meeting_close(c->meeting);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c);
}
