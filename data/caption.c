/* caption: sentence shapes, and the small engine that fills them with facts.
 *
 * In a shape, {slot} is replaced and its fact is then told; [...] vanishes unless every slot in it
 * is still to be told; <a|b> is one of its plain texts. {np} is a noun phrase, {tail} clauses for
 * some of the facts still untold in any order, {rest} whole sentences for some of what is left,
 * {list} and {fields} all of it as keywords. {A} and {a} become "A" or "An", "a" or "an".
 */
#include "data/caption.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "data/caption_parts.h"

static const struct {
    const char *name;
    motet_fact fact;
} slot_table[MOTET_SLOTS] = {
    [MOTET_SLOT_NOUN] = {"noun", MOTET_FACT_NOUN},
    [MOTET_SLOT_MOOD] = {"mood", MOTET_FACT_MOOD},
    [MOTET_SLOT_PACE] = {"pace", MOTET_FACT_PACE},
    [MOTET_SLOT_SPEED] = {"speed", MOTET_FACT_PACE},
    [MOTET_SLOT_BPM] = {"bpm", MOTET_FACT_BPM},
    [MOTET_SLOT_TEMPO] = {"tempo", MOTET_FACT_BPM},
    [MOTET_SLOT_KEY] = {"key", MOTET_FACT_KEY},
    [MOTET_SLOT_KEYNAME] = {"keyname", MOTET_FACT_KEY},
    [MOTET_SLOT_METRE] = {"metre", MOTET_FACT_METRE},
    [MOTET_SLOT_METRENAME] = {"metrename", MOTET_FACT_METRE},
    [MOTET_SLOT_BARS] = {"bars", MOTET_FACT_BARS},
    [MOTET_SLOT_NBAR] = {"nbar", MOTET_FACT_BARS},
    [MOTET_SLOT_SIZE] = {"size", MOTET_FACT_SIZE},
    [MOTET_SLOT_SECONDS] = {"seconds", MOTET_FACT_SIZE},
    [MOTET_SLOT_INST] = {"inst", MOTET_FACT_INST},
    [MOTET_SLOT_INSTLIST] = {"instlist", MOTET_FACT_INST},
    [MOTET_SLOT_ENSEMBLE] = {"ensemble", MOTET_FACT_ENSEMBLE},
    [MOTET_SLOT_STYLE] = {"style", MOTET_FACT_STYLE},
    [MOTET_SLOT_COMPOSER] = {"composer", MOTET_FACT_STYLE},
    [MOTET_SLOT_DENSITY] = {"density", MOTET_FACT_DENSITY},
    [MOTET_SLOT_TEXTURE] = {"texture", MOTET_FACT_TEXTURE},
};

/* How often a fact is told when it could be, in percent. */
static const uint8_t told_percent[MOTET_FACTS] = {
    [MOTET_FACT_NOUN] = 100,    [MOTET_FACT_MOOD] = 60,  [MOTET_FACT_PACE] = 40,
    [MOTET_FACT_BPM] = 40,      [MOTET_FACT_KEY] = 55,   [MOTET_FACT_METRE] = 42,
    [MOTET_FACT_BARS] = 35,     [MOTET_FACT_SIZE] = 20,  [MOTET_FACT_INST] = 80,
    [MOTET_FACT_ENSEMBLE] = 15, [MOTET_FACT_STYLE] = 40, [MOTET_FACT_DENSITY] = 20,
    [MOTET_FACT_TEXTURE] = 15,
};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

typedef struct writer {
    char text[MOTET_CAPTION_BYTES];
    int used, overflow;
    const motet_slots *slots;
    uint8_t open[MOTET_FACTS]; /* chosen and not yet told */
    motet_rng *rng;
} writer;

static void put(writer *w, const char *text, int length) {
    if (w->used + length >= (int)sizeof w->text) {
        w->overflow = 1;
        return;
    }
    memcpy(w->text + w->used, text, (size_t)length);
    w->used += length;
}

int motet_caption_slot(const char *name, int length) {
    for (int s = 0; s < MOTET_SLOTS; s++)
        if ((int)strlen(slot_table[s].name) == length &&
            memcmp(name, slot_table[s].name, (size_t)length) == 0)
            return s;
    return -1;
}

/* Whether every slot between the two ends can be filled, not looking into [...]. */
static int can_fill(const writer *w, const char *text, const char *end) {
    uint8_t wanted[MOTET_FACTS] = {0};
    for (; text < end; text++) {
        if (*text == '[') text = memchr(text, ']', (size_t)(end - text));
        if (*text != '{') continue;
        const char *close = memchr(text, '}', (size_t)(end - text));
        int slot = motet_caption_slot(text + 1, (int)(close - text - 1));
        if (slot >= 0) {
            motet_fact fact = slot_table[slot].fact;
            if (!w->open[fact] || !w->slots->text[slot][0] || wanted[fact]++) return 0;
        }
        text = close;
    }
    return 1;
}

