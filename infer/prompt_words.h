/* prompt_words: a prompt as words, and the words that mean numbers and tempos. */
#ifndef MOTET_PROMPT_WORDS_H
#define MOTET_PROMPT_WORDS_H

#include <stdint.h>

#define MOTET_PROMPT_WORDS 2048 /* as many as a prompt of 4,096 bytes can have */

/* What stood before a word. A stop (full stop, semicolon, line's end) is a break, too. */
enum { MOTET_AFTER_BREAK = 1, MOTET_AFTER_HYPHEN = 2, MOTET_AFTER_STOP = 4 };

typedef struct motet_word {
    char text[32]; /* lower case, cut if longer */
    int flags;     /* what stood before it */
    int capitals;  /* letters written as capitals */
    int capital;   /* the first letter is one */
    char after;    /* the byte that ended it; a dash is '-', a typographic quote '"' */
} motet_word;

/* Cuts text into lower-case words of letters, digits, '#' and bytes beyond ASCII; "3/4", "96.5"
 * and "1,000" stay whole. Returns the number of words, at most `most`. */
int motet_words_cut(motet_word *words, int most, const char *text);

/* Whether the word at a place is this one, or one of a list that ends with NULL. Places outside
 * the text hold no word. */
int motet_word_is(const motet_word *words, int count, int at, const char *text);
int motet_word_among(const motet_word *words, int count, int at, const char *const *list);

/* Whether a name's words stand at a place ("e-piano" is two); a plural s is taken, too. Returns the
 * words used, 0 if the name is not there. */
int motet_name_at(const char *name, const motet_word *words, int count, int at);

/* "one" .. "twenty", "thirty", ... "ninety", "hundred"; -1 for other words. */
int motet_number_word(const char *word);

/* A number in digits or words that begins at a place ("24", "96.5", "twenty-four", "a hundred and
 * ten"); returns the words used, 0 if none begins there. */
int motet_number_at(double *value, const motet_word *words, int count, int at);

/* Whether what stands at a place is denied: "not in D minor", "anything but 4/4". */
int motet_words_deny(const motet_word *words, int count, int at);

/* The quarters a minute that a tempo word at a place means ("very slow", "allegro"), as they are in
 * captions of the corpus; returns the words used, 0 if there is none. */
int motet_tempo_words_at(double *lowest, double *highest, const motet_word *words, int count,
                         int at);

#endif
