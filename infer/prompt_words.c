#include "infer/prompt_words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Typographic signs beyond ASCII that are no letters: dashes, quotes, spaces. Returns the bytes
 * used and what they stand for, 0 for letters. */
static int sign_at(char *sign, const unsigned char *p) {
    if (p[0] == 0xc2 && p[1] == 0xa0) return *sign = ' ', 2;
    if (p[0] != 0xe2 || p[1] != 0x80) return 0;
    if (p[2] >= 0x90 && p[2] <= 0x93) return *sign = '-', 3; /* hyphens, en dash */
    if (p[2] == 0x94 || p[2] == 0x95) return *sign = ',', 3; /* em dash */
    if (p[2] == 0x98 || p[2] == 0x99) return *sign = '\'', 3;
    if (p[2] == 0x9c || p[2] == 0x9d) return *sign = '"', 3;
    if (p[2] == 0xa6) return *sign = '.', 3; /* ellipsis */
    return 0;
}

/* The character at a place with typographic signs made plain; letters beyond ASCII as they are. */
static int next_character(char *character, const unsigned char *p) {
    int used = *p < 0x80 ? 0 : sign_at(character, p);
    if (used) return used;
    *character = (char)*p;
    return 1;
}

static int is_letter(char c) {
    return isalnum((unsigned char)c) || c == '#' || (unsigned char)c >= 0x80;
}

/* Whether a sign goes on with a number: "3/4", "96.5", "1,000". */
static int within_number(const motet_word *word, int used, const unsigned char *p) {
    if (!isdigit((unsigned char)word->text[0]) || !isdigit(p[1])) return 0;
    if (*p == '/' || *p == '.') return 1;
    if (*p != ',' || used > 3) return 0;
    for (int i = 0; i < used; i++)
        if (!isdigit((unsigned char)word->text[i])) return 0;
    return isdigit(p[2]) && isdigit(p[3]) && !is_letter((char)p[4]);
}

static const unsigned char *cut_word(motet_word *word, const unsigned char *p) {
    int used = 0;
    *word = (motet_word){.capital = isupper(*p) != 0};
    while (*p) {
        char c;
        int size = next_character(&c, p);
        int number = size == 1 && within_number(word, used, p);
        if (!is_letter(c) && c != '\'' && !number) break;
        word->capitals += isupper((unsigned char)c) != 0;
        if (c != '\'' && c != ',' && used + 1 < (int)sizeof word->text)
            word->text[used++] = (char)tolower((unsigned char)c);
        p += size;
    }
    next_character(&word->after, p);
    return p;
}

int motet_words_cut(motet_word *words, int most, const char *text) {
    int count = 0, flags = MOTET_AFTER_BREAK | MOTET_AFTER_STOP;
    for (const unsigned char *p = (const unsigned char *)text; *p && count < most;) {
        char c;
        int size = next_character(&c, p);
        if (is_letter(c)) {
            p = cut_word(&words[count], p);
            words[count++].flags = flags;
            flags = 0;
            continue;
        }
        if (c == '-')
            flags |= MOTET_AFTER_HYPHEN;
        else if (strchr(".;!?\n\r", c))
            flags |= MOTET_AFTER_BREAK | MOTET_AFTER_STOP;
        else if (!isspace((unsigned char)c) && c != '\'')
            flags |= MOTET_AFTER_BREAK;
        p += size;
    }
    return count;
}

int motet_word_is(const motet_word *words, int count, int at, const char *text) {
    return at >= 0 && at < count && !strcmp(words[at].text, text);
}

int motet_word_among(const motet_word *words, int count, int at, const char *const *list) {
    for (; at >= 0 && at < count && *list; list++)
        if (!strcmp(words[at].text, *list)) return 1;
    return 0;
}

int motet_name_at(const char *name, const motet_word *words, int count, int at) {
    motet_word parts[8];
    int size = motet_words_cut(parts, 8, name);
    if (size == 0 || at < 0 || at + size > count) return 0;
    for (int i = 0; i < size; i++) {
        const char *word = words[at + i].text;
        size_t length = strlen(parts[i].text);
        if (strncmp(word, parts[i].text, length) != 0) return 0;
        int plural = i == size - 1 && length > 2 && !strcmp(word + length, "s");
        if (word[length] && !plural) return 0;
        if (i > 0 && words[at + i].flags & MOTET_AFTER_BREAK &&
            !(parts[i].flags & MOTET_AFTER_BREAK))
            return 0; /* no comma inside a name that has none */
    }
    return size;
}

