#include "train/encoder.h"

#include <stdlib.h>
#include <string.h>

#include "data/caption.h"
#include "data/file.h"
#include "infer/checkpoint.h"

enum { LEARN_CAPTIONS = 4000, LEARN_LEAST = 128 }; /* the least: wordpiece.h */
static const size_t vocab_limit = 64u << 20;

/* Every n-th piece's captions, so that all sources have their say. */
static motet_status collect(char **texts, int *count, motet_corpus *const *corpora,
                            int corpus_count) {
    int64_t pieces = 0;
    for (int c = 0; c < corpus_count; c++)
        pieces += motet_corpus_count(corpora[c]);
    int64_t stride = pieces / LEARN_CAPTIONS + 1, next = 0, seen = 0;
    for (int c = 0; c < corpus_count; c++)
        for (int64_t i = 0; i < motet_corpus_count(corpora[c]); i++, seen++) {
            if (seen < next || *count == LEARN_CAPTIONS) continue;
            next = seen + stride;
            if (motet_corpus_piece(corpora[c], i)->split != MOTET_SPLIT_TRAIN) continue;
            if (motet_corpus_caption_count(corpora[c], i) == 0) continue;
            char buffer[MOTET_CAPTION_BYTES];
            MOTET_TRY(motet_corpus_caption(buffer, sizeof buffer, corpora[c], i, 0));
            texts[*count] = strdup(buffer);
            if (!texts[*count]) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for captions");
            ++*count;
        }
    return MOTET_OK;
}

static motet_status learn_vocab(motet_encoder *encoder, const motet_settings *settings,
                                motet_corpus *const *corpora, int corpus_count) {
    char **texts = calloc(LEARN_CAPTIONS, sizeof *texts);
    if (!texts) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for captions");
    int count = 0;
    motet_status status = collect(texts, &count, corpora, corpus_count);
    /* A small corpus gives fewer tokens than may be asked for; when its run goes on, those are what
     * the settings say, and asking for the least gives the same ones again. */
    int most = settings->model_text_vocab < LEARN_LEAST ? LEARN_LEAST : settings->model_text_vocab;
    if (status == MOTET_OK)
        status = motet_wordpiece_learn(&encoder->vocab, (const char *const *)texts, count, most);
    for (int i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
    return status;
}

static motet_status open_vocab(motet_encoder *encoder, motet_settings *settings,
                               motet_corpus *const *corpora, int corpus_count) {
    const char *path = settings->run_vocab;
    size_t size;
    if (*path) {
        unsigned char *bytes;
        MOTET_TRY(motet_file_read(&bytes, &size, path, vocab_limit));
        encoder->vocab = (char *)bytes;
    } else if (*settings->run_encoder) {
        return MOTET_FAIL(MOTET_E_USAGE, "run.encoder is set, but run.vocab is not: name the "
                                         "encoder's vocab.txt");
    } else {
        MOTET_TRY(learn_vocab(encoder, settings, corpora, corpus_count));
        size = strlen(encoder->vocab);
    }
    MOTET_TRY(motet_wordpiece_make(&encoder->tokenizer, encoder->vocab, size,
                                   *path ? path : "learnt vocabulary"));
    int32_t tokens = motet_wordpiece_size(encoder->tokenizer);
    if (!*path) settings->model_text_vocab = tokens;
    if (tokens != settings->model_text_vocab)
        return MOTET_FAIL(MOTET_E_USAGE, "%s has %d tokens, but model.text_vocab = %d", path,
                          (int)tokens, settings->model_text_vocab);
    return MOTET_OK;
}

static motet_status open_weights(motet_encoder *encoder, const motet_settings *settings) {
    if (!*settings->run_encoder) return MOTET_OK;
    MOTET_TRY(motet_sha256_file(encoder->sha256, settings->run_encoder));
    MOTET_TRY(motet_safetensors_open(&encoder->file, settings->run_encoder));
    encoder->weights = calloc(1, sizeof *encoder->weights);
    if (!encoder->weights) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the encoder's table");
    return motet_text_weights_from_hugging_face(encoder->weights, settings, encoder->file);
}

motet_status motet_encoder_open(motet_encoder *encoder, motet_settings *settings,
                                motet_corpus *const *corpora, int corpus_count) {
    memset(encoder, 0, sizeof *encoder);
    motet_status status = open_vocab(encoder, settings, corpora, corpus_count);
    if (status == MOTET_OK) status = open_weights(encoder, settings);
    if (status != MOTET_OK) motet_encoder_close(encoder);
    return status;
}

void motet_encoder_close(motet_encoder *encoder) {
    motet_wordpiece_free(encoder->tokenizer);
    motet_safetensors_close(encoder->file);
    free(encoder->weights);
    free(encoder->vocab);
    memset(encoder, 0, sizeof *encoder);
}
