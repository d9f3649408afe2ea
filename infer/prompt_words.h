/* prompt_words: the vocabulary of prompt.c: words, numbers, instruments, ensembles. */
#ifndef MOTET_PROMPT_WORDS_H
#define MOTET_PROMPT_WORDS_H

#include <stdint.h>

#define MOTET_PROMPT_WORDS 2048 /* as many as a prompt of 4,096 bytes can have */

typedef struct motet_word {
    char text[32]; /* lower case, cut if longer */
    int flags;     /* what stood before it */
    int capital;   /* was written with a capital */
} motet_word;

typedef struct motet_players {
    uint8_t programs[8];
    int count;
} motet_players;

int motet_words_cut(motet_word *words, int most, const char *text);

/* "one" .. "twenty", "thirty", ... "ninety", "hundred"; -1 for other words. */
int motet_number_word(const char *word);

/* The longest name of an instrument or ensemble that begins at a word; returns the words used, 0 if
 * there is none. */
int motet_players_at(motet_players *players, const motet_word *words, int count, int at);

/* The quarters a minute that a tempo word at a place means ("very slow", "allegro"), as they are in
 * captions of the corpus; returns the words used, 0 if there is none. */
int motet_tempo_words_at(double *lowest, double *highest, const motet_word *words, int count,
                         int at);

/* Whether the words from a place on say that the list of instruments is not complete: "and more".
 */
int motet_words_mean_more(const motet_word *words, int count, int at);

#endif
