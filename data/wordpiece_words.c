#include "data/wordpiece_words.h"

#include <stdlib.h>
#include <utf8proc.h>

static int is_blank(int32_t c) {
    return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

/* Unassigned code points stay, as in the peer: a later Unicode may give them a meaning. */
static int is_control(int32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') return 0;
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_CS || category == UTF8PROC_CATEGORY_CO;
}

static int is_punctuation(int32_t c) {
    if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
        (c >= 123 && c <= 126))
        return 1;
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/* Ideographs stand alone. The gap at 2B820 is the peer's, and ids have to be the peer's. */
static int is_ideograph(int32_t c) {
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
           (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

/* Canonical ordering: runs of combining characters by their class, equal ones as they came. */
static void order(int32_t *code, size_t count) {
    for (size_t i = 1; i < count; i++) {
        int32_t c = code[i];
        int rank = utf8proc_get_property(c)->combining_class;
        size_t k = i;
        if (!rank) continue;
        for (; k > 0 && utf8proc_get_property(code[k - 1])->combining_class > rank; k--)
            code[k] = code[k - 1];
        code[k] = c;
    }
}

motet_status motet_words_make(motet_words *words, const char *text, size_t size) {
    enum { EXPANSION = 4 }; /* code points that the canonical decomposition of one has at most */
    *words = (motet_words){0};
    if (size > INT32_MAX / 64)
        return MOTET_FAIL(MOTET_E_USAGE, "a text of %zu bytes is too long", size);
    int32_t *code = malloc((EXPANSION * size + 4) * sizeof *code);
    if (!code) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a text of %zu bytes", size);
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        int32_t c;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                 (utf8proc_ssize_t)(size - at), &c);
        if (step <= 0) {
            free(code);
            return MOTET_FAIL(MOTET_E_DATA, "the text is not UTF-8 at byte %zu", at);
        }
        at += (size_t)step;
        if (c == 0 || c == 0xfffd || is_control(c)) continue;
        int alone = is_ideograph(c);
        if (is_blank(c)) c = ' ';
        if (alone) code[count++] = ' ';
        utf8proc_ssize_t parts =
            utf8proc_decompose_char(c, code + count, EXPANSION, UTF8PROC_DECOMPOSE, NULL);
        if (parts >= 1 && parts <= EXPANSION)
            count += (size_t)parts;
        else
            code[count++] = c;
        if (alone) code[count++] = ' ';
    }
    order(code, count);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (utf8proc_category(code[i]) != UTF8PROC_CATEGORY_MN)
            code[kept++] = utf8proc_tolower(code[i]);
    *words = (motet_words){.code = code, .count = kept};
    return MOTET_OK;
}

void motet_words_free(motet_words *words) {
    free(words->code);
    *words = (motet_words){0};
}

int motet_words_next(motet_words *words, size_t *first, size_t *length) {
    while (words->at < words->count && is_blank(words->code[words->at]))
        words->at++;
    if (words->at == words->count) return 0;
    *first = words->at;
    if (is_punctuation(words->code[words->at++])) {
        *length = 1;
        return 1;
    }
    while (words->at < words->count && !is_blank(words->code[words->at]) &&
           !is_punctuation(words->code[words->at]))
        words->at++;
    *length = words->at - *first;
    return 1;
}
