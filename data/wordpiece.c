#include "data/wordpiece.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "data/wordpiece_words.h"

#define HASH_START 0xcbf29ce484222325u
#define TOKENS_MAX 4000000

struct motet_wordpiece {
    char *text;    /* the tokens, each NUL-terminated */
    char **tokens; /* [size] into text */
    int32_t size;
    int32_t *slots; /* [mask + 1] open addressing: id + 1, 0 empty */
    uint32_t mask;
    int32_t unknown, start, end;
};

/* FNV-1a, so that the hash of a longer piece goes on from that of a shorter one. */
static uint64_t hash_more(uint64_t hash, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash;
}

/* The id of prefix + bytes, or -1; hash is that of the whole. */
static int32_t find(const motet_wordpiece *t, uint64_t hash, const char *prefix, const char *bytes,
                    size_t size) {
    size_t skip = strlen(prefix);
    for (uint32_t at = (uint32_t)(hash ^ hash >> 32) & t->mask;; at = (at + 1) & t->mask) {
        int32_t id = t->slots[at] - 1;
        if (id < 0) return -1;
        const char *token = t->tokens[id];
        if (!strncmp(token, prefix, skip) && !strncmp(token + skip, bytes, size) &&
            !token[skip + size])
            return id;
    }
}

static int32_t find_token(const motet_wordpiece *t, const char *token) {
    size_t size = strlen(token);
    return find(t, hash_more(HASH_START, token, size), "", token, size);
}