static void expand(writer *w, const char *text, const char *end);

static void expand_all(writer *w, const char *text) {
    expand(w, text, text + strlen(text));
}

static const char *pick_shape(motet_rng *rng, motet_shape_kind kind) {
    return motet_pick(rng, motet_caption_shapes[kind].entries, motet_caption_shapes[kind].count);
}

/* The entries of a table in random order, each tried once. */
static void shuffled(int *order, int count, motet_rng *rng) {
    for (int i = 0; i < count; i++) {
        int j = (int)motet_rng_below(rng, (uint32_t)i + 1);
        if (j != i) order[i] = order[j];
        order[j] = i;
    }
}

/* Expands what can be filled, each with the given chance; between goes before all but the first. */
static void expand_some(writer *w, motet_shape_kind kind, int percent, const char *between) {
    const motet_shape_table *table = &motet_caption_shapes[kind];
    int order[MOTET_MAX_SHAPES], told = 0;
    shuffled(order, table->count, w->rng);
    for (int i = 0; i < table->count; i++) {
        const char *entry = table->entries[order[i]];
        if (!can_fill(w, entry, entry + strlen(entry)) || !motet_chance(w->rng, percent)) continue;
        writer before = *w;
        if (told) put(w, between, (int)strlen(between));
        expand_all(w, entry);
        if (w->overflow) /* what does not fit whole is not said at all */
            *w = before;
        else
            told++;
    }
}

static void expand_name(writer *w, const char *name, int length) {
    static const char *const separators[] = {", ", ", ", ", ", "; ", " / ", " - ", " | "};
    static const char *const lines[] = {", ", "; ", ". "};
    int slot = motet_caption_slot(name, length);
    if (slot >= 0) {
        put(w, w->slots->text[slot], (int)strlen(w->slots->text[slot]));
        w->open[slot_table[slot].fact] = 0;
    } else if (length == 1) {
        put(w, *name == 'A' ? "\x01" : "\x02", 1);
    } else if (memcmp(name, "np", 2) == 0) {
        const char *phrase;
        do
            phrase = pick_shape(w->rng, MOTET_SHAPE_PHRASES);
        while (!can_fill(w, phrase, phrase + strlen(phrase)));
        expand_all(w, phrase);
    } else if (memcmp(name, "tail", 4) == 0) {
        expand_some(w, MOTET_SHAPE_CLAUSES, 75, "");
    } else if (memcmp(name, "rest", 4) == 0) {
        expand_some(w, MOTET_SHAPE_SENTENCES, 60, "");
    } else if (memcmp(name, "list", 4) == 0) {
        expand_some(w, MOTET_SHAPE_KEYWORDS, 90, MOTET_PICK(w->rng, separators));
    } else {
        expand_some(w, MOTET_SHAPE_FIELDS, 95, MOTET_PICK(w->rng, lines));
    }
}

static void expand(writer *w, const char *text, const char *end) {
    while (text < end) {
        size_t left = (size_t)(end - text);
        if (*text == '[') {
            const char *close = memchr(text, ']', left);
            if (can_fill(w, text + 1, close)) expand(w, text + 1, close);
            text = close + 1;
        } else if (*text == '<') {
            const char *close = memchr(text, '>', left), *start = text + 1, *chosen = start;
            const char *chosen_end = close;
            int seen = 0;
            for (const char *p = start; p <= close; p++) { /* one of them, evenly */
                if (p < close && *p != '|') continue;
                if (motet_rng_below(w->rng, (uint32_t)++seen) == 0) chosen = start, chosen_end = p;
                start = p + 1;
            }
            expand(w, chosen, chosen_end);
            text = close + 1;
        } else if (*text == '{') {
            const char *close = memchr(text, '}', left);
            expand_name(w, text + 1, (int)(close - text - 1));
            text = close + 1;
        } else {
            put(w, text++, 1);
        }
    }
}

/* "an" before a vowel's sound: letters, and the numbers that start with one. */
static int wants_an(const char *next) {
    static const char *const consonants[] = {"one", "uni", "use", "euro", "uku"};
    char lower[5] = "";
    for (int i = 0; i < 4 && next[i]; i++)
        lower[i] = (char)tolower((unsigned char)next[i]);
    for (int i = 0; i < COUNT(consonants); i++)
        if (strncmp(lower, consonants[i], strlen(consonants[i])) == 0) return 0;
    if (isdigit((unsigned char)lower[0])) {
        int digits = (int)strspn(next, "0123456789");
        return lower[0] == '8' ||
               (digits == 2 && (!strncmp(next, "11", 2) || !strncmp(next, "18", 2)));
    }
    if (isalpha((unsigned char)lower[0]) && !isalpha((unsigned char)lower[1])) /* a letter's name */
        return strchr("aefhilmnorsx", lower[0]) != NULL;
    if ((lower[1] == '#' || lower[1] == 'b') && (lower[2] == ' ' || lower[2] == 'm'))
        return strchr("aef", lower[0]) != NULL;
    if (lower[1] == 'm' && lower[2] == ' ') return strchr("aef", lower[0]) != NULL; /* "Fm" */
    return lower[0] && strchr("aeiou", lower[0]) != NULL;
}

