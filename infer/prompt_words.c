#include "infer/prompt_words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "data/instrument.h"

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

/* Names that say who plays. Programs are General MIDI's, 0-based; 255 ends a list early. */
static const struct {
    const char *name;
    motet_players players;
} ensembles[] = {
    {"string quartet", {{40, 41, 42}, 3}},
    {"string trio", {{40, 41, 42}, 3}},
    {"string quintet", {{40, 41, 42, 43}, 4}},
    {"piano trio", {{0, 40, 42}, 3}},
    {"piano quartet", {{0, 40, 41, 42}, 4}},
    {"jazz trio", {{0, 32, MOTET_PROGRAM_DRUMS}, 3}},
    {"jazz quartet", {{0, 32, 66, MOTET_PROGRAM_DRUMS}, 4}},
    {"rock band", {{29, 33, MOTET_PROGRAM_DRUMS}, 3}},
    {"wind quintet", {{73, 68, 71, 70, 60}, 5}},
    {"woodwind quintet", {{73, 68, 71, 70, 60}, 5}},
    {"woodwind trio", {{73, 68, 71}, 3}},
    {"brass quintet", {{56, 60, 57, 58}, 4}},
    {"brass quartet", {{56, 60, 57, 58}, 4}},
    {"brass trio", {{56, 60, 57}, 3}},
};

/* Words that also mean other things: as instruments they count only inside a longer name. */
static const char *const vague[] = {
    "beat",     "beats",     "voice",     "orchestra",  "chorus",  "halo",       "sweep",
    "rain",     "bottle",    "bells",     "tremolo",    "crystal", "atmosphere", "brightness",
    "goblins",  "echoes",    "echo",      "soundtrack", "sci fi",  "applause",   "seashore",
    "bird",     "birds",     "telephone", "helicopter", "gunshot", "breath",     "waves",
    "pop bass", "whistling", "humming",   "pad",        "chiff",   "fretless",   "singer",
    "singers",  "vocal",     "metal pad",
};

/* Whether a name's words stand at a place ("e-piano" is two words); a plural s is taken, too. */
static int name_at(const char *name, const motet_word *words, int count, int at) {
    motet_word parts[8];
    int size = motet_words_cut(parts, 8, name);
    if (size == 0 || at + size > count) return 0;
    for (int i = 0; i < size; i++) {
        const char *word = words[at + i].text;
        size_t length = strlen(parts[i].text);
        if (strncmp(word, parts[i].text, length) != 0) return 0;
        int plural = i == size - 1 && length > 2 && !strcmp(word + length, "s");
        if (word[length] && !plural) return 0;
        if (i > 0 && words[at + i].flags & 1 && !(parts[i].flags & 1))
            return 0; /* no comma inside a name that has none */
    }
    return size;
}

/* "for voice and piano" names a player, "in the voice of" does not. */
static int names_a_player(const motet_word *words, int at) {
    static const char *const before[] = {"for", "and", "with", "solo"};
    if (at == 0 || strcmp(words[at].text, "voice") != 0) return 0;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        if (!strcmp(words[at - 1].text, before[i])) return 1;
    return 0;
}

static int is_vague(const char *name) {
    for (size_t i = 0; i < sizeof vague / sizeof *vague; i++)
        if (!strcasecmp(name, vague[i])) return 1;
    return 0;
}

static int instrument_at(int *program, const motet_word *words, int count, int at) {
    int longest = 0;
    for (int p = 0; p <= MOTET_PROGRAM_DRUMS; p++) {
        const char *name = motet_program_name(p); /* General MIDI's own, then every word */
        for (int k = 0; name; name = motet_program_word(p, k++)) {
            if (tolower((unsigned char)name[0]) != words[at].text[0]) continue;
            if (is_vague(name) && !names_a_player(words, at)) continue;
            int used = name_at(name, words, count, at);
            if (used > longest) longest = used, *program = p;
        }
    }
    return longest;
}

int motet_players_at(motet_players *players, const motet_word *words, int count, int at) {
    int program = 0, longest = instrument_at(&program, words, count, at);
    *players = (motet_players){.programs = {(uint8_t)program}, .count = 1};
    for (size_t i = 0; i < sizeof ensembles / sizeof *ensembles; i++) {
        int used = name_at(ensembles[i].name, words, count, at);
        if (used > longest) longest = used, *players = ensembles[i].players;
    }
    return longest;
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
        {"grave", 36, 57},
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
        int used = name_at(tempos[i].name, words, count, at);
        if (used <= longest) continue;
        longest = used;
        *lowest = tempos[i].lowest;
        *highest = tempos[i].highest;
    }
    return longest;
}

int motet_words_mean_more(const motet_word *words, int count, int at) {
    static const char *const phrases[][2] = {
        {"among", "others"}, {"and", "more"}, {"and", "others"}, {"etc", ""},
        {"and", "friends"},  {"mainly", ""},  {"mostly", ""},    {"including", ""}};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (!strcmp(words[at].text, phrases[i][0]) &&
            (!*phrases[i][1] || (at + 1 < count && !strcmp(words[at + 1].text, phrases[i][1]))))
            return 1;
    return 0;
}