static motet_status index_tokens(motet_wordpiece *t, const char *name) {
    uint32_t slots = 16;
    while (slots < 2 * (uint32_t)t->size + 2)
        slots *= 2;
    t->slots = calloc(slots, sizeof *t->slots);
    if (!t->slots) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for the vocabulary", name);
    t->mask = slots - 1;
    for (int32_t id = 0; id < t->size; id++) {
        size_t size = strlen(t->tokens[id]);
        if (find_token(t, t->tokens[id]) >= 0)
            return MOTET_FAIL(MOTET_E_DATA, "%s: line %d repeats the token '%.80s'", name, id + 1,
                              t->tokens[id]);
        uint64_t hash = hash_more(HASH_START, t->tokens[id], size);
        uint32_t at = (uint32_t)(hash ^ hash >> 32) & t->mask;
        while (t->slots[at])
            at = (at + 1) & t->mask;
        t->slots[at] = id + 1;
    }
    static const char *const NEEDED[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
    for (int i = 0; i < 4; i++)
        if (find_token(t, NEEDED[i]) < 0)
            return MOTET_FAIL(MOTET_E_DATA, "%s: the vocabulary lacks %s", name, NEEDED[i]);
    t->unknown = find_token(t, "[UNK]");
    t->start = find_token(t, "[CLS]");
    t->end = find_token(t, "[SEP]");
    return MOTET_OK;
}

static motet_status split_lines(motet_wordpiece *t, const char *vocab, size_t size,
                                const char *name) {
    size_t lines = size && vocab[size - 1] != '\n';
    for (size_t i = 0; i < size; i++) {
        lines += vocab[i] == '\n';
        if (!vocab[i])
            return MOTET_FAIL(MOTET_E_DATA, "%s: byte %zu of the vocabulary is 0", name, i);
    }
    if (lines > TOKENS_MAX)
        return MOTET_FAIL(MOTET_E_DATA, "%s: a vocabulary of %zu tokens is too large", name, lines);
    t->text = malloc(size + 1);
    t->tokens = malloc((lines + 1) * sizeof *t->tokens);
    if (!t->text || !t->tokens)
        return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for the vocabulary", name);
    memcpy(t->text, vocab, size);
    t->text[size] = 0;
    char *line = t->text;
    for (size_t i = 0; i < lines; i++) {
        char *end = strchr(line, '\n');
        char *next = end ? end + 1 : line + strlen(line);
        if (end) *end = 0;
        if (end && end > line && end[-1] == '\r') end[-1] = 0;
        t->tokens[t->size++] = line;
        line = next;
    }
    return MOTET_OK;
}

motet_status motet_wordpiece_make(motet_wordpiece **tokenizer, const char *vocab, size_t size,
                                  const char *name) {
    *tokenizer = NULL;
    motet_wordpiece *t = calloc(1, sizeof *t);
    if (!t) return MOTET_FAIL(MOTET_E_MEMORY, "%s: no memory for the vocabulary", name);
    motet_status status = split_lines(t, vocab, size, name);
    if (status == MOTET_OK) status = index_tokens(t, name);
    if (status != MOTET_OK) {
        motet_wordpiece_free(t);
        return status;
    }
    *tokenizer = t;
    return MOTET_OK;
}

void motet_wordpiece_free(motet_wordpiece *tokenizer) {
    if (!tokenizer) return;
    free(tokenizer->text);
    free(tokenizer->tokens);
    free(tokenizer->slots);
    free(tokenizer);
}

int32_t motet_wordpiece_size(const motet_wordpiece *tokenizer) {
    return tokenizer->size;
}

const char *motet_wordpiece_token(const motet_wordpiece *tokenizer, int32_t id) {
    return id < 0 || id >= tokenizer->size ? NULL : tokenizer->tokens[id];
}

/* Longest match first. Pieces into ids, at most MOTET_WORD_CHARACTERS; returns how many. */
static int word_pieces(int32_t *ids, const motet_wordpiece *t, const int32_t *code, size_t length) {
    char bytes[4 * MOTET_WORD_CHARACTERS];
    int ends[MOTET_WORD_CHARACTERS + 1]; /* byte where character i begins */
    uint64_t hashes[MOTET_WORD_CHARACTERS + 1];
    int count = 0;
    if (length > MOTET_WORD_CHARACTERS) {
        ids[0] = t->unknown;
        return 1;
    }
    ends[0] = 0;
    for (size_t i = 0; i < length; i++)
        ends[i + 1] =
            ends[i] + (int)utf8proc_encode_char(code[i], (utf8proc_uint8_t *)bytes + ends[i]);
    for (size_t first = 0; first < length;) {
        const char *prefix = first ? "##" : "";
        uint64_t hash = hash_more(HASH_START, prefix, strlen(prefix));
        for (size_t i = first; i < length; i++)
            hashes[i + 1] = hash =
                hash_more(hash, bytes + ends[i], (size_t)(ends[i + 1] - ends[i]));
        size_t last = length;
        int32_t id = -1;
        for (; last > first; last--) {
            id = find(t, hashes[last], prefix, bytes + ends[first],
                      (size_t)(ends[last] - ends[first]));
            if (id >= 0) break;
        }
        if (id < 0) { /* one unknown part makes the whole word unknown */
            ids[0] = t->unknown;
            return 1;
        }
        ids[count++] = id;
        first = last;
    }
    return count;
}

motet_status motet_wordpiece_encode(int32_t *ids, int32_t *count, int32_t limit, int *truncated,
                                    const motet_wordpiece *tokenizer, const char *text,
                                    size_t size) {
    *count = 0;
    if (truncated) *truncated = 0;
    if (limit < 2) return MOTET_FAIL(MOTET_E_USAGE, "a text of at most %d tokens", limit);
    motet_words words;
    MOTET_TRY(motet_words_make(&words, text, size));
    int32_t used = 0;
    size_t first, length;
    ids[used++] = tokenizer->start;
    while (motet_words_next(&words, &first, &length)) {
        int32_t pieces[MOTET_WORD_CHARACTERS];
        int made = word_pieces(pieces, tokenizer, words.code + first, length), i = 0;
        for (; i < made && used < limit - 1; i++)
            ids[used++] = pieces[i];
        if (i < made) {
            if (truncated) *truncated = 1;
            break;
        }
    }
    ids[used++] = tokenizer->end;
    motet_words_free(&words);
    *count = used;
    return MOTET_OK;
}
