#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "data/analysis.h"
#include "data/command.h"
#include "data/corpus.h"

static json_t *piece_json(motet_corpus *corpus, int64_t index, motet_status *status) {
    const motet_piece *piece = motet_corpus_piece(corpus, index);
    int numerator, denominator;
    char metre[32], caption[1024];
    motet_metre_at(piece->metre, &numerator, &denominator);
    snprintf(metre, sizeof metre, "%d/%d", numerator, denominator);
    json_t *programs = json_array(), *captions = json_array();
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        if (motet_piece_has_program(piece, p)) json_array_append_new(programs, json_integer(p));
    for (int k = 0; *status == MOTET_OK && k < motet_corpus_caption_count(corpus, index); k++) {
        *status = motet_corpus_caption(caption, sizeof caption, corpus, index, k);
        if (*status == MOTET_OK) json_array_append_new(captions, json_string(caption));
    }
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:i, s:o, s:o}", "index",
                     (json_int_t)index, "split",
                     piece->split == MOTET_SPLIT_VALID ? "valid" : "train", "source",
                     motet_corpus_source(corpus, piece->source), "key", motet_key_name(piece->key),
                     "metre", metre, "tempo_bpm", (double)piece->tempo_bpm, "bars",
                     (json_int_t)piece->bars, "notes", (json_int_t)piece->notes, "density",
                     piece->density, "programs", programs, "captions", captions);
}

static motet_status list(const char *path, int split) {
    motet_corpus *corpus;
    MOTET_TRY(motet_corpus_open(&corpus, path, 1));
    motet_status status = MOTET_OK;
    for (int64_t i = 0; status == MOTET_OK && i < motet_corpus_count(corpus); i++) {
        if (split >= 0 && motet_corpus_piece(corpus, i)->split != split) continue;
        json_t *piece = piece_json(corpus, i, &status);
        if (status == MOTET_OK && (json_dumpf(piece, stdout, JSON_COMPACT) || putchar('\n') < 0))
            status = MOTET_FAIL(MOTET_E_IO, "cannot write to standard output");
        json_decref(piece);
    }
    motet_corpus_close(corpus);
    return status;
}

int motet_command_pieces(int argc, char **argv) {
    const char *split = "all";
    int positionals, help;
    const motet_flag flags[] = {
        {"--split", MOTET_FLAG_TEXT, &split, 0, 0, "NAME", "train, valid or all (default all)"},
    };
    const motet_command command = {"pieces",
                                   "CORPUS.h5",
                                   "Lists the pieces of a corpus with their captions, a JSON "
                                   "object on each line.",
                                   flags,
                                   sizeof flags / sizeof *flags,
                                   1,
                                   1};
    motet_status status = motet_command_parse(&positionals, &help, &command, argc, argv);
    if (help) return 0;
    int which = !strcmp(split, "train")   ? MOTET_SPLIT_TRAIN
                : !strcmp(split, "valid") ? MOTET_SPLIT_VALID
                                          : -1;
    if (status == MOTET_OK && which < 0 && strcmp(split, "all") != 0)
        status = MOTET_FAIL(MOTET_E_USAGE, "--split takes train, valid or all, not '%.30s'", split);
    if (status == MOTET_OK) status = list(argv[1], which);
    return status == MOTET_OK ? 0 : motet_command_fail(status);
}
