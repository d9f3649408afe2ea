#include "infer/prompt_players.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "data/instrument.h"

typedef struct players {
    uint8_t programs[8];
    int count;
    int part; /* of a program: who wants no cymbals may want drums */
} players;

/* Names that say who plays, and names that only hold an instrument's word (they ask for nobody).
 * Programs are General MIDI's, 0-based. */
static const struct {
    const char *name;
    players players;
} ensembles[] = {
    {"string quartet", {{40, 41, 42}, 3, 0}},
    {"string trio", {{40, 41, 42}, 3, 0}},
    {"string quintet", {{40, 41, 42, 43}, 4, 0}},
    {"piano trio", {{0, 40, 42}, 3, 0}},
    {"piano quartet", {{0, 40, 41, 42}, 4, 0}},
    {"jazz trio", {{0, 32, MOTET_PROGRAM_DRUMS}, 3, 0}},
    {"jazz quartet", {{0, 32, 66, MOTET_PROGRAM_DRUMS}, 4, 0}},
    {"rock band", {{29, 33, MOTET_PROGRAM_DRUMS}, 3, 0}},
    {"wind quintet", {{73, 68, 71, 70, 60}, 5, 0}},
    {"woodwind quintet", {{73, 68, 71, 70, 60}, 5, 0}},
    {"woodwind trio", {{73, 68, 71}, 3, 0}},
    {"brass quintet", {{56, 60, 57, 58}, 4, 0}},
    {"brass quartet", {{56, 60, 57, 58}, 4, 0}},
    {"brass trio", {{56, 60, 57}, 3, 0}},
    {"drum", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"bass drum", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"snare", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"snare drum", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"hi-hat", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"cymbal", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"conga", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"bongo", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"tambourine", {{MOTET_PROGRAM_DRUMS}, 1, 1}},
    {"drum and bass", {{0}, 0, 0}}, /* a genre */
    {"drum & bass", {{0}, 0, 0}},
    {"drum n bass", {{0}, 0, 0}},
    {"bass clef", {{0}, 0, 0}},
    {"bass flute", {{73}, 1, 0}},
    {"bass recorder", {{74}, 1, 0}},
    {"bass trombone", {{57}, 1, 0}},
    {"bass voice", {{53}, 1, 0}},
    {"soprano recorder", {{74}, 1, 0}},
    {"piano bar", {{0}, 0, 0}}, /* a place */
    {"strings attached", {{0}, 0, 0}},
};

/* Words that also mean other things: as instruments they count only inside a longer name. */
static const char *const vague[] = {
    "beat",     "beats",     "voice",     "orchestra",  "chorus",  "halo",       "sweep",
    "rain",     "bottle",    "bells",     "tremolo",    "crystal", "atmosphere", "brightness",
    "goblins",  "echoes",    "echo",      "soundtrack", "sci fi",  "applause",   "seashore",
    "bird",     "birds",     "bird song", "telephone",  "phone",   "helicopter", "chopper",
    "gunshot",  "gun",       "breath",    "waves",      "surf",    "crowd",      "clapping",
    "pop bass", "whistling", "humming",   "pad",        "chiff",   "fretless",   "singer",
    "singers",  "vocal",     "metal pad", "kit",        "pans",    "vibes",      "musette",
    "soprano",  "virginal",  "toy box",   "star theme",
};

/* Of these, those that players are called by: they count where a player must stand. */
static const char *const playing[] = {"voice", "soprano", "vibes", NULL};

static const char *const joints[] = {"and", "with", "plus", "or", NULL};
static const char *const articles[] = {"a", "an", "any", "the", NULL};

static int is_vague(const char *name) {
    for (size_t i = 0; i < sizeof vague / sizeof *vague; i++)
        if (!strcasecmp(name, vague[i])) return 1;
    return 0;
}

static int surely_at(int *program, const motet_word *words, int count, int at) {
    int longest = 0;
    for (int p = 0; p <= MOTET_PROGRAM_DRUMS; p++) {
        const char *name = motet_program_name(p); /* General MIDI's own, then every word */
        for (int k = 0; name; name = motet_program_word(p, k++)) {
            if (tolower((unsigned char)name[0]) != words[at].text[0] || is_vague(name)) continue;
            int used = motet_name_at(name, words, count, at);
            if (used > longest) longest = used, *program = p;
        }
    }
    return longest;
}

