#include "data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static motet_status io_fail(const char *path, const char *doing, int error) {
    return MOTET_FAIL(MOTET_E_IO, "%s: cannot %s: %s", path, doing, strerror(error));
}

/* Reads to the end of fd in steps that double; a limit of 64 bits stands above any of them. */
static motet_status read_all(unsigned char **bytes, size_t *size, int fd, const char *path,
                             size_t limit, size_t expected) {
    size_t room = expected < limit ? expected + 1 : limit, used = 0;
    if (room < 4096) room = 4096;
    unsigned char *buffer = malloc(room + 1);
    while (buffer) {
        if (used == room) {
            if (used > limit || room > SIZE_MAX / 2 - 1) break;
            unsigned char *grown = realloc(buffer, 2 * room + 1);
            if (!grown) break;
            buffer = grown;
            room *= 2;
        }
        ssize_t got = read(fd, buffer + used, room - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            int error = errno;
            free(buffer);
            return io_fail(path, "read", error);
        }
        if (got == 0 && used <= limit) {
            buffer[used] = 0;
            *bytes = buffer;
            *size = used;
            return MOTET_OK;
        }
        used += (size_t)got;
        if (used > limit) {
            free(buffer);
            return MOTET_FAIL(MOTET_E_IO, "%s: larger than the %zu bytes that are read at most",
                              path, limit);
        }
    }
    free(buffer);
    return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to read it into", path);
}

motet_status motet_file_read(unsigned char **bytes, size_t *size, const char *path, size_t limit) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_fail(path, "open", errno);
    struct stat info;
    motet_status status;
    if (fstat(fd, &info))
        status = io_fail(path, "read", errno);
    else if (S_ISDIR(info.st_mode))
        status = io_fail(path, "read", EISDIR);
    else if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit)
        status = MOTET_FAIL(MOTET_E_IO, "%s: %lld bytes, more than the %zu that are read at most",
                            path, (long long)info.st_size, limit);
    else
        status = read_all(bytes, size, fd, path, limit,
                          S_ISREG(info.st_mode) ? (size_t)info.st_size : 0);
    close(fd);
    return status;
}

static int write_all(int fd, const unsigned char *bytes, size_t size) {
    while (size) {
        ssize_t put = write(fd, bytes, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return -1;
        bytes += put;
        size -= (size_t)put;
    }
    return 0;
}

/* The folder of a path as a file descriptor, for fsync; -1 where that is not allowed. */
static int open_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!folder) return -1;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    return fd;
}

/* Creates a file beside path that nobody has; its name goes to temporary, which has room. */
static int open_temporary(char *temporary, size_t room, const char *path) {
    static atomic_uint counter; /* threads of one process must not meet */
    for (int attempt = 0; attempt < 1000; attempt++) {
        snprintf(temporary, room, "%s.%d-%u.tmp", path, (int)getpid(),
                 atomic_fetch_add(&counter, 1u));
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* Devices and pipes have no old content to protect. */
static motet_status write_through(const char *path, const void *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return io_fail(path, "open", errno);
    motet_status status = MOTET_OK;
    if (write_all(fd, bytes, size)) status = io_fail(path, "write", errno);
    if (close(fd) && status == MOTET_OK) status = io_fail(path, "write", errno);
    return status;
}

motet_status motet_file_replace(const char *path, const void *bytes, size_t size) {
    size_t length = strlen(path), room = length + 40;
    if (length == 0 || path[length - 1] == '/')
        return MOTET_FAIL(MOTET_E_IO, "\"%s\" is not the name of a file", path);
    struct stat info;
    int known = stat(path, &info) == 0;
    if (known && S_ISDIR(info.st_mode)) return io_fail(path, "write", EISDIR);
    if (known && !S_ISREG(info.st_mode)) return write_through(path, bytes, size);

    char *temporary = malloc(room);
    if (!temporary) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for its name", path);
    int fd = open_temporary(temporary, room, path);
    if (fd < 0) {
        int error = errno;
        free(temporary);
        return io_fail(path, "write a new file beside it", error);
    }
    motet_status status = MOTET_OK;
    if (write_all(fd, bytes, size) || (known && fchmod(fd, info.st_mode & 07777)) || fsync(fd))
        status = io_fail(path, "write", errno);
    if (close(fd) && status == MOTET_OK) status = io_fail(path, "write", errno);
    if (status == MOTET_OK && rename(temporary, path)) status = io_fail(path, "replace", errno);
    if (status != MOTET_OK) {
        unlink(temporary);
    } else {
        /* The new name is durable once its folder is; a file system that cannot sync folders has
         * the file all the same, so this is no failure. */
        int folder = open_folder(path);
        if (folder >= 0) {
            (void)!fsync(folder);
            close(folder);
        }
    }
    free(temporary);
    return status;
}
