#include <stdio.h>
#include <string.h>

#include "data/command.h"

/* HDF5 files begin with this; everything else is taken for MIDI. */
static int is_hdf5(const char *path) {
    static const char MAGIC[8] = "\x89HDF\r\n\x1a\n";
    char start[8] = "";
    FILE *stream = fopen(path, "rbe");
    size_t got = stream ? fread(start, 1, 8, stream) : 0;
    if (stream) fclose(stream);
    return got == 8 && !memcmp(start, MAGIC, 8);
}

int motet_command_inspect(int argc, char **argv) {
    int json = 0, positionals, help;
    const motet_flag flags[] = {
        {"--json", MOTET_FLAG_SWITCH, &json, 0, 0, NULL, "one JSON object instead of text"},
    };
    const motet_command command = {"inspect",
                                   "FILE.mid|CORPUS.h5",
                                   "Says what the analysis finds in a MIDI file, and what was "
                                   "repaired; or what a corpus holds.",
                                   flags,
                                   sizeof flags / sizeof *flags,
                                   1,
                                   1};
    motet_status status = motet_command_parse(&positionals, &help, &command, argc, argv);
    if (help) return 0;
    if (status == MOTET_OK)
        status = is_hdf5(argv[1]) ? motet_inspect_corpus(argv[1], json)
                                  : motet_inspect_midi(argv[1], json);
    return status == MOTET_OK ? 0 : motet_command_fail(status);
}