/* "for voice and piano" and "flute, vibes, bass" name players, "in the voice of" and "good vibes
 * and a flute" do not. */
static int names_a_player(const motet_word *words, int count, int at) {
    static const char *const before[] = {"for", "with", "on", "solo", NULL};
    if (!motet_word_among(words, count, at, playing)) return 0;
    if (motet_word_is(words, count, at + 1, "of")) return 0;
    if (motet_word_among(words, count, at - 1, before)) return 1;
    int joined = motet_word_among(words, count, at - 1, joints), program;
    if (!joined && !(words[at].flags & MOTET_AFTER_BREAK)) return 0;
    int last = at - 1 - joined; /* the word that ends the name before */
    for (int first = last; first >= 0 && first > last - 4; first--)
        if (first + surely_at(&program, words, count, first) == last + 1) return 1;
    int next = at + 1 + motet_word_among(words, count, at + 1, joints);
    if (next >= count || (next == at + 1 && !(words[next].flags & MOTET_AFTER_BREAK))) return 0;
    return surely_at(&program, words, count, next) > 0;
}

/* The longest name of an instrument or ensemble that begins at a place; returns the words used, 0
 * if there is none. */
static int players_at(players *found, const motet_word *words, int count, int at) {
    int program = 0, longest = surely_at(&program, words, count, at);
    if (!longest && names_a_player(words, count, at))
        longest = 1, program = motet_program_parse(words[at].text, NULL);
    *found = (players){.programs = {(uint8_t)program}, .count = 1};
    for (size_t i = 0; i < sizeof ensembles / sizeof *ensembles; i++) {
        int used = motet_name_at(ensembles[i].name, words, count, at);
        int plural_list = used == 2 && !strcmp(words[at + 1].text, "drums");
        if (used > longest && !plural_list) longest = used, *found = ensembles[i].players;
    }
    return longest;
}

static int contains(const uint8_t *programs, int count, int program) {
    return count > 0 && memchr(programs, program, (size_t)count) != NULL;
}

static void add(uint8_t *programs, int *count, const players *who) {
    for (int i = 0; i < who->count; i++)
        if (*count < 16 && !contains(programs, *count, who->programs[i]))
            programs[(*count)++] = who->programs[i];
}

/* "and more": the list is not complete. */
static int means_more(const motet_word *words, int count, int at) {
    static const char *const phrases[][2] = {
        {"among", "others"}, {"and", "more"}, {"and", "others"}, {"etc", ""},
        {"and", "friends"},  {"mainly", ""},  {"mostly", ""},    {"including", ""}};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (motet_word_is(words, count, at, phrases[i][0]) &&
            (!*phrases[i][1] || motet_word_is(words, count, at + 1, phrases[i][1])))
            return 1;
    return 0;
}

/* A list that begins at a place ends with "or": "no drums, guitar, or bass". */
static int or_follows(const motet_word *words, int count, int at) {
    for (int names = 0; names < 16 && at < count && !(words[at].flags & MOTET_AFTER_STOP);
         names++) {
        if (names > 0 && motet_word_is(words, count, at, "or")) return 1;
        players found;
        int used = players_at(&found, words, count, at);
        if (!used) return 0;
        at += used;
    }
    return 0;
}

enum mood { WANTED, DENIED, UNSURE };

/* What the words so far mean for the instruments to come. */
typedef struct reader {
    enum mood mood;
    int distance; /* words of weight since the denial */
} reader;

