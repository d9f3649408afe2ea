#include "infer/prompt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/analysis.h"
#include "data/instrument.h"
#include "infer/prompt_words.h"

enum { AFTER_BREAK = 1, AFTER_HYPHEN = 2 };

/* Cuts text into lower-case words of letters, digits, '#' and bytes beyond ASCII; "3/4" and "96.5"
 * stay whole. What stood before a word is kept as flags. */
int motet_words_cut(motet_word *words, int most, const char *text) {
    int count = 0, flags = AFTER_BREAK;
    for (const unsigned char *p = (const unsigned char *)text; *p && count < most;) {
        if (!isalnum(*p) && *p != '#' && *p < 0x80) {
            if (*p == '-')
                flags |= AFTER_HYPHEN;
            else if (!isspace(*p) && *p != '\'')
                flags |= AFTER_BREAK;
            p++;
            continue;
        }
        motet_word *word = &words[count++];
        int used = 0, number = isdigit(*p);
        word->flags = flags;
        word->capital = isupper(*p) != 0;
        while (*p && (isalnum(*p) || *p == '#' || *p >= 0x80 || *p == '\'' ||
                      (number && (*p == '/' || *p == '.') && isdigit(p[1])))) {
            if (used + 1 < (int)sizeof word->text && *p != '\'')
                word->text[used++] = (char)tolower(*p);
            p++;
        }
        word->text[used] = 0;
        flags = 0;
    }
    return count;
}

static int is(const motet_word *words, int count, int at, const char *text) {
    return at >= 0 && at < count && !strcmp(words[at].text, text);
}

/* Whether the word at a place is one of a list that ends with NULL. */
static int among(const motet_word *words, int count, int at, const char *const *list) {
    for (; at >= 0 && at < count && *list; list++)
        if (!strcmp(words[at].text, *list)) return 1;
    return 0;
}

/* A number in digits or words ("24", "96.5", "twenty-four"); returns the words used, 0 if none. */
static int number_at(double *value, const motet_word *words, int count, int at) {
    if (at >= count) return 0;
    char *end;
    if (isdigit((unsigned char)words[at].text[0])) {
        *value = strtod(words[at].text, &end);
        return *end == 0;
    }
    int number = motet_number_word(words[at].text);
    if (number < 0) return 0;
    *value = number;
    if (number < 20 || number % 10) return 1;
    int unit = at + 1 < count ? motet_number_word(words[at + 1].text) : -1;
    if (unit < 1 || unit > 9) return 1;
    *value += unit;
    return 2;
}

static void read_tempo(motet_facts *facts, const motet_word *words, int count, int at) {
    static const char *const fillers[] = {"of", "is", "at", "around", "about", "to", NULL};
    double value;
    char *end;
    int used = number_at(&value, words, count, at), next = at + used;
    if (used && (is(words, count, next, "bpm") ||
                 (is(words, count, next, "beats") &&
                  (is(words, count, next + 1, "per") || is(words, count, next + 1, "a")) &&
                  is(words, count, next + 2, "minute")))) {
        facts->tempo_bpm = value;
    } else if (isdigit((unsigned char)words[at].text[0])) {
        value = strtod(words[at].text, &end);
        if (!strcmp(end, "bpm")) facts->tempo_bpm = value;
    } else if (is(words, count, at, "tempo") || is(words, count, at, "bpm")) {
        next = at + 1;
        while (among(words, count, next, fillers))
            next++;
        if (number_at(&value, words, count, next) && value >= 16) facts->tempo_bpm = value;
    }
    if (facts->tempo_bpm < 16 || facts->tempo_bpm > 256) facts->tempo_bpm = 0;
}

/* "slow" and the like. Two that exclude each other ("slow, then fast") say nothing, nor does one
 * that is denied ("not too fast"). */
static void read_tempo_words(motet_facts *facts, const motet_word *words, int count) {
    static const char *const denials[] = {"no", "not", "too", "less", "never", NULL};
    for (int at = 0; at < count;) {
        double lowest, highest;
        int used = motet_tempo_words_at(&lowest, &highest, words, count, at);
        if (used && !among(words, count, at - 1, denials)) {
            if (facts->tempo_highest <= 0 || lowest > facts->tempo_lowest)
                facts->tempo_lowest = lowest;
            if (facts->tempo_highest <= 0 || highest < facts->tempo_highest)
                facts->tempo_highest = highest;
        }
        at += used ? used : 1;
    }
    if (facts->tempo_lowest >= facts->tempo_highest) facts->tempo_lowest = facts->tempo_highest = 0;
}

static void read_bars(motet_facts *facts, const motet_word *words, int count, int at) {
    static const char *const units[] = {"bar", "bars", "measure", "measures", NULL};
    double value;
    int used = number_at(&value, words, count, at);
    if (used && among(words, count, at + used, units) && value >= 1 && value <= MOTET_MAX_BARS &&
        value == (int)value)
        facts->bars = (int)value;
}

static void read_metre(motet_facts *facts, const motet_word *words, int count, int at) {
    int numerator = 0, denominator = 0;
    const char *slash = strchr(words[at].text, '/');
    if (slash) {
        numerator = (int)strtol(words[at].text, NULL, 10);
        denominator = (int)strtol(slash + 1, NULL, 10);
    } else if (is(words, count, at + 1, "time") &&
               (is(words, count, at, "common") || is(words, count, at, "cut"))) {
        numerator = denominator = words[at].text[1] == 'o' ? 4 : 2;
    } else if (at + 1 < count &&
               (words[at + 1].flags & AFTER_HYPHEN || is(words, count, at + 2, "time"))) {
        numerator = motet_number_word(words[at].text);
        denominator = motet_number_word(words[at + 1].text);
        if (denominator != 2 && denominator != 4 && denominator != 8) return; /* twenty-one */
    }
    if (numerator < 2 || denominator < 1 || motet_metre_index(numerator, denominator) < 0) return;
    facts->numerator = numerator;
    facts->denominator = denominator;
}

