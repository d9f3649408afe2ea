#include "tests/nccl/meeting.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

bool tn_meeting_name(char *path, size_t size) {
    static _Atomic int count;
    const char *folder = getenv("MOTET_TEST_NCCL_FOLDER");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int length =
        snprintf(path, size, "%s/nccl-%ld-%d-%lld%09ld", folder ? folder : "/dev/shm",
                 (long)getpid(), atomic_fetch_add(&count, 1), (long long)now.tv_sec, now.tv_nsec);
    return length > 0 && (size_t)length < size;
}

tn_meeting *tn_meeting_open(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return NULL;
    void *memory = MAP_FAILED;
    if (ftruncate(file, (off_t)sizeof(tn_meeting)) == 0) /* zeros where nobody has written */
        memory = mmap(NULL, sizeof(tn_meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

void tn_meeting_close(tn_meeting *meeting) {
    if (meeting) munmap(meeting, sizeof *meeting);
}

size_t tn_pipe_move(tn_pipe *pipe, bool receive, void *data, size_t bytes) {
    uint64_t head = atomic_load(&pipe->head), tail = atomic_load(&pipe->tail);
    uint64_t at = receive ? tail : head;
    size_t most = receive ? (size_t)(head - tail) : TN_PIPE - (size_t)(head - tail);
    if (most > bytes) most = bytes;
    for (size_t done = 0; done < most;) {
        size_t offset = (size_t)((at + done) % TN_PIPE), run = TN_PIPE - offset;
        if (run > most - done) run = most - done;
        unsigned char *here = (unsigned char *)data + done, *there = pipe->bytes + offset;
        memcpy(receive ? here : there, receive ? there : here, run);
        done += run;
    }
    atomic_store(receive ? &pipe->tail : &pipe->head, at + most);
    return most;
}
