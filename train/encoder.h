/* encoder: the text encoder and tokenizer that a run starts from: a pretrained BERT with its
 * vocabulary, or, when none is named, random weights and a vocabulary learnt from the captions.
 */
#ifndef MOTET_ENCODER_H
#define MOTET_ENCODER_H

#include "data/corpus.h"
#include "data/safetensors.h"
#include "data/sha256.h"
#include "data/wordpiece.h"
#include "infer/weights.h"

typedef struct motet_encoder {
    motet_wordpiece *tokenizer;
    char *vocab;                   /* text of the vocab.txt */
    motet_safetensors *file;       /* NULL: weights are drawn */
    motet_text_weights *weights;   /* views into file; NULL: weights are drawn */
    char sha256[MOTET_SHA256_HEX]; /* of the file; "" without one */
} motet_encoder;

/* Opens run.encoder and run.vocab. With run.vocab empty a vocabulary of at most model.text_vocab
 * tokens is learnt from up to 4,000 captions of the corpora, and model.text_vocab is set to its
 * size. MOTET_E_USAGE if an encoder has no vocabulary or the vocabulary another size than
 * model.text_vocab. */
motet_status motet_encoder_open(motet_encoder *encoder, motet_settings *settings,
                                motet_corpus *const *corpora, int corpus_count);
void motet_encoder_close(motet_encoder *encoder);

#endif