/* A tonic at a place: "d", "bb", "f#", "c sharp"; returns the words used, 0 if none. */
static int tonic_at(char name[4], const motet_word *words, int count, int at) {
    if (at >= count || words[at].text[0] < 'a' || words[at].text[0] > 'g') return 0;
    const char *rest = words[at].text + 1;
    const char *accidental = "";
    int used = 1;
    if (!strcmp(rest, "#") || !strcmp(rest, "\xe2\x99\xaf"))
        accidental = "#";
    else if (!strcmp(rest, "b") || !strcmp(rest, "\xe2\x99\xad"))
        accidental = "b";
    else if (*rest)
        return 0;
    else if (is(words, count, at + 1, "sharp"))
        accidental = "#", used = 2;
    else if (is(words, count, at + 1, "flat"))
        accidental = "b", used = 2;
    name[0] = words[at].text[0];
    name[1] = accidental[0];
    name[2] = 0;
    return used;
}

static int mode_at(const motet_word *words, int count, int at) {
    static const char *const major[] = {"major", "maj", "dur", NULL};
    static const char *const minor[] = {"minor", "min", "moll", NULL};
    return among(words, count, at, minor) ? 'm' : among(words, count, at, major) ? 'M' : 0;
}

/* "D minor" anywhere, but "a minor" only where a key can stand; "in Bb", "key of g" are major. */
static void read_key(motet_facts *facts, const motet_word *words, int count, int at) {
    static const char *const nouns[] = {"key",   "mode",  "mood",   "chord", "scale", "feel",
                                        "third", "sixth", "detail", "work",  "piece", NULL};
    char name[4];
    int used = tonic_at(name, words, count, at);
    if (!used) return;
    int mode = mode_at(words, count, at + used);
    int in = is(words, count, at - 1, "in");
    int key_of = is(words, count, at - 1, "key") ||
                 (is(words, count, at - 1, "of") && is(words, count, at - 2, "key"));
    int article = !strcmp(words[at].text, "a") && used == 1;
    if (mode) {
        int listed = words[at].flags & AFTER_BREAK && at > 0;
        if (article && !key_of && !(words[at].capital && at > 0) &&
            !((in || listed) && !among(words, count, at + 2, nouns)))
            return;
    } else {
        int accidental = name[1] != 0;
        if (!key_of && !(in && (accidental || words[at].capital))) return;
        if (article && !key_of) return;
        if (key_of && !words[at].capital && article && at + 1 < count &&
            !(words[at + 1].flags & AFTER_BREAK))
            return;
    }
    int key = motet_key_parse(name);
    if (key != MOTET_NO_KEY) facts->key = mode == 'm' ? key + 12 : key;
}

static int contains(const uint8_t *programs, int count, int program) {
    for (int i = 0; i < count; i++)
        if (programs[i] == program) return 1;
    return 0;
}

static void add(uint8_t *programs, int *count, int program) {
    if (*count < 16 && !contains(programs, *count, program))
        programs[(*count)++] = (uint8_t)program;
}

/* Instruments, ensembles and what is banned, longest names first. */
static void read_programs(motet_facts *facts, const motet_word *words, int count) {
    static const char *const negations[] = {"no", "without", "sans", "not", "minus", NULL};
    static const char *const or_more[] = {"or", "nor", NULL};
    static const char *const articles[] = {"a", "an", "any", "the", NULL};
    int banning = 0;
    for (int at = 0; at < count;) {
        motet_players players;
        int used = motet_players_at(&players, words, count, at);
        if (!used) {
            int open = among(words, count, at, negations);
            if (open || !(banning &&
                          (among(words, count, at, or_more) || among(words, count, at, articles))))
                banning = open;
            facts->programs_open |= motet_words_mean_more(words, count, at);
            at++;
            continue;
        }
        if (banning && words[at].flags & AFTER_BREAK) banning = 0;
        for (int i = 0; i < players.count; i++) {
            if (banning)
                add(facts->banned, &facts->banned_count, players.programs[i]);
            else
                add(facts->programs, &facts->program_count, players.programs[i]);
        }
        at += used;
    }
    /* "no piano, only strings" names piano to keep it out. */
    int kept = 0;
    for (int i = 0; i < facts->program_count; i++)
        if (!contains(facts->banned, facts->banned_count, facts->programs[i]))
            facts->programs[kept++] = facts->programs[i];
    facts->program_count = kept;
}

motet_facts motet_prompt_read(const char *prompt) {
    motet_facts facts = motet_facts_none();
    motet_word words[MOTET_PROMPT_WORDS];
    int count = motet_words_cut(words, MOTET_PROMPT_WORDS, prompt);
    for (int at = 0; at < count; at++) {
        if (facts.tempo_bpm == 0) read_tempo(&facts, words, count, at);
        if (facts.bars == 0) read_bars(&facts, words, count, at);
        if (facts.numerator == 0) read_metre(&facts, words, count, at);
        if (facts.key < 0) read_key(&facts, words, count, at);
    }
    read_programs(&facts, words, count);
    read_tempo_words(&facts, words, count);
    return facts;
}
