#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/caption.h"
#include "data/command.h"
#include "data/corpus.h"
#include "data/file.h"
#include "data/wordpiece.h"

static motet_status read_captions(char ***texts, int64_t *count, motet_corpus *corpus) {
    int64_t total = 0;
    for (int64_t i = 0; i < motet_corpus_count(corpus); i++)
        total += motet_corpus_caption_count(corpus, i);
    *texts = calloc((size_t)total + 1, sizeof **texts);
    if (!*texts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for %lld captions", (long long)total);
    for (int64_t i = 0; i < motet_corpus_count(corpus); i++) {
        if (motet_corpus_piece(corpus, i)->split != MOTET_SPLIT_TRAIN) continue;
        for (int k = 0; k < motet_corpus_caption_count(corpus, i); k++) {
            char text[4 * MOTET_CAPTION_BYTES];
            MOTET_TRY(motet_corpus_caption(text, sizeof text, corpus, i, k));
            char *copy = strdup(text);
            if (!copy) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for captions");
            (*texts)[(*count)++] = copy;
        }
    }
    return MOTET_OK;
}

int motet_command_vocab(int argc, char **argv) {
    int64_t size = 4000;
    const char *output = NULL;
    int positionals, help;
    const motet_flag flags[] = {
        {"-o", MOTET_FLAG_TEXT, &output, 0, 0, "vocab.txt", "the file to write (needed)"},
        {"--size", MOTET_FLAG_INT, &size, 128, 1000000, "N", "at most so many (default 4000)"},
    };
    const motet_command command = {"vocab",
                                   "CORPUS.h5",
                                   "Learns a WordPiece vocabulary from the captions of a corpus's "
                                   "train split.",
                                   flags,
                                   sizeof flags / sizeof *flags,
                                   1,
                                   1};
    motet_corpus *corpus = NULL;
    char **texts = NULL, *vocab = NULL;
    int64_t count = 0;
    motet_status status = motet_command_parse(&positionals, &help, &command, argc, argv);
    if (help) return 0;
    if (status == MOTET_OK && !output)
        status = MOTET_FAIL(MOTET_E_USAGE, "vocab needs -o vocab.txt, the file to write");
    if (status == MOTET_OK) status = motet_corpus_open(&corpus, argv[1], 1);
    if (status == MOTET_OK) status = read_captions(&texts, &count, corpus);
    if (status == MOTET_OK)
        status = motet_wordpiece_learn(&vocab, (const char *const *)texts, count, (int32_t)size);
    if (status == MOTET_OK) status = motet_file_replace(output, vocab, strlen(vocab));
    if (status == MOTET_OK) {
        int64_t lines = 0;
        for (const char *p = vocab; *p; p++)
            lines += *p == '\n';
        printf("%s: %lld tokens from %lld captions\n", output, (long long)lines, (long long)count);
    }
    for (int64_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
    free(vocab);
    motet_corpus_close(corpus);
    return status == MOTET_OK ? 0 : motet_command_fail(status);
}