/* One word that is no instrument. */
static void hear(reader *r, const motet_word *words, int count, int at) {
    static const char *const denials[] = {"no",   "not",   "without", "sans",      "minus",
                                          "dont", "avoid", "never",   "avoiding",  "except",
                                          "omit", "isnt",  "lacking", "excluding", NULL};
    static const char *const degrees[] = {"too",  "so",   "much",  "many", "as",
                                          "more", "less", "other", NULL};
    static const char *const limits[] = {"only", "just", "merely", "simply", NULL};
    static const char *const turns[] = {"but", "only", "just", "then", "plus", "featuring", NULL};
    static const char *const links[] = {"with", "for", "by", "on", "has", NULL};
    static const char *const all[] = {"anything", "everything", "all", NULL};
    static const char *const light[] = {"or", "nor", "of", "use", "using", "to", "have", NULL};
    const reader deny = {DENIED, 0}, unsure = {UNSURE, 0}, wanted = {WANTED, 0};
    int break_here = words[at].flags & MOTET_AFTER_BREAK;
    if (words[at].flags & MOTET_AFTER_STOP || (break_here && r->mood == UNSURE) ||
        (break_here && !motet_word_is(words, count, at, "or") &&
         !motet_word_is(words, count, at, "nor")))
        *r = wanted;
    if (motet_word_among(words, count, at, denials)) {
        int next = at + 1;
        *r = motet_word_among(words, count, next, limits)    ? wanted
             : motet_word_among(words, count, next, degrees) ? unsure
                                                             : deny;
    } else if ((motet_word_is(words, count, at, "instead") &&
                motet_word_is(words, count, at + 1, "of")) ||
               (motet_word_is(words, count, at, "rather") &&
                motet_word_is(words, count, at + 1, "than")) ||
               (motet_word_is(words, count, at, "but") &&
                motet_word_among(words, count, at - 1, all))) {
        *r = deny;
    } else if (motet_word_is(words, count, at, "other") &&
               motet_word_is(words, count, at + 1, "than")) {
        *r = r->mood == DENIED || motet_word_is(words, count, at - 1, "nothing") ? wanted : deny;
    } else if (motet_word_among(words, count, at - 1, denials) &&
               motet_word_among(words, count, at, links)) {
        return; /* "not with drums" */
    } else if (motet_word_among(words, count, at, turns)) {
        *r = wanted;
    } else if (motet_word_among(words, count, at, links)) {
        *r = r->mood == DENIED && r->distance ? unsure : wanted; /* "no need for drums" */
    } else if (r->mood == DENIED) {
        if (motet_word_is(words, count, at, "and"))
            *r = unsure; /* "without drums and bass" can be heard in two ways */
        else if (motet_word_among(words, count, at, articles))
            r->mood = r->distance ? UNSURE : DENIED;
        else if (!motet_word_among(words, count, at, light) &&
                 !motet_word_is(words, count, at, "than") && ++r->distance > 2)
            *r = unsure;
    }
}

/* "like a harp" compares; "piano or guitar" has its piano. */
static int only_mentioned(const motet_word *words, int count, int at, int last) {
    int before = at - 1 - motet_word_among(words, count, at - 1, articles);
    if (motet_word_is(words, count, before, "like") &&
        !(words[before + 1].flags & MOTET_AFTER_BREAK))
        return 1;
    return last >= 0 && motet_word_is(words, count, before, "or") && last == before;
}

/* "drum-free": the words behind a name that keep it out. */
static int frees_at(const motet_word *words, int count, int next) {
    return next < count && words[next].flags & MOTET_AFTER_HYPHEN &&
           (motet_word_is(words, count, next, "free") || motet_word_is(words, count, next, "less"));
}

void motet_prompt_players(motet_facts *facts, const motet_word *words, int count) {
    reader r = {WANTED, 0};
    int last = -1; /* where the name before ended */
    for (int at = 0; at < count;) {
        players found;
        int used = players_at(&found, words, count, at), freed = frees_at(words, count, at + used);
        if (motet_word_is(words, count, at, "drumless")) {
            found = (players){.programs = {MOTET_PROGRAM_DRUMS}, .count = 1};
            used = freed = 1;
        }
        if (used && freed) {
            add(facts->banned, &facts->banned_count, &found);
            at += used;
            continue;
        }
        if (!used) {
            hear(&r, words, count, at);
            facts->programs_open |= means_more(words, count, at);
            at++;
            continue;
        }
        if (words[at].flags & MOTET_AFTER_STOP ||
            (words[at].flags & MOTET_AFTER_BREAK &&
             !(r.mood == DENIED && or_follows(words, count, at))))
            r = (reader){WANTED, 0};
        if (r.mood == DENIED && !found.part)
            add(facts->banned, &facts->banned_count, &found);
        else if (r.mood == WANTED && !only_mentioned(words, count, at, last))
            add(facts->programs, &facts->program_count, &found);
        r.distance = 0;
        last = at += used;
    }
    /* "no piano, only strings" names piano to keep it out. */
    int kept = 0;
    for (int i = 0; i < facts->program_count; i++)
        if (!contains(facts->banned, facts->banned_count, facts->programs[i]))
            facts->programs[kept++] = facts->programs[i];
    facts->program_count = kept;
}
