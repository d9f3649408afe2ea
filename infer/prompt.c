#include "infer/prompt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/analysis.h"
#include "infer/prompt_players.h"
#include "infer/prompt_words.h"

#define IS(at, text) motet_word_is(words, count, at, text)
#define AMONG(at, list) motet_word_among(words, count, at, list)

/* "bpm", "beats per minute" after a number; returns the words used. */
static int tempo_unit_at(const motet_word *words, int count, int at) {
    if (IS(at, "bpm")) return 1;
    if (!IS(at, "beats")) return 0;
    if (IS(at + 1, "min")) return 2;
    return (IS(at + 1, "per") || IS(at + 1, "a")) && (IS(at + 2, "minute") || IS(at + 2, "min"))
               ? 3
               : 0;
}

/* A tempo, or a range ("90-120", "between 90 and 120"), whose middle then is as good as any;
 * returns the words used. "140bpm" is one word. */
static int tempo_number_at(double *bpm, const motet_word *words, int count, int at) {
    double highest;
    char *end;
    int used = motet_number_at(bpm, words, count, at), next = at + used;
    if (!used) {
        if (!isdigit((unsigned char)words[at].text[0])) return 0;
        *bpm = strtod(words[at].text, &end);
        return !strcmp(end, "bpm");
    }
    int between = IS(at - 1, "between") && IS(next, "and");
    int hyphen = next < count && words[next].flags & MOTET_AFTER_HYPHEN;
    int joined = between || IS(next, "to");
    if (!joined && !hyphen) return used;
    int more = motet_number_at(&highest, words, count, next + joined);
    if (!more || highest <= *bpm) return used;
    *bpm = (*bpm + highest) / 2;
    return used + joined + more;
}

/* "over 120 bpm" and "from 90 to 120 bpm" say something of the tempo, but not what it is. */
static int only_bounds(const motet_word *words, int count, int at) {
    static const char *const bounds[] = {"over", "under", "above", "below",     "than", "least",
                                         "most", "from",  "max",   "exceeding", "min",  NULL};
    double other;
    return AMONG(at - 1, bounds) ||
           (IS(at - 1, "to") &&
            (IS(at - 2, "up") || (at >= 2 && motet_number_at(&other, words, count, at - 2))));
}

static void read_tempo(motet_facts *facts, const motet_word *words, int count, int at) {
    static const char *const fillers[] = {"of", "is", "at", "around", "about", "to", NULL};
    static const char *const names[] = {"tempo", "bpm", "note", "quarter", "crotchet", NULL};
    static const char *const other_units[] = {"bar",     "bars",   "measure", "measures", "second",
                                              "seconds", "minute", "minutes", "sec",      "min",
                                              "notes",   "part",   "parts",   "voices",   NULL};
    double bpm = 0;
    int used = tempo_number_at(&bpm, words, count, at);
    if (used && (tempo_unit_at(words, count, at + used) || strstr(words[at].text, "bpm"))) {
        if (only_bounds(words, count, at)) return;
    } else if (AMONG(at, names)) {
        int next = at + 1;
        if (at > 0 && !strcmp(words[at].text, "note") && !IS(at - 1, "quarter")) return;
        if (strcmp(words[at].text, "tempo") != 0 && strcmp(words[at].text, "bpm") != 0 &&
            !(next < count && words[next].flags & MOTET_AFTER_BREAK))
            return; /* "quarter note = 96", not "a quarter 20 bars long" */
        if (next < count && (words[at].after == ',' || words[next].flags & MOTET_AFTER_HYPHEN))
            return; /* "mid-tempo, 26 bars" */
        while (AMONG(next, fillers))
            next++;
        used = next < count ? tempo_number_at(&bpm, words, count, next) : 0;
        if (!used || AMONG(next + used, other_units)) return;
        at = next;
    } else {
        return;
    }
    if (bpm >= 16 && bpm <= 256 && !motet_words_deny(words, count, at)) facts->tempo_bpm = bpm;
}

/* "slow" and the like. Two that exclude each other ("slow, then fast") say nothing, nor does one
 * that is denied ("not too fast"). */
static void read_tempo_words(motet_facts *facts, const motet_word *words, int count) {
    static const char *const denials[] = {"no", "not", "too", "less", "never", NULL};
    for (int at = 0; at < count;) {
        double lowest, highest;
        int used = motet_tempo_words_at(&lowest, &highest, words, count, at);
        if (used && !motet_word_among(words, count, at - 1, denials)) {
            if (facts->tempo_highest <= 0 || lowest > facts->tempo_lowest)
                facts->tempo_lowest = lowest;
            if (facts->tempo_highest <= 0 || highest < facts->tempo_highest)
                facts->tempo_highest = highest;
        }
        at += used ? used : 1;
    }
    if (facts->tempo_lowest >= facts->tempo_highest) facts->tempo_lowest = facts->tempo_highest = 0;
}

