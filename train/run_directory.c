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

static motet_status sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return MOTET_FAIL(MOTET_E_IO, "%s: cannot be opened: %m", path);
    int failed = fsync(folder) != 0 && errno != EINVAL; /* EINVAL: not this file system's habit */
    motet_status status =
        failed ? MOTET_FAIL(MOTET_E_IO, "%s: cannot be synced: %m", path) : MOTET_OK;
    close(folder);
    return status;
}

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

/* The N of "step-N"; -1 if the name is not exactly that. */
static int64_t step_of(const char *name) {
    if (strncmp(name, "step-", 5) || name[5] < '0' || name[5] > '9' || strlen(name) > 23) return -1;
    char *end;
    int64_t step = strtoll(name + 5, &end, 10);
    return *end ? -1 : step;
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

static int ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && !strcmp(name + length - tail, end);
}

/* As motet_file_replace and motet_safetensors_write call what is not yet in its place. */
static int is_unfinished(const char *name) {
    static const char *const files[] = {"settings.ini.", "vocab.txt.", "latest."};
    for (int i = 0; i < 3; i++)
        if (!strncmp(name, files[i], strlen(files[i]))) return ends_with(name, ".tmp");
    return !strncmp(name, "model.safetensors.tmp", 21);
}

/* What a killed trainer left: step-N.tmp/, files that were to replace others, and step-N.old/ if
 * step-N is there. Only under the lock. */
static void tidy(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *name = entry->d_name;
        char whole[PATH_MAX], home[PATH_MAX];
        int length = snprintf(whole, sizeof whole, "%s/%s", path, name);
        if (length < 0 || (size_t)length >= sizeof whole) continue;
        if (!strncmp(name, "step-", 5) && ends_with(name, ".tmp")) {
            remove_flat(whole);
        } else if (!strncmp(name, "step-", 5) && ends_with(name, ".old")) {
            snprintf(home, sizeof home, "%.*s", length - 4, whole);
            if (access(home, F_OK) == 0 || rename(whole, home) != 0) remove_flat(whole);
        } else if (is_unfinished(name)) {
            unlink(whole);
        }
    }
    closedir(folder);
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
    if (flock(run->lock, LOCK_EX | LOCK_NB) == 0) {
        tidy(path);
        snprintf(lock, sizeof lock, "%s/best", path);
        tidy(lock);
        return MOTET_OK;
    }
    motet_run_directory_close(run);
    return MOTET_FAIL(MOTET_E_USAGE, "%s is in use by another trainer: give another run.dir", path);
}

void motet_run_directory_close(motet_run_directory *run) {
    if (run->lock >= 0) close(run->lock); /* which unlocks */
    run->lock = -1;
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

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

motet_status motet_run_directory_steps(int64_t **steps, int *count, const char *run_path) {
    DIR *folder = opendir(run_path);
    int room = 0;
    *steps = NULL, *count = 0;
    if (!folder && errno == ENOENT) return MOTET_OK;
    if (!folder) return MOTET_FAIL(MOTET_E_IO, "%s: cannot be opened: %m", run_path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        int64_t step = step_of(entry->d_name);
        if (step < 0) continue;
        if (*count == room) {
            int64_t *more = realloc(*steps, (size_t)(room += 64) * sizeof *more);
            if (!more) {
                closedir(folder);
                free(*steps);
                *steps = NULL;
                return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory to list it", run_path);
            }
            *steps = more;
        }
        (*steps)[(*count)++] = step;
    }
    closedir(folder);
    if (*count) qsort(*steps, (size_t)*count, sizeof **steps, newest_first);
    return MOTET_OK;
}

void motet_run_directory_step(char path[PATH_MAX], const char *run_path, int64_t step) {
    snprintf(path, PATH_MAX, "%s/step-%" PRId64, run_path, step);
}

static void step_path(char path[PATH_MAX], const motet_run_directory *run, int64_t step,
                      const char *suffix) {
    snprintf(path, PATH_MAX, "%s/step-%" PRId64 "%s", run->path, step, suffix);
}

motet_status motet_run_directory_set_aside(const motet_run_directory *run, int64_t step) {
    char path[PATH_MAX], aside[PATH_MAX];
    step_path(path, run, step, "");
    step_path(aside, run, step, ".damaged");
    remove_flat(aside); /* an earlier one of the same step */
    if (rename(path, aside) == 0) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_IO, "%s: cannot be renamed to %s: %m", path, aside);
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

/* Of the checkpoints up to `newest` (the one just made) the `keep` largest stay. Later ones, which
 * somebody who went back left behind, are not ours to remove. */
static void prune(const motet_run_directory *run, int64_t newest, int keep) {
    int64_t *steps;
    int count, kept = 0;
    if (motet_run_directory_steps(&steps, &count, run->path) != MOTET_OK) return;
    for (int i = 0; i < count; i++) {
        if (steps[i] > newest || kept++ < keep) continue;
        char path[PATH_MAX];
        step_path(path, run, steps[i], "");
        remove_flat(path); /* what is not a checkpoint's file keeps the folder: leave it */
    }
    free(steps);
}

/* Puts a finished folder in its place. The same step saved again takes the old one's in one call
 * (the old one is then what has the temporary name), where the file system can do that. */
static motet_status place_step(const char *made, const char *final, const char *old) {
    if (renameat2(AT_FDCWD, made, AT_FDCWD, final, RENAME_NOREPLACE) == 0) return MOTET_OK;
    if (errno == EEXIST && renameat2(AT_FDCWD, made, AT_FDCWD, final, RENAME_EXCHANGE) == 0)
        return MOTET_OK;
    if (errno != EINVAL && errno != ENOSYS)
        return MOTET_FAIL(MOTET_E_IO, "%s: cannot be renamed to %s: %m", made, final);
    remove_flat(old);
    int replaced = rename(final, old) == 0;
    if (rename(made, final) == 0) return MOTET_OK;
    motet_status status = MOTET_FAIL(MOTET_E_IO, "%s: cannot be renamed to %s: %m", made, final);
    if (replaced) rename(old, final);
    return status;
}

motet_status motet_run_directory_commit(const motet_run_directory *run, int64_t step, int keep) {
    char made[PATH_MAX], final[PATH_MAX], old[PATH_MAX], latest[PATH_MAX], name[64];
    step_path(made, run, step, ".tmp");
    step_path(final, run, step, "");
    step_path(old, run, step, ".old");
    MOTET_TRY(sync_folder(made));
    MOTET_TRY(place_step(made, final, old));
    MOTET_TRY(sync_folder(run->path));
    snprintf(latest, sizeof latest, "%s/latest", run->path);
    int length = snprintf(name, sizeof name, "step-%" PRId64 "\n", step);
    MOTET_TRY(motet_file_replace(latest, name, (size_t)length));
    remove_flat(made);
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
