#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/command.h"
#include "data/corpus.h"
#include "data/midi_write.h"

static motet_status render_piece(motet_corpus *corpus, const char *path, int64_t index,
                                 const char *output) {
    int64_t count = motet_corpus_event_count(corpus, index);
    if (index >= motet_corpus_count(corpus))
        return MOTET_FAIL(MOTET_E_USAGE, "%s has pieces 0 to %lld, not %lld", path,
                          (long long)motet_corpus_count(corpus) - 1, (long long)index);
    motet_event *events = malloc((size_t)count * sizeof *events + 1);
    if (!events) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a piece");
    motet_score score = {0};
    char caption[400];
    motet_status status = motet_corpus_read(events, corpus, index, 0, count);
    if (status == MOTET_OK) status = motet_score_from_events(&score, events, count);
    if (status == MOTET_OK)
        status = motet_corpus_caption(caption, sizeof caption, corpus, index, 0);
    if (status == MOTET_OK) {
        const char *const lines[] = {caption};
        const motet_midi_texts texts = {lines, 1};
        score.key = motet_corpus_piece(corpus, index)->key;
        status = motet_midi_write_file(output, &score, &texts);
    }
    if (status == MOTET_OK)
        printf("%s: %d bars, %d notes: %s\n", output, score.bar_count, score.note_count, caption);
    motet_score_free(&score);
    free(events);
    return status;
}

int motet_command_render(int argc, char **argv) {
    int64_t index = 0;
    const char *output = NULL;
    int positionals, help;
    const motet_flag flags[] = {
        {"-o", MOTET_FLAG_TEXT, &output, 0, 0, "FILE.mid", "the file to write (needed)"},
        {"--index", MOTET_FLAG_INT, &index, 0, INT64_MAX, "N", "which piece, from 0 (default 0)"},
    };
    const motet_command command = {"render",
                                   "CORPUS.h5",
                                   "Writes one piece of a corpus as a MIDI file.",
                                   flags,
                                   sizeof flags / sizeof *flags,
                                   1,
                                   1};
    motet_corpus *corpus = NULL;
    motet_status status = motet_command_parse(&positionals, &help, &command, argc, argv);
    if (help) return 0;
    if (status == MOTET_OK && !output)
        status = MOTET_FAIL(MOTET_E_USAGE, "render needs -o FILE.mid, the file to write");
    if (status == MOTET_OK) status = motet_corpus_open(&corpus, argv[1], 1);
    if (status == MOTET_OK) status = render_piece(corpus, argv[1], index, output);
    motet_corpus_close(corpus);
    return status == MOTET_OK ? 0 : motet_command_fail(status);
}
