#include "infer/wav.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *find_soundfont(void) {
    static const char *const usual[] = {
        "/usr/share/sounds/sf2/default-GM.sf2", "/usr/share/sounds/sf2/FluidR3_GM.sf2",
        "/usr/share/sounds/sf2/TimGM6mb.sf2", "/usr/share/sounds/sf3/default-GM.sf3"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (access(usual[i], R_OK) == 0) return usual[i];
    return NULL;
}

/* FluidSynth plays silence from what is no soundfont: SoundFont files are RIFF of the form sfbk. */
static motet_status check_soundfont(const char *path) {
    char head[12] = "";
    FILE *file = fopen(path, "rb");
    if (!file) return MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(errno));
    size_t size = fread(head, 1, sizeof head, file);
    fclose(file);
    if (size == sizeof head && !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "sfbk", 4))
        return MOTET_OK;
    return MOTET_FAIL(MOTET_E_DATA, "%s is no soundfont", path);
}

static motet_status write_all(int file, const unsigned char *bytes, size_t size) {
    while (size > 0) {
        ssize_t wrote = write(file, bytes, size);
        if (wrote < 0)
            return MOTET_FAIL(MOTET_E_IO, "cannot write a temporary file: %s", strerror(errno));
        bytes += wrote;
        size -= (size_t)wrote;
    }
    return MOTET_OK;
}

static motet_status run(const char *soundfont, const char *midi, const char *wav) {
    extern char **environ;
    char *arguments[] = {"fluidsynth",      "-ni",        "-q", "-F", (char *)wav, "-r", "44100",
                         (char *)soundfont, (char *)midi, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    pid_t child;
    int error = posix_spawnp(&child, "fluidsynth", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED,
                          "FluidSynth is not installed; on Debian: apt install "
                          "fluidsynth timgm6mb-soundfont");
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    struct stat written;
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 127 || stat(wav, &written) != 0 ||
        written.st_size <= 44) /* a header and no sound */
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "FluidSynth could not render the piece; on Debian: "
                                               "apt install fluidsynth timgm6mb-soundfont");
    return MOTET_OK;
}

motet_status motet_wav_write(const char *path, const unsigned char *midi, size_t size,
                             const char *soundfont) {
    if (!soundfont) soundfont = find_soundfont();
    if (!soundfont)
        return MOTET_FAIL(MOTET_E_UNSUPPORTED, "there is no soundfont to play with; on Debian: apt "
                                               "install timgm6mb-soundfont, or give --soundfont");
    MOTET_TRY(check_soundfont(soundfont));
    char source[] = "/tmp/motet-XXXXXX", target[4096];
    if (snprintf(target, sizeof target, "%s.tmp%ld", path, (long)getpid()) >= (int)sizeof target)
        return MOTET_FAIL(MOTET_E_USAGE, "the name of the WAV file is too long");
    /* Tried here, since FluidSynth does not say why it cannot write. */
    int file = open(target, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0)
        return MOTET_FAIL(MOTET_E_IO, "%s: cannot write a new file beside it: %s", path,
                          strerror(errno));
    close(file);
    file = mkstemp(source);
    if (file < 0) {
        int error = errno;
        unlink(target);
        return MOTET_FAIL(MOTET_E_IO, "cannot make a temporary file: %s", strerror(error));
    }
    motet_status status = write_all(file, midi, size);
    close(file);
    if (status == MOTET_OK) status = run(soundfont, source, target);
    unlink(source);
    if (status == MOTET_OK && rename(target, path) != 0)
        status = MOTET_FAIL(MOTET_E_IO, "%s: %s", path, strerror(errno));
    if (status != MOTET_OK) unlink(target);
    return status;
}
