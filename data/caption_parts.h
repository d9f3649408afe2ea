/* caption_parts: the facts of a piece as words, private to the caption writer.
 *
 * A caption is made in two steps. caption_facts.c and caption_labels.c spell what is true of a
 * piece as slots, each a few words in one of several spellings; a random part of them is kept.
 * caption.c then picks a sentence shape of caption_shapes.c and fills in slots until the facts are
 * told.
 */
#ifndef MOTET_DATA_CAPTION_PARTS_H
#define MOTET_DATA_CAPTION_PARTS_H

#include "data/caption.h"

/* Every slot belongs to one fact; a fact is told once. */
typedef enum motet_slot {
    MOTET_SLOT_NOUN,      /* "waltz", "piece": always there */
    MOTET_SLOT_MOOD,      /* adjective: "cheerful" */
    MOTET_SLOT_PACE,      /* adjective: "slow", "andante" */
    MOTET_SLOT_SPEED,     /* after "at": "a slow tempo" */
    MOTET_SLOT_BPM,       /* "96 bpm" */
    MOTET_SLOT_TEMPO,     /* after "at": "96 bpm", "about 95 bpm" */
    MOTET_SLOT_KEY,       /* after "in": "D minor", "the key of G" */
    MOTET_SLOT_KEYNAME,   /* "D minor", "Dm" */
    MOTET_SLOT_METRE,     /* after "in": "3/4 time", "six-eight" */
    MOTET_SLOT_METRENAME, /* "3/4" */
    MOTET_SLOT_BARS,      /* "16 bars" */
    MOTET_SLOT_NBAR,      /* adjective: "16-bar" */
    MOTET_SLOT_SIZE,      /* adjective: "short" */
    MOTET_SLOT_SECONDS,   /* "30 seconds" */
    MOTET_SLOT_INST,      /* after "for": "piano and cello", "solo flute" */
    MOTET_SLOT_INSTLIST,  /* "piano, cello" */
    MOTET_SLOT_ENSEMBLE,  /* noun: "duet", "string quartet" */
    MOTET_SLOT_STYLE,     /* "in the style of Schubert" */
    MOTET_SLOT_COMPOSER,  /* "Schubert" */
    MOTET_SLOT_DENSITY,   /* adjective: "sparse" */
    MOTET_SLOT_TEXTURE,   /* after "with": "lots of repetition" */
    MOTET_SLOTS
} motet_slot;

typedef enum motet_fact {
    MOTET_FACT_NOUN,
    MOTET_FACT_MOOD,
    MOTET_FACT_PACE,
    MOTET_FACT_BPM,
    MOTET_FACT_KEY,
    MOTET_FACT_METRE,
    MOTET_FACT_BARS,
    MOTET_FACT_SIZE,
    MOTET_FACT_INST,
    MOTET_FACT_ENSEMBLE,
    MOTET_FACT_STYLE,
    MOTET_FACT_DENSITY,
    MOTET_FACT_TEXTURE,
    MOTET_FACTS
} motet_fact;

#define MOTET_SLOT_BYTES 120

typedef struct motet_slots {
    char text[MOTET_SLOTS][MOTET_SLOT_BYTES]; /* "" where there is nothing to say */
} motet_slots;

/* caption.c: the slot of a name as shapes write it ("keyname"), or -1. */
int motet_caption_slot(const char *name, int length);

/* caption_shapes.c: what sentences look like. */
typedef enum motet_shape_kind {
    MOTET_SHAPE_CAPTIONS,  /* whole captions; the first needs no fact */
    MOTET_SHAPE_PHRASES,   /* noun phrases without article */
    MOTET_SHAPE_CLAUSES,   /* what may follow a noun phrase */
    MOTET_SHAPE_SENTENCES, /* what may follow a sentence */
    MOTET_SHAPE_KEYWORDS,
    MOTET_SHAPE_FIELDS, /* "key: D minor" */
    MOTET_SHAPE_TABLES
} motet_shape_kind;

#define MOTET_MAX_SHAPES 64 /* entries of one table */

typedef struct motet_shape_table {
    const char *const *entries;
    int count;
} motet_shape_table;

extern const motet_shape_table motet_caption_shapes[MOTET_SHAPE_TABLES];

/* A key below this clearness is not worth stating: on chorales, songs and keyboard pieces the
 * analysis misses the signature of a third of those below and of a tenth of those above. */
#define MOTET_CLEAR_KEY 0.10f

/* caption_facts.c: the slots that the notes alone support. \x02 stands for "a" or "an". */
void motet_caption_facts(motet_slots *slots, const motet_score *score,
                         const motet_analysis *analysis, motet_rng *rng);

/* caption_labels.c: the slots that labels support; label text is cleaned of controls, broken UTF-8
 * and length. Sets the noun in any case. */
void motet_caption_labels(motet_slots *slots, const motet_analysis *analysis,
                          const motet_labels *labels, motet_rng *rng);

/* caption_labels.c: one line of clean UTF-8 of at most size - 1 bytes, cut at a word's end. */
void motet_caption_clean(char *out, const char *text, int size);

/* One of count words. */
static inline const char *motet_pick(motet_rng *rng, const char *const *words, int count) {
    return words[motet_rng_below(rng, (uint32_t)count)];
}
#define MOTET_PICK(rng, words) motet_pick((rng), (words), (int)(sizeof(words) / sizeof *(words)))

/* True with the probability percent / 100. */
static inline int motet_chance(motet_rng *rng, int percent) {
    return (int)motet_rng_below(rng, 100) < percent;
}

#endif