int motet_number_word(const char *word) {
    static const char *const names[] = {
        "zero",     "one",     "two",     "three",     "four",     "five",     "six",
        "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};
    static const char *const tens[] = {"thirty",  "forty",  "fifty",  "sixty",
                                       "seventy", "eighty", "ninety", "hundred"};
    for (int i = 1; i <= 20; i++)
        if (!strcmp(word, names[i])) return i;
    for (int i = 0; i < 8; i++)
        if (!strcmp(word, tens[i])) return 30 + 10 * i;
    return -1;
}

/* 1..99 in words; returns the words used. */
static int below_hundred_at(int *value, const motet_word *words, int count, int at) {
    int number = at >= 0 && at < count ? motet_number_word(words[at].text) : -1;
    if (number < 1 || number > 99) return 0;
    *value = number;
    if (number < 20 || at + 1 >= count || words[at + 1].flags & MOTET_AFTER_BREAK) return 1;
    int unit = motet_number_word(words[at + 1].text);
    if (unit < 1 || unit > 9) return 1;
    *value += unit;
    return 2;
}

/* As motet_number_at, but begun anywhere: "twenty" within "one hundred and twenty", too. */
static int number_from(double *value, const motet_word *words, int count, int at) {
    if (at < 0 || at >= count) return 0;
    if (isdigit((unsigned char)words[at].text[0])) {
        char *end;
        *value = strtod(words[at].text, &end);
        return *end == 0;
    }
    int small = 1, rest = 0;
    int used =
        motet_word_is(words, count, at, "a") ? 1 : below_hundred_at(&small, words, count, at);
    if (!motet_word_is(words, count, at + used, "hundred")) {
        *value = small;
        return motet_word_is(words, count, at, "a") ? 0 : used;
    }
    used++;
    int joined = motet_word_is(words, count, at + used, "and");
    int more = below_hundred_at(&rest, words, count, at + used + joined);
    *value = 100.0 * small + rest;
    return more ? used + joined + more : used;
}

int motet_number_at(double *value, const motet_word *words, int count, int at) {
    for (int before = at - 1; before >= 0 && before >= at - 5; before--)
        if (before + number_from(value, words, count, before) > at) return 0;
    return number_from(value, words, count, at);
}

int motet_words_deny(const motet_word *words, int count, int at) {
    static const char *const denials[] = {"not",   "no",   "never",  "without",   "dont",
                                          "avoid", "isnt", "except", "excluding", NULL};
    static const char *const fillers[] = {"in",   "the", "key", "of",   "a",     "an",
                                          "at",   "any", "use", "with", "tempo", "be",
                                          "time", "to",  "too", "so",   "very",  NULL};
    static const char *const all[] = {"anything", "everything", "all", NULL};
    while (at > 0 && !(words[at].flags & MOTET_AFTER_BREAK)) {
        at--;
        if (motet_word_among(words, count, at, denials)) return 1;
        if (motet_word_is(words, count, at, "but"))
            return motet_word_among(words, count, at - 1, all);
        if (!motet_word_among(words, count, at, fillers)) return 0;
    }
    return 0;
}

int motet_tempo_words_at(double *lowest, double *highest, const motet_word *words, int count,
                         int at) {
    static const struct {
        const char *name;
        double lowest, highest;
    } tempos[] = {
        {"very slow", 38, 57},
        {"very slowly", 38, 57},
        {"extremely slow", 38, 57},
        {"largo", 40, 57},
        {"lento", 43, 60},
        {"slow", 51, 86},
        {"slowly", 51, 86},
        {"larghetto", 57, 68},
        {"adagio", 57, 76},
        {"andante", 76, 108},
        {"moderato", 91, 121},
        {"moderate tempo", 91, 121},
        {"moderate", 91, 121},
        {"moderately", 91, 121},
        {"mid tempo", 91, 121},
        {"medium tempo", 91, 121},
        {"allegro", 121, 161},
        {"fast", 121, 203},
        {"quick", 121, 203},
        {"quickly", 121, 203},
        {"brisk", 121, 181},
        {"uptempo", 121, 181},
        {"up tempo", 121, 181},
        {"vivace", 144, 181},
        {"presto", 171, 203},
        {"prestissimo", 192, 228},
        {"very fast", 161, 215},
        {"very quick", 161, 215},
        {"extremely fast", 171, 228},
    };
    int longest = 0;
    for (size_t i = 0; i < sizeof tempos / sizeof *tempos; i++) {
        int used = motet_name_at(tempos[i].name, words, count, at);
        if (used <= longest) continue;
        longest = used;
        *lowest = tempos[i].lowest;
        *highest = tempos[i].highest;
    }
    return longest;
}
