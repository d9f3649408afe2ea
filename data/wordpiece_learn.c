/* Learning a vocabulary: start from characters and merge, again and again, the pair of neighbours
 * whose union raises the likelihood of the texts under a unigram model of pieces most:
 * n(ab) * log(n(ab) * n / (n(a) * n(b))) (Schuster & Nakajima, "Japanese and Korean voice search",
 * ICASSP 2012, with the gain of all occurrences instead of that of one). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "data/wordpiece.h"
#include "data/wordpiece_words.h"

#define SPECIALS 5
static const char *const SPECIAL[SPECIALS] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

#define SIZE_LEAST 128
/* In the alphabet whether they occur or not, so that a new word is spelt instead of unknown. */
static const char ALWAYS[] = "abcdefghijklmnopqrstuvwxyz0123456789";

typedef struct word {
    int32_t *symbols; /* [length]; the memory is the learner's */
    int32_t length;
    int64_t count;
} word;

typedef struct pair {
    uint64_t key; /* left << 32 | right; 0: empty slot (the symbol 0 is never in a pair) */
    int64_t count;
} pair;

typedef struct learner {
    char *bytes; /* words as they occur, NUL-terminated, one after another */
    size_t byte_count, byte_capacity;
    size_t *occurrences; /* offsets into bytes */
    size_t occurrence_count, occurrence_capacity;
    char **pieces; /* [piece_count] texts of the symbols; the first SPECIALS are special */
    int64_t *uses; /* [piece_count] */
    int32_t piece_count, piece_capacity;
    int32_t *symbols;
    word *words;
    int64_t word_count, total;
    pair *pairs; /* open addressing */
    uint64_t mask, pair_count;
} learner;

static motet_status no_memory(void) {
    return MOTET_FAIL(MOTET_E_MEMORY, "no memory to learn a vocabulary");
}

/* The array with room for `need` elements, or NULL with the array as it was. */
static void *grow(void *array, size_t *capacity, size_t need, size_t element) {
    if (need <= *capacity) return array;
    size_t more = need + need / 2 + 256;
    void *bigger = realloc(array, more * element);
    if (bigger) *capacity = more;
    return bigger;
}

static motet_status add_text(learner *l, const char *text, size_t size) {
    motet_words words;
    size_t first, length;
    MOTET_TRY(motet_words_make(&words, text, size));
    motet_status status = MOTET_OK;
    while (status == MOTET_OK && motet_words_next(&words, &first, &length)) {
        if (length > MOTET_WORD_CHARACTERS) continue;
        char *bytes = grow(l->bytes, &l->byte_capacity, l->byte_count + 4 * length + 1, 1);
        if (bytes) l->bytes = bytes;
        size_t *occurrences = grow(l->occurrences, &l->occurrence_capacity, l->occurrence_count + 1,
                                   sizeof *occurrences);
        if (occurrences) l->occurrences = occurrences;
        if (!bytes || !occurrences) {
            status = no_memory();
            break;
        }
        l->occurrences[l->occurrence_count++] = l->byte_count;
        for (size_t i = 0; i < length; i++)
            l->byte_count += (size_t)utf8proc_encode_char(
                words.code[first + i], (utf8proc_uint8_t *)l->bytes + l->byte_count);
        l->bytes[l->byte_count++] = 0;
    }
    motet_words_free(&words);
    return status;
}

static int compare_occurrences(const void *a, const void *b, void *bytes) {
    return strcmp((char *)bytes + *(const size_t *)a, (char *)bytes + *(const size_t *)b);
}

static motet_status add_piece(learner *l, const char *prefix, const char *text) {
    size_t size = strlen(prefix) + strlen(text) + 1;
    if (l->piece_count == l->piece_capacity) return no_memory(); /* counted beforehand */
    char *copy = malloc(size);
    if (!copy) return no_memory();
    snprintf(copy, size, "%s%s", prefix, text);
    l->pieces[l->piece_count++] = copy;
    return MOTET_OK;
}

/* A character with its place: bit 31 set when it continues a word. Sorted for the alphabet. */
typedef struct letter {
    uint32_t code;
    int64_t count;
    int32_t symbol;
} letter;

static int by_code(const void *a, const void *b) {
    const letter *x = a, *y = b;
    return x->code < y->code ? -1 : x->code > y->code;
}

static int by_count(const void *a, const void *b) {
    const letter *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return by_code(a, b);
}

static size_t next_letter(uint32_t *code, const char *text, size_t at) {
    int32_t c;
    utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text + at, -1, &c);
    *code = (uint32_t)c | (at ? 0x80000000u : 0);
    return at + (size_t)step;
}