/* What may stand around a number of bars that is not the whole piece's. */
static int is_of_a_part(const motet_word *words, int count, int number, int unit) {
    static const char *const before[] = {"every", "first",  "last",    "next",  "after", "each",
                                         "per",   "final",  "than",    "under", "below", "opening",
                                         "over",  "within", "another", NULL};
    static const char *const after[] = {
        "phrase",  "phrases", "intro",  "introduction", "outro",  "section", "sections",
        "break",   "solo",    "solos",  "breakdown",    "fill",   "fills",   "build",
        "buildup", "verse",   "verses", "chorus",       "bridge", "ending",  "coda",
        "riff",    "each",    "rest",   "apart",        "later",  NULL};
    if (AMONG(number - 1, before) && !(words[number].flags & MOTET_AFTER_BREAK)) return 1;
    return AMONG(unit + 1, after) && !(words[unit + 1].flags & MOTET_AFTER_BREAK);
}

/* "16 bars" says how long the piece is, "a 12-bar blues" does so unless bars are counted
 * elsewhere; "8 bars of piano, then 8 bars of drums" does not. */
static void read_bars(motet_facts *facts, const motet_word *words, int count) {
    static const char *const units[] = {"bar", "bars", "measure", "measures", NULL};
    int plain = 0, plains = 0, form = 0, forms = 0;
    for (int at = 0; at < count; at++) {
        double value;
        int unit = at + motet_number_at(&value, words, count, at);
        if (unit == at || !AMONG(unit, units) || value < 1 || value > MOTET_MAX_BARS ||
            value != (int)value || is_of_a_part(words, count, at, unit) ||
            motet_words_deny(words, count, at))
            continue;
        int singular = IS(unit, "bar") || IS(unit, "measure");
        int *kept = singular && value > 1 ? &form : &plain;
        int *seen = singular && value > 1 ? &forms : &plains;
        *seen += *seen == 0 || singular == 0 || *kept != (int)value;
        *kept = (int)value;
    }
    facts->bars = plains == 1 ? plain : plains == 0 && forms == 1 ? form : 0;
}

