#include "data/instrument.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/instrument_table.h"

#define SPELLING_BYTES 64 /* longer than any name here */

static const motet_instrument *instrument(int program) {
    return &motet_instruments[program < 0 || program > MOTET_PROGRAM_DRUMS ? 0 : program];
}

const char *motet_program_name(int program) {
    return instrument(program)->name;
}

const char *motet_program_nickname(int program) {
    return instrument(program)->words[0];
}

const char *motet_program_word(int program, int k) {
    return k < 0 || k >= MOTET_PROGRAM_WORDS ? NULL : instrument(program)->words[k];
}

void motet_program_range(int program, int *lowest, int *highest) {
    *lowest = instrument(program)->lowest;
    *highest = instrument(program)->highest;
}

const char *motet_program_family_name(int family) {
    static const char *const names[17] = {
        "piano",         "chromatic percussion",
        "organ",         "guitar",
        "bass",          "strings",
        "ensemble",      "brass",
        "reed",          "pipe",
        "synth lead",    "synth pad",
        "synth effects", "ethnic",
        "percussive",    "sound effects",
        "drums",
    };
    return family < 0 || family > 16 ? "unknown" : names[family];
}

/* Lower case, every run of anything but letters, digits, + and ' one space: "Lead 8 (bass + lead)"
 * -> "lead 8 bass + lead". */
static void normalise(char spelling[SPELLING_BYTES], const char *text) {
    size_t used = 0;
    int gap = 0;
    for (; *text && used < SPELLING_BYTES - 2; text++) {
        unsigned char c = (unsigned char)*text;
        if (!isalnum(c) && c != '+' && c != '\'' && c < 0x80) {
            gap = used > 0;
            continue;
        }
        if (gap) spelling[used++] = ' ';
        gap = 0;
        spelling[used++] = (char)tolower(c);
    }
    spelling[used] = 0;
}

/* Insertions, deletions, substitutions and swaps of neighbours between two spellings: the optimal
 * string alignment distance. */
static int edit_distance(const char *a, const char *b) {
    int rows[3][SPELLING_BYTES + 1], length = (int)strlen(b);
    for (int j = 0; j <= length; j++)
        rows[0][j] = j;
    int row = 0;
    for (int i = 0; a[i]; i++) {
        int *above = rows[i % 3], *here = rows[(i + 1) % 3], *swap = rows[(i + 2) % 3];
        here[0] = i + 1;
        for (int j = 0; j < length; j++) {
            int best = above[j] + (a[i] != b[j]);
            if (above[j + 1] + 1 < best) best = above[j + 1] + 1;
            if (here[j] + 1 < best) best = here[j] + 1;
            if (i && j && a[i] == b[j - 1] && a[i - 1] == b[j] && swap[j - 1] + 1 < best)
                best = swap[j - 1] + 1;
            here[j + 1] = best;
        }
        row = (i + 1) % 3;
    }
    return rows[row][length];
}

static int find_exactly(const char *wanted) {
    char spelling[SPELLING_BYTES];
    for (int program = 0; program <= MOTET_PROGRAM_DRUMS; program++)
        for (const char *const *word = motet_instruments[program].words; *word; word++) {
            normalise(spelling, *word);
            if (strcmp(spelling, wanted) == 0) return program;
        }
    for (int program = 0; program <= MOTET_PROGRAM_DRUMS; program++) {
        normalise(spelling, motet_instruments[program].name);
        if (strcmp(spelling, wanted) == 0) return program;
    }
    return -1;
}

static const char *find_nearest(const char *wanted) {
    char spelling[SPELLING_BYTES];
    const char *nearest = motet_instruments[0].words[0];
    int least = SPELLING_BYTES * 2;
    for (int program = 0; program <= MOTET_PROGRAM_DRUMS; program++)
        for (int k = 0; k <= MOTET_PROGRAM_WORDS; k++) {
            const motet_instrument *each = &motet_instruments[program];
            const char *word = k < MOTET_PROGRAM_WORDS ? each->words[k] : each->name;
            if (!word) continue;
            normalise(spelling, word);
            int distance = edit_distance(wanted, spelling);
            if (distance >= least) continue;
            least = distance;
            nearest = word;
        }
    return nearest;
}

int motet_program_parse(const char *text, const char **nearest) {
    char wanted[SPELLING_BYTES];
    normalise(wanted, text);
    size_t length = strlen(wanted);
    if (nearest) *nearest = NULL;
    if (length && length <= 3 && strspn(wanted, "0123456789") == length) {
        int number = (int)strtol(wanted, NULL, 10); /* three digits */
        if (number >= 1 && number <= 128) return number - 1;
        if (nearest) *nearest = number < 1 ? "1" : "128";
        return -1;
    }
    int program = find_exactly(wanted);
    if (program < 0 && length > 3 && wanted[length - 1] == 's') { /* "two violas" */
        wanted[length - 1] = 0;
        program = find_exactly(wanted);
        wanted[length - 1] = 's';
    }
    if (program < 0 && nearest) *nearest = find_nearest(wanted);
    return program;
}
