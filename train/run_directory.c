#include "train/run_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/file.h"

static motet_status make_folder(const char *path) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO, "%s: the folder cannot be made: %m", path);
}

static motet_status make_folders(const char *path) {
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        MOTET_TRY(make_folder(part));
        *slash = '/';
    }
    return make_folder(part);
}

motet_status motet_run_directory_open(motet_run_directory *run, const char *path) {
    run->lock = -1;
    if (!*path || strlen(path) >= sizeof run->path)
        return MOTET_FAIL(MOTET_E_USAGE, "run.dir is empty or too long");
    snprintf(run->path, sizeof run->path, "%s", path);
    MOTET_TRY(make_folders(path));
    char lock[PATH_MAX];
    snprintf(lock, sizeof lock, "%s/lock", path);
    run->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (run->lock < 0) return MOTET_FAIL(MOTET_E_IO, "%s: cannot be made: %m", lock);
    if (flock(run->lock, LOCK_EX | LOCK_NB) == 0) return MOTET_OK;
    motet_run_directory_close(run);
    return MOTET_FAIL(MOTET_E_USAGE, "%s is in use by another trainer: give another run.dir", path);
}

void motet_run_directory_close(motet_run_directory *run) {
    if (run->lock >= 0) close(run->lock); /* which unlocks */
    run->lock = -1;
}

/* The N of "step-N"; -1 if the name is not exactly that. */
static int64_t step_of(const char *name) {
    if (strncmp(name, "step-", 5) || name[5] < '0' || name[5] > '9' || strlen(name) > 23) return -1;
    char *end;
    int64_t step = strtoll(name + 5, &end, 10);
    return *end ? -1 : step;
}

motet_status motet_run_directory_latest(char path[PATH_MAX], const char *run_path) {
    unsigned char *bytes;
    size_t size;
    if (strlen(run_path) >= sizeof((motet_run_directory *)0)->path)
        return MOTET_FAIL(MOTET_E_USAGE, "run.dir is too long");
    snprintf(path, PATH_MAX, "%s/latest", run_path);
    if (access(path, F_OK) != 0)
        return MOTET_FAIL(MOTET_E_USAGE, "%s holds no checkpoint yet", run_path);
    MOTET_TRY(motet_file_read(&bytes, &size, path, 4096));
    bytes[strcspn((char *)bytes, "\n")] = 0;
    if (step_of((char *)bytes) < 0) {
        free(bytes);
        return MOTET_FAIL(MOTET_E_DATA, "%s: does not name a checkpoint", path);
    }
    snprintf(path, PATH_MAX, "%s/%s", run_path, (char *)bytes);
    free(bytes);
    return MOTET_OK;
}

/* Checkpoints are flat folders: files are removed, nothing is descended into. */
static void remove_flat(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(path);
}

static void step_path(char path[PATH_MAX], const motet_run_directory *run, int64_t step,
                      const char *suffix) {
    snprintf(path, PATH_MAX, "%s/step-%" PRId64 "%s", run->path, step, suffix);
}

motet_status motet_run_directory_begin(char path[PATH_MAX], const motet_run_directory *run,
                                       int64_t step) {
    step_path(path, run, step, ".tmp");
    remove_flat(path); /* left by a crash */
    return make_folder(path);
}

void motet_run_directory_abandon(const motet_run_directory *run, int64_t step) {
    char path[PATH_MAX];
    step_path(path, run, step, ".tmp");
    remove_flat(path);
}

static motet_status sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return MOTET_FAIL(MOTET_E_IO, "%s: cannot be opened: %m", path);
    int failed = fsync(folder) != 0 && errno != EINVAL; /* EINVAL: not this file system's habit */
    motet_status status =
        failed ? MOTET_FAIL(MOTET_E_IO, "%s: cannot be synced: %m", path) : MOTET_OK;
    close(folder);
    return status;
}

/* The `keep` largest steps stay, and all that are not below `newest` (the one just made). */
static void prune(const motet_run_directory *run, int64_t newest, int keep) {
    for (;;) {
        int64_t oldest = INT64_MAX;
        int count = 0;
        DIR *folder = opendir(run->path);
        if (!folder) return;
        for (struct dirent *entry; (entry = readdir(folder));) {
            int64_t step = step_of(entry->d_name);
            if (step < 0) continue;
            count++;
            if (step < oldest) oldest = step;
        }
        closedir(folder);
        if (count <= keep || oldest >= newest) return;
        char path[PATH_MAX];
        step_path(path, run, oldest, "");
        remove_flat(path);
        if (access(path, F_OK) == 0) return; /* somebody's file is in it: leave it */
    }
}

motet_status motet_run_directory_commit(const motet_run_directory *run, int64_t step, int keep) {
    char made[PATH_MAX], final[PATH_MAX], old[PATH_MAX], latest[PATH_MAX], name[64];
    step_path(made, run, step, ".tmp");
    step_path(final, run, step, "");
    step_path(old, run, step, ".old");
    MOTET_TRY(sync_folder(made));
    remove_flat(old);
    int replaced = rename(final, old) == 0; /* the same step saved again */
    if (rename(made, final) != 0) {
        motet_status status =
            MOTET_FAIL(MOTET_E_IO, "%s: cannot be renamed to %s: %m", made, final);
        if (replaced) rename(old, final);
        return status;
    }
    MOTET_TRY(sync_folder(run->path));
    snprintf(latest, sizeof latest, "%s/latest", run->path);
    int length = snprintf(name, sizeof name, "step-%" PRId64 "\n", step);
    MOTET_TRY(motet_file_replace(latest, name, (size_t)length));
    remove_flat(old);
    prune(run, step, keep);
    return MOTET_OK;
}

motet_status motet_run_directory_best(char path[PATH_MAX], const motet_run_directory *run) {
    snprintf(path, PATH_MAX, "%s/best", run->path);
    MOTET_TRY(make_folder(path));
    snprintf(path, PATH_MAX, "%s/best/model.safetensors", run->path);
    return MOTET_OK;
}