/* "3/4", "six-eight", "common time"; returns whether a metre stands there. */
static int metre_at(int *numerator, int *denominator, const motet_word *words, int count, int at) {
    static const char *const no_metre[] = {"of", "size", "speed", "length", "through", NULL};
    static const struct {
        const char *name;
        int numerator, denominator;
    } names[] = {
        {"common time", 4, 4}, {"cut time", 2, 2}, {"alla breve", 2, 2}, {"waltz time", 3, 4}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (motet_name_at(names[i].name, words, count, at)) {
            *numerator = names[i].numerator;
            *denominator = names[i].denominator;
            return 1;
        }
    char *end;
    const char *text = words[at].text;
    if (strchr(text, '/')) {
        *numerator = (int)strtol(text, &end, 10);
        *denominator = (int)strtol(*end == '/' ? end + 1 : end, &end, 10);
        if (*end || AMONG(at + 1, no_metre)) return 0; /* "3/4/2024", "3/4 of the time" */
    } else if (at + 1 < count && (words[at + 1].flags & MOTET_AFTER_HYPHEN || IS(at + 2, "time"))) {
        *numerator = motet_number_word(text);
        *denominator = motet_number_word(words[at + 1].text);
        if (*denominator != 2 && *denominator != 4 && *denominator != 8) return 0; /* twenty-one */
    } else {
        return 0;
    }
    return *numerator >= 2 && *denominator >= 1 && motet_metre_index(*numerator, *denominator) >= 0;
}

/* Two metres are a choice ("3/4 or 4/4") or a change, which no single promise can keep. */
static void read_metre(motet_facts *facts, const motet_word *words, int count) {
    for (int at = 0; at < count; at++) {
        int n, d;
        if (!metre_at(&n, &d, words, count, at) || motet_words_deny(words, count, at)) continue;
        if (facts->numerator == 0) {
            facts->numerator = n;
            facts->denominator = d;
        } else if ((n != facts->numerator || d != facts->denominator) && !IS(at - 1, "or")) {
            facts->numerator = facts->denominator = 0;
            return;
        }
    }
}

/* A tonic at a place: "d", "bb", "f#", "c sharp"; returns the words used, 0 if none. What follows
 * the tonic in its word, "m" in "Dm", is left in rest. */
static int tonic_at(char name[4], const char **rest, const motet_word *words, int count, int at) {
    static const struct {
        const char *spelling, *sign;
    } accidentals[] = {{"#", "#"},     {"\xe2\x99\xaf", "#"},
                       {"sharp", "#"}, {"\xe2\x99\xad", "b"},
                       {"flat", "b"},  {"b", "b"}};
    if (at >= count || words[at].text[0] < 'a' || words[at].text[0] > 'g') return 0;
    const char *sign = "";
    int used = 1;
    *rest = words[at].text + 1;
    for (size_t i = 0; i < sizeof accidentals / sizeof *accidentals && !*sign; i++) {
        size_t size = strlen(accidentals[i].spelling);
        if (strncmp(*rest, accidentals[i].spelling, size) != 0) continue;
        sign = accidentals[i].sign;
        *rest += size;
    }
    if (!*sign && !**rest && at + 1 < count && !(words[at + 1].flags & MOTET_AFTER_BREAK)) {
        sign = IS(at + 1, "sharp") ? "#" : IS(at + 1, "flat") ? "b" : "";
        used += *sign != 0;
    }
    name[0] = words[at].text[0];
    name[1] = sign[0];
    name[2] = 0;
    return used;
}

/* "minor", "harmonic minor" at a place: 'm', 'M', or 0; *after: the word behind it. */
static int mode_at(int *after, const motet_word *words, int count, int at) {
    static const char *const kinds[] = {"harmonic", "melodic", "natural", NULL};
    static const char *const major[] = {"major", "maj", "dur", NULL};
    static const char *const minor[] = {"minor", "min", "moll", NULL};
    if (at < count && words[at].flags & MOTET_AFTER_BREAK) return 0;
    at += AMONG(at, kinds);
    *after = at + 1;
    return AMONG(at, minor) ? 'm' : AMONG(at, major) ? 'M' : 0;
}

/* What lets a bare letter be a key: "in G." and "in G for harp", not "in G minded", "in G-funk". */
static int stands_alone(const motet_word *words, int count, int last) {
    static const char *const links[] = {"for",  "with", "and",   "at",     "by",   "on", "or",
                                        "to",   "from", "using", "over",   "that", "a",  "as",
                                        "then", "the",  "in",    "played", NULL};
    if (words[last].after && !strchr(" \t\n,.;:!?)\"'", words[last].after)) return 0;
    int next = last + 1;
    return next >= count || words[next].flags & MOTET_AFTER_BREAK || AMONG(next, links) ||
           isdigit((unsigned char)words[next].text[0]);
}

/* "D minor" anywhere, but "a minor" only where a key can stand; "in Bb", "key of g" are major, "in
 * Dm" and "Dm," minor. */
static void read_key(motet_facts *facts, const motet_word *words, int count, int at) {
    static const char *const nouns[] = {"key",   "mode",  "mood",   "chord", "scale", "feel",
                                        "third", "sixth", "detail", "work",  "piece", NULL};
    static const char *const chords[] = {"chord", "chords", "triad", "arpeggio", "arpeggios",
                                         "7",     "9",      "7th",   "9th",      "seventh",
                                         "third", "sixth",  NULL};
    char name[4];
    const char *rest;
    int used = tonic_at(name, &rest, words, count, at), after = 0;
    if (!used || motet_words_deny(words, count, at)) return;
    const motet_word *word = &words[at];
    int in = IS(at - 1, "in");
    int key_of = IS(at - 1, "key") || (IS(at - 1, "of") && IS(at - 2, "key"));
    int listed = word->flags & MOTET_AFTER_BREAK && at > 0;
    int article = !strcmp(word->text, "a"); /* "a", "a flat" */
    int mode = *rest ? 0 : mode_at(&after, words, count, at + used);
    if (*rest) {
        int item = word->flags & MOTET_AFTER_BREAK &&
                   (at + 1 >= count || words[at + 1].flags & MOTET_AFTER_BREAK);
        int long_name = !strcmp(rest, "min") || !strcmp(rest, "maj");
        if (strcmp(rest, "m") != 0 && !long_name) return;
        if (word->capitals != 1 || !word->capital || !(in || key_of || item)) return;
        mode = rest[1] == 'a' ? 'M' : 'm';
    } else if (mode) {
        if (AMONG(after, chords) && !(words[after].flags & MOTET_AFTER_BREAK)) return;
        if (article && used == 1 && !key_of && !(word->capital && at > 0) &&
            !((in || listed) && !AMONG(after, nouns)))
            return;
    } else {
        int bare = name[1] == 0;
        if (!key_of && !(in && word->capital) && !(in && !bare && !article)) return;
        if (article && bare &&
            !(key_of &&
              (word->capital || at + 1 >= count || words[at + 1].flags & MOTET_AFTER_BREAK)))
            return;
        if (!stands_alone(words, count, at + used - 1)) return;
    }
    int key = motet_key_parse(name);
    if (key != MOTET_NO_KEY) facts->key = mode == 'm' ? key + 12 : key;
}

motet_facts motet_prompt_read(const char *prompt) {
    motet_facts facts = motet_facts_none();
    motet_word words[MOTET_PROMPT_WORDS];
    int count = motet_words_cut(words, MOTET_PROMPT_WORDS, prompt);
    for (int at = 0; at < count; at++) {
        if (facts.tempo_bpm == 0) read_tempo(&facts, words, count, at);
        if (facts.key < 0) read_key(&facts, words, count, at);
    }
    read_bars(&facts, words, count);
    read_metre(&facts, words, count);
    motet_prompt_players(&facts, words, count);
    read_tempo_words(&facts, words, count);
    return facts;
}
