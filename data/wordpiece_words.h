/* wordpiece_words: the first half of the BERT tokenizer, shared by encoding and learning: clean,
 * decompose, strip accents, lower-case, split at blanks, punctuation and CJK. The rules are those
 * of Hugging Face tokenizers' BertNormalizer (lowercase) and BertPreTokenizer.
 */
#ifndef MOTET_DATA_WORDPIECE_WORDS_H
#define MOTET_DATA_WORDPIECE_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/status.h"

#define MOTET_WORD_CHARACTERS 100 /* longer words are unknown, as in BERT */

typedef struct motet_words {
    int32_t *code; /* the normalised text, owned */
    size_t count, at;
} motet_words;

/* Normalises a text. MOTET_E_DATA with the byte offset if it is not UTF-8. */
motet_status motet_words_make(motet_words *words, const char *text, size_t size);
void motet_words_free(motet_words *words);

/* The next word as code[*first] .. code[*first + *length); 0 at the end. */
int motet_words_next(motet_words *words, size_t *first, size_t *length);

#endif
