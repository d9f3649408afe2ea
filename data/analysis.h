/* analysis: what can be heard in a score. A pure function of its notes, bars and tempos. */
#ifndef MOTET_DATA_ANALYSIS_H
#define MOTET_DATA_ANALYSIS_H

#include "data/events.h"
#include "data/score.h"

/* Values of one bar, as BAR events spell them. */
typedef struct motet_bar_analysis {
    uint8_t chord;   /* 0..MOTET_CHORD_NONE */
    uint8_t section; /* 0..MOTET_SECTION_NONE */
    uint8_t echo;    /* the nearest earlier bar that this one repeats: 0..MOTET_ECHOES-1 */
    uint16_t notes;
} motet_bar_analysis;

typedef struct motet_analysis {
    motet_bar_analysis *bars; /* score->bar_count entries, owned */
    int32_t bar_count;
    uint8_t key;         /* 0..23 as in score.h: score->key if the notes bear it out, else the
                            best by profile correlation; MOTET_NO_KEY for drums alone */
    float key_clearness; /* lead of the best key's fit over the second's, 0..1; below 0.1 a guess */
    double tempo_bpm;    /* the tempo that most of the time has, quarters a minute */
    const char *tempo_word;                     /* "adagio", "andante", ... static */
    uint8_t metre_numerator, metre_denominator; /* of most bars */
    float notes_per_bar;                        /* mean over bars that are not silent */
    uint8_t density;                            /* motet_density_level of that */
    float out_of_key_share;                     /* of melodic notes' time outside the key's scale */
    float silent_share;                         /* bars without a note */
    float polyphony;                            /* mean notes sounding while any sounds, no drums */
    float repeated_share;                       /* bars with an echo */
    double seconds;
    struct motet_program_use {
        int32_t notes;
        uint8_t lowest, highest;
    } programs[MOTET_PROGRAMS]; /* notes 0: not used */
} motet_analysis;

/* Key by correlation with key profiles (Krumhansl & Kessler 1982, values of Temperley 1999) plus
 * bonuses for the last and first bass note and for the signature that score->key has. Minor scales
 * have both sixths and sevenths. Chords by template matching on duration-weighted pitch classes
 * with the bass; they do not depend on the key. Echo by the Jaccard similarity (>= 0.8) of the
 * (position, program, pitch) sets of two bars of one length; silent bars have none. Sections are
 * phrases of four bars, counted from behind a pickup bar: one that resembles an earlier one (mean
 * similarity of its bars >= 0.5) takes its letter, else the next letter; none after H and for
 * silence. All of it moves along when the music is transposed. Linear in the notes.
 * MOTET_E_USAGE without bars or with a note out of range. Free with motet_analysis_free. */
motet_status motet_analyse(motet_analysis *analysis, const motet_score *score);
void motet_analysis_free(motet_analysis *analysis);

/* "D minor", "F# major"; "no key" for MOTET_NO_KEY. Static. */
const char *motet_key_name(int key);
/* Reads "D minor", "Bb", "f# min", "Dm", "C-sharp major", any case; MOTET_NO_KEY if it is none. */
int motet_key_parse(const char *text);
/* Sharps (> 0) or flats (< 0) of the key signature, -6..6; 0 for MOTET_NO_KEY. */
int motet_key_signature(int key);
/* The Italian word of a tempo in quarters a minute, static: grave < 40, largo < 60, larghetto < 66,
 * adagio < 76, andante < 108, moderato < 120, allegro < 156, vivace < 176, presto < 200,
 * prestissimo. */
const char *motet_tempo_word(double bpm);

#endif