/* Resolves articles, capitals and the odd blank before punctuation into buffer. */
static void finish(char buffer[MOTET_CAPTION_BYTES], writer *w, int lower_case) {
    int out = 0, start = 1;
    w->text[w->used] = 0;
    for (const char *p = w->text; *p && out + 4 < MOTET_CAPTION_BYTES; p++) {
        char c = *p;
        if (c == '\x01' || c == '\x02') {
            buffer[out++] = start && !lower_case ? 'A' : 'a';
            if (wants_an(p + 2)) buffer[out++] = 'n';
            start = 0;
            continue;
        }
        if (lower_case)
            c = (char)((unsigned char)c < 0x80 ? tolower((unsigned char)c) : c);
        else if (start && (unsigned char)c < 0x80)
            c = (char)toupper((unsigned char)c);
        buffer[out++] = c;
        if (c != ' ') start = (c == '.' || c == '?') && p[1] == ' ';
    }
    buffer[out] = 0;
}

/* Ready-made text, half of the time. */
static int use_ready_made(char buffer[MOTET_CAPTION_BYTES], const motet_labels *labels,
                          motet_rng *rng) {
    if (!labels || !labels->caption) return 0;
    motet_caption_clean(buffer, labels->caption, MOTET_CAPTION_BYTES);
    return buffer[0] && motet_chance(rng, 50);
}

/* A random stream for the piece, so that one seed gives two pieces two different sentences. */
static uint64_t stream_of(const motet_score *score) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a over the first notes */
    int32_t notes = score->note_count < 64 ? score->note_count : 64;
    for (int32_t i = 0; i < notes; i++) {
        hash = (hash ^ (uint64_t)score->notes[i].start_ticks) * 0x100000001b3u;
        hash = (hash ^ score->notes[i].pitch) * 0x100000001b3u;
    }
    return (hash ^ (uint64_t)score->note_count) * 0x100000001b3u;
}

motet_status motet_caption_write(char buffer[MOTET_CAPTION_BYTES], const motet_score *score,
                                 const motet_analysis *analysis, const motet_labels *labels,
                                 uint64_t seed) {
    if (score->bar_count < 1 || analysis->bar_count != score->bar_count)
        return MOTET_FAIL(MOTET_E_USAGE, "a caption needs a score and the analysis of that score");
    motet_rng rng = motet_rng_make(seed, stream_of(score));
    if (use_ready_made(buffer, labels, &rng)) return MOTET_OK;
    motet_slots slots;
    memset(&slots, 0, sizeof slots);
    motet_caption_facts(&slots, score, analysis, &rng);
    motet_caption_labels(&slots, analysis, labels, &rng);
    writer w = {.slots = &slots, .rng = &rng};
    for (int f = 0; f < MOTET_FACTS; f++)
        w.open[f] = (uint8_t)motet_chance(&rng, told_percent[f]);
    if (score->bar_count > 64 && !motet_chance(&rng, 25))
        w.open[MOTET_FACT_BARS] = 0; /* rarely asked */
    if (!w.open[MOTET_FACT_INST] && !w.open[MOTET_FACT_KEY] && !w.open[MOTET_FACT_METRE])
        w.open[MOTET_FACT_INST] = w.open[MOTET_FACT_BPM] = 1; /* never about nothing */
    const writer fresh = w;
    for (int tries = 0;; tries++) {
        const char *shape =
            tries < 50 ? pick_shape(&rng, MOTET_SHAPE_CAPTIONS)
                       : motet_caption_shapes[MOTET_SHAPE_CAPTIONS].entries[0]; /* always fits */
        w = fresh;
        if (!can_fill(&w, shape, shape + strlen(shape))) continue;
        expand_all(&w, shape);
        int told = 0;
        for (int f = MOTET_FACT_NOUN + 1; f < MOTET_FACTS; f++)
            told += fresh.open[f] > w.open[f];
        if (!w.overflow && ((told > 0 && w.used >= 8) || tries >= 50)) break;
    }
    int lower_case = motet_chance(&rng, 35);
    finish(buffer, &w, lower_case);
    if (lower_case && motet_chance(&rng, 50)) { /* people leave the full stop out */
        size_t length = strlen(buffer);
        if (length && buffer[length - 1] == '.') buffer[length - 1] = 0;
    }
    return MOTET_OK;
}
