/* wordpiece: the uncased BERT tokenizer (Devlin et al. 2019): clean, lower-case, strip accents,
 * split at blanks, punctuation and CJK, then longest match first in a vocabulary ("##" continues a
 * word). Agrees with Hugging Face's tokenizers on valid UTF-8, but for marks and punctuation that
 * are younger than Unicode 8 (that library's tables are old), and but for "[SEP]" and the like in a
 * text, which are three ordinary words here. Invalid bytes are MOTET_E_DATA with the offset.
 */
#ifndef MOTET_DATA_WORDPIECE_H
#define MOTET_DATA_WORDPIECE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/core/status.h"

typedef struct motet_wordpiece motet_wordpiece;

/* From the text of a vocab.txt, one token a line; needs [PAD] [UNK] [CLS] [SEP]. Copies what it
 * keeps. name is for messages. */
motet_status motet_wordpiece_make(motet_wordpiece **tokenizer, const char *vocab, size_t size,
                                  const char *name);
void motet_wordpiece_free(motet_wordpiece *tokenizer);

int32_t motet_wordpiece_size(const motet_wordpiece *tokenizer);
const char *motet_wordpiece_token(const motet_wordpiece *tokenizer, int32_t id);

/* [CLS] ... [SEP] of a text into ids, at most limit (>= 2) of them; longer texts are cut in the
 * middle of the sequence's end: [SEP] stays last. *truncated (may be NULL) says so. Thread-safe. */
motet_status motet_wordpiece_encode(int32_t *ids, int32_t *count, int32_t limit, int *truncated,
                                    const motet_wordpiece *tokenizer, const char *text,
                                    size_t size);

/* Learns a vocabulary of at most `size` tokens from texts (WordPiece: merges by likelihood gain)
 * and returns it as the text of a vocab.txt, malloc'd: five special tokens, the characters (a-z and
 * 0-9 in any case), then pieces as they were learnt. MOTET_E_USAGE unless size is 128..1000000. */
motet_status motet_wordpiece_learn(char **vocab, const char *const *texts, int64_t count,
                                   int32_t size);

#endif
