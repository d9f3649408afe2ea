/* meeting: the memory that the ranks of a communicator share: a file that all of them map, with a
 * seat for each rank and a pipe of bytes for each ordered pair. The file goes when all have come.
 */
#ifndef NCCL_TEST_MEETING_H
#define NCCL_TEST_MEETING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TN_MOST_RANKS = 8, TN_PIPE = 1 << 18 };

typedef struct tn_seat {
    _Atomic int taken;    /* 1 after the rest is written */
    _Atomic int device;   /* CUDA's number */
    _Atomic int finished; /* ncclCommFinalize was called */
    _Atomic int failed;   /* reported an error that its peers notice */
} tn_seat;

typedef struct tn_pipe {
    _Atomic uint64_t head, tail; /* bytes written and read so far */
    unsigned char bytes[TN_PIPE];
} tn_pipe;

typedef struct tn_meeting {
    _Atomic int ranks; /* as the first one counts; 0 before it */
    tn_seat seats[TN_MOST_RANKS];
    tn_pipe pipes[TN_MOST_RANKS][TN_MOST_RANKS]; /* [from][to] */
} tn_meeting;

/* A path that nobody else has, in MOTET_TEST_NCCL_FOLDER (default /dev/shm). */
bool tn_meeting_name(char *path, size_t size);

/* Maps the file, made by whoever is first. NULL: cannot. */
tn_meeting *tn_meeting_open(const char *path);
void tn_meeting_close(tn_meeting *meeting);

/* Moves what fits; the number of bytes moved. */
size_t tn_pipe_move(tn_pipe *pipe, bool receive, void *data, size_t bytes);

#endif