/* The alphabet: every character that occurs, the rarest ones left out where the size demands it. */
static motet_status make_alphabet(learner *l, letter **alphabet, size_t *letter_count,
                                  const size_t *starts, const int64_t *counts, size_t words,
                                  int32_t size) {
    size_t count = 0, kept = 0, capacity = 2 * strlen(ALWAYS);
    letter *letters = malloc(capacity * sizeof *letters);
    if (!letters) return no_memory();
    for (const char *p = ALWAYS; *p; p++)
        for (uint32_t inner = 0; inner < 2; inner++)
            letters[count++] = (letter){.code = inner << 31 | (unsigned char)*p};
    for (size_t w = 0; w < words; w++) {
        const char *text = l->bytes + starts[w];
        for (size_t at = 0; text[at]; count++) {
            letter *more = grow(letters, &capacity, count + 1, sizeof *letters);
            if (!more) {
                free(letters);
                return no_memory();
            }
            letters = more;
            letters[count] = (letter){.count = counts[w]};
            at = next_letter(&letters[count].code, text, at);
        }
    }
    qsort(letters, count, sizeof *letters, by_code);
    for (size_t i = 0; i < count; i++) {
        if (kept && letters[kept - 1].code == letters[i].code)
            letters[kept - 1].count += letters[i].count;
        else
            letters[kept++] = letters[i];
    }
    size_t room = (size_t)size - SPECIALS;
    if (kept > room) {
        qsort(letters, kept, sizeof *letters, by_count);
        kept = room;
        qsort(letters, kept, sizeof *letters, by_code);
    }
    *alphabet = letters, *letter_count = kept;
    for (size_t i = 0; i < kept; i++) {
        char text[8] = "";
        uint32_t code = letters[i].code;
        utf8proc_encode_char((int32_t)(code & 0x7fffffffu), (utf8proc_uint8_t *)text);
        letters[i].symbol = l->piece_count;
        MOTET_TRY(add_piece(l, code >> 31 ? "##" : "", text));
    }
    return MOTET_OK;
}

/* Words as sequences of letters; those with a letter outside the alphabet are unknown anyway. */
static void make_words(learner *l, const letter *letters, size_t letter_count, const size_t *starts,
                       const int64_t *counts, size_t words) {
    int32_t *symbols = l->symbols;
    for (size_t w = 0; w < words; w++) {
        const char *text = l->bytes + starts[w];
        word made = {.symbols = symbols, .count = counts[w]};
        size_t at = 0;
        while (text[at]) {
            letter key = {0};
            at = next_letter(&key.code, text, at);
            const letter *hit = bsearch(&key, letters, letter_count, sizeof key, by_code);
            if (!hit) break;
            symbols[made.length++] = hit->symbol;
        }
        if (text[at] || !made.length) continue;
        for (int32_t i = 0; i < made.length; i++)
            l->uses[made.symbols[i]] += made.count;
        l->total += made.count * made.length;
        symbols += made.length;
        l->words[l->word_count++] = made;
    }
}

static motet_status count_pair(learner *l, int32_t left, int32_t right, int64_t count) {
    uint64_t key = (uint64_t)left << 32 | (uint32_t)right;
    if (2 * l->pair_count >= l->mask) { /* doubles, leaving out what fell to zero */
        uint64_t mask = l->mask ? 2 * l->mask + 1 : 4095;
        pair *old = l->pairs, *pairs = calloc(mask + 1, sizeof *pairs);
        if (!pairs) return no_memory();
        uint64_t slots = l->mask ? l->mask + 1 : 0;
        l->pairs = pairs, l->mask = mask, l->pair_count = 0;
        for (uint64_t i = 0; i < slots; i++)
            if (old[i].count)
                (void)count_pair(l, (int32_t)(old[i].key >> 32), (int32_t)old[i].key, old[i].count);
        free(old);
    }
    uint64_t at = key * 0x9e3779b97f4a7c15u;
    for (at = (at ^ at >> 32) & l->mask; l->pairs[at].key && l->pairs[at].key != key;)
        at = (at + 1) & l->mask;
    l->pair_count += !l->pairs[at].key;
    l->pairs[at].key = key;
    l->pairs[at].count += count;
    return MOTET_OK;
}

static motet_status count_word(learner *l, const word *w, int64_t sign) {
    for (int32_t i = 0; i + 1 < w->length; i++)
        MOTET_TRY(count_pair(l, w->symbols[i], w->symbols[i + 1], sign * w->count));
    return MOTET_OK;
}

/* The pair with the highest gain, ties to the smallest key; 0 if none gains. */
static uint64_t best_pair(const learner *l) {
    uint64_t best = 0;
    double most = 0, log_total = log((double)l->total);
    for (uint64_t i = 0; i <= l->mask; i++) {
        const pair *p = &l->pairs[i];
        if (p->count < 2 || (double)p->count * log_total < most) continue; /* cannot win */
        double left = (double)l->uses[p->key >> 32], right = (double)l->uses[(uint32_t)p->key];
        double n = (double)p->count;
        double gain = n * (log(n) + log_total - log(left) - log(right));
        if (gain > most || (gain == most && best && p->key < best)) most = gain, best = p->key;
    }
    return best;
}

/* Two merges can spell one text ("a" "##bc" and "ab" "##c"): they make the same piece. */
static motet_status merge(learner *l, uint64_t key) {
    int32_t left = (int32_t)(key >> 32), right = (int32_t)key, made = SPECIALS;
    const char *tail = l->pieces[right] + 2; /* behind its "##" */
    size_t size = strlen(l->pieces[left]);
    while (made < l->piece_count && (strncmp(l->pieces[made], l->pieces[left], size) != 0 ||
                                     strcmp(l->pieces[made] + size, tail) != 0))
        made++;
    if (made == l->piece_count) MOTET_TRY(add_piece(l, l->pieces[left], tail));
    for (int64_t k = 0; k < l->word_count; k++) {
        word *w = &l->words[k];
        int32_t i = 0, out = 0;
        while (i + 1 < w->length && (w->symbols[i] != left || w->symbols[i + 1] != right))
            i++;
        if (i + 1 >= w->length) continue;
        MOTET_TRY(count_word(l, w, -1));
        for (i = 0; i < w->length; out++) {
            int both = i + 1 < w->length && w->symbols[i] == left && w->symbols[i + 1] == right;
            w->symbols[out] = both ? made : w->symbols[i];
            i += 1 + both;
            if (!both) continue;
            l->uses[left] -= w->count, l->uses[right] -= w->count, l->uses[made] += w->count;
            l->total -= w->count;
        }
        w->length = out;
        MOTET_TRY(count_word(l, w, 1));
    }
    return MOTET_OK;
}

static motet_status spell_vocab(char **vocab, const learner *l) {
    size_t bytes = 1;
    for (int32_t i = 0; i < l->piece_count; i++)
        bytes += strlen(l->pieces[i]) + 1;
    char *text = malloc(bytes), *p = text;
    if (!text) return no_memory();
    for (int32_t i = 0; i < l->piece_count; i++) {
        p = stpcpy(p, l->pieces[i]);
        *p++ = '\n';
    }
    *p = 0;
    *vocab = text;
    return MOTET_OK;
}

static motet_status learn(learner *l, char **vocab, int32_t size) {
    size_t words = 0;
    int64_t *counts = calloc(l->occurrence_count + 1, sizeof *counts);
    if (!counts) return no_memory();
    if (l->occurrence_count) /* qsort must not get NULL, not even for nothing */
        qsort_r(l->occurrences, l->occurrence_count, sizeof *l->occurrences, compare_occurrences,
                l->bytes);
    for (size_t i = 0; i < l->occurrence_count; i++) { /* equal neighbours become one word */
        if (!words || strcmp(l->bytes + l->occurrences[words - 1], l->bytes + l->occurrences[i]))
            l->occurrences[words++] = l->occurrences[i];
        counts[words - 1]++;
    }
    l->piece_capacity = size;
    l->pieces = calloc((size_t)size, sizeof *l->pieces);
    l->uses = calloc((size_t)size, sizeof *l->uses);
    l->symbols = malloc((l->byte_count + 1) * sizeof *l->symbols);
    l->words = calloc(words + 1, sizeof *l->words);
    letter *letters = NULL;
    size_t letter_count = 0;
    motet_status status = l->pieces && l->uses && l->symbols && l->words ? MOTET_OK : no_memory();
    for (int i = 0; status == MOTET_OK && i < SPECIALS; i++)
        status = add_piece(l, "", SPECIAL[i]);
    if (status == MOTET_OK)
        status = make_alphabet(l, &letters, &letter_count, l->occurrences, counts, words, size);
    if (status == MOTET_OK) make_words(l, letters, letter_count, l->occurrences, counts, words);
    free(letters);
    free(counts);
    for (int64_t i = 0; status == MOTET_OK && i < l->word_count; i++)
        status = count_word(l, &l->words[i], 1);
    while (status == MOTET_OK && l->pairs && l->piece_count < size) {
        uint64_t best = best_pair(l);
        if (!best) break;
        status = merge(l, best);
    }
    return status == MOTET_OK ? spell_vocab(vocab, l) : status;
}

motet_status motet_wordpiece_learn(char **vocab, const char *const *texts, int64_t count,
                                   int32_t size) {
    *vocab = NULL;
    if (size < SIZE_LEAST || size > 1000000)
        return MOTET_FAIL(MOTET_E_USAGE, "a vocabulary of %d tokens; it has to be %d to 1000000",
                          size, SIZE_LEAST);
    learner l = {0};
    motet_status status = MOTET_OK;
    for (int64_t i = 0; status == MOTET_OK && i < count; i++)
        status = add_text(&l, texts[i], strlen(texts[i]));
    if (status == MOTET_OK) status = learn(&l, vocab, size);
    for (int32_t i = 0; i < l.piece_count; i++)
        free(l.pieces[i]);
    free(l.pieces);
    free(l.uses);
    free(l.symbols);
    free(l.words);
    free(l.pairs);
    free(l.bytes);
    free(l.occurrences);
    return status;
}
