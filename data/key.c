/* key: names of keys, and the key that a score is in. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "data/analysis_parts.h"

const char *motet_key_name(int key) {
    static const char *const names[24] = {"C major",  "Db major", "D major",  "Eb major", "E major",
                                          "F major",  "F# major", "G major",  "Ab major", "A major",
                                          "Bb major", "B major",  "C minor",  "C# minor", "D minor",
                                          "Eb minor", "E minor",  "F minor",  "F# minor", "G minor",
                                          "G# minor", "A minor",  "Bb minor", "B minor"};
    return key >= 0 && key < 24 ? names[key] : "no key";
}

int motet_key_signature(int key) {
    static const int8_t sharps[24] = {0,  -5, 2,  -3, 4, -1, 6, 1,  -4, 3, -2, 5,
                                      -3, 4,  -1, -6, 1, -4, 3, -2, 5,  0, -5, 2};
    return key >= 0 && key < 24 ? sharps[key] : 0;
}

/* Skips blanks and hyphens. */
static const char *skip_gap(const char *text) {
    while (*text == ' ' || *text == '\t' || *text == '-' || *text == '_')
        text++;
    return text;
}

/* After the word, if text starts with it in any case and no letter follows; else NULL. */
static const char *after_word(const char *text, const char *word) {
    size_t length = strlen(word);
    for (size_t i = 0; i < length; i++)
        if (tolower((unsigned char)text[i]) != word[i]) return NULL;
    return isalpha((unsigned char)text[length]) ? NULL : text + length;
}

int motet_key_parse(const char *text) {
    static const int8_t naturals[7] = {9, 11, 0, 2, 4, 5, 7}; /* A..G */
    if (!text) return MOTET_NO_KEY;
    while (isspace((unsigned char)*text))
        text++;
    int letter = tolower((unsigned char)*text);
    if (letter < 'a' || letter > 'g') return MOTET_NO_KEY;
    int root = naturals[letter - 'a'];
    text++;
    const char *rest;
    if (*text == '#') {
        root++, text++;
    } else if (*text == 'b' || *text == 'B') {
        root--, text++;
    } else if (strncmp(text, "\xe2\x99\xaf", 3) == 0) { /* U+266F */
        root++, text += 3;
    } else if (strncmp(text, "\xe2\x99\xad", 3) == 0) { /* U+266D */
        root--, text += 3;
    } else if ((rest = after_word(skip_gap(text), "sharp"))) {
        root++, text = rest;
    } else if ((rest = after_word(skip_gap(text), "flat"))) {
        root--, text = rest;
    }
    static const struct {
        const char *word;
        int minor;
    } modes[] = {{"major", 0}, {"maj", 0}, {"dur", 0}, {"minor", 1}, {"min", 1}, {"moll", 1}};
    const char *mode = skip_gap(text), *end = mode;
    int minor = 0;
    if (mode[0] == 'M' && !isalpha((unsigned char)mode[1])) {
        end = mode + 1;
    } else if (mode[0] == 'm' && !isalpha((unsigned char)mode[1])) {
        minor = 1;
        end = mode + 1;
    } else {
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
            if ((rest = after_word(mode, modes[i].word))) {
                minor = modes[i].minor;
                end = rest;
                break;
            }
    }
    while (isspace((unsigned char)*end))
        end++;
    if (*end) return MOTET_NO_KEY;
    return (root + 12) % 12 + 12 * minor;
}

unsigned motet_key_scale(int key) {
    if (key < 0 || key >= 24) return 0xfff;
    /* major: 0 2 4 5 7 9 11; minor: 0 2 3 5 7 8 9 10 11 */
    unsigned scale = key < 12 ? 0xab5 : 0xfad;
    int tonic = key % 12;
    return (scale << tonic | scale >> (12 - tonic)) & 0xfff;
}

/* How well each pitch class, from the tonic up, fits a major and a minor key: the probe-tone
 * ratings of Krumhansl & Kessler (1982) as revised by Temperley ("What's key for key?", Music
 * Perception 17, 1999), who raised the leading note and lowered the minor seventh. */
static const double profiles[2][12] = {{5, 2, 3.5, 2, 4.5, 4, 2, 4.5, 2, 3.5, 1.5, 4},
                                       {5, 2, 3.5, 4.5, 2, 4, 2, 4.5, 3.5, 2, 1.5, 4}};

static double correlation(const double weight[12], const double profile[12], int tonic) {
    double mean_w = 0, mean_p = 0, ww = 0, pp = 0, wp = 0;
    for (int i = 0; i < 12; i++)
        mean_w += weight[i] / 12, mean_p += profile[i] / 12;
    for (int i = 0; i < 12; i++) {
        double w = weight[(i + tonic) % 12] - mean_w, p = profile[i] - mean_p;
        ww += w * w, pp += p * p, wp += w * p;
    }
    return ww > 0 ? wp / sqrt(ww * pp) : 0;
}

/* The pitch classes that sound at a tick, and the lowest pitch; -1 if none does. Notes that start
 * after it are not looked at. */
static int chord_at(unsigned *classes, const motet_score *score, int32_t tick) {
    int lowest = -1;
    *classes = 0;
    for (int32_t i = 0; i < score->note_count && score->notes[i].start_ticks <= tick; i++) {
        const motet_note *note = &score->notes[i];
        if (note->program == MOTET_PROGRAM_DRUMS || motet_heard_end(note) <= tick) continue;
        *classes |= 1u << note->pitch % 12;
        if (lowest < 0 || note->pitch < lowest) lowest = note->pitch;
    }
    return lowest;
}

/* The first bar line at which something with a pitch sounds: an upbeat says little about the key.
 * -1 if there is none. */
static int32_t first_downbeat(const motet_score *score, int32_t first_onset) {
    for (int32_t b = 0; b < score->bar_count; b++)
        if (score->bars[b].start_ticks >= first_onset) {
            unsigned classes;
            int32_t start = score->bars[b].start_ticks;
            return chord_at(&classes, score, start) >= 0 ? start : -1;
        }
    return -1;
}

int motet_key_find(float *clearness, const motet_score *score) {
    double weight[12] = {0};
    int32_t first = -1, last = -1; /* onsets */
    for (int32_t i = 0; i < score->note_count; i++) {
        const motet_note *note = &score->notes[i];
        if (note->program == MOTET_PROGRAM_DRUMS) continue;
        weight[note->pitch % 12] += motet_heard_end(note) - note->start_ticks;
        if (first < 0) first = note->start_ticks;
        last = note->start_ticks;
    }
    *clearness = 0;
    if (first < 0) return MOTET_NO_KEY;

    /* Where a piece ends, and to a lesser degree where it starts, says which note is home. */
    unsigned final_classes, opening_classes = 0;
    int final_bass = chord_at(&final_classes, score, last);
    int32_t downbeat = first_downbeat(score, first);
    int opening_bass = downbeat < 0 ? -1 : chord_at(&opening_classes, score, downbeat);

    /* The bonuses are tuned on chorales, songs and keyboard pieces with a key signature. */
    double best = -9, second = -9;
    int key = 0;
    for (int turn = 0; turn < 24; turn++) {
        int tonic = (final_bass + turn) % 12, k = tonic + turn / 12 * 12;
        int third = (tonic + (k < 12 ? 4 : 3)) % 12;
        int other_third = (tonic + (k < 12 ? 3 : 4)) % 12;
        double fit = correlation(weight, profiles[k / 12], tonic);
        if (final_bass % 12 == tonic) {
            fit += 0.10;
            if (k < 12 && !(final_classes >> third & 1) && final_classes >> other_third & 1)
                fit -= 0.03; /* minor pieces may end in major, major ones hardly in minor */
        }
        if (opening_bass >= 0 && opening_bass % 12 == tonic) {
            fit += 0.10;
            if (opening_classes >> third & 1) fit += 0.05;
        }
        if (score->key != MOTET_NO_KEY) {
            int apart = motet_key_signature(k) - motet_key_signature(score->key);
            if (apart % 12 == 0) fit += 0.28; /* six sharps are six flats */
            if (k == score->key) fit += 0.04;
        }
        /* Ties must not hang on rounding: they go to the final bass and up. */
        fit = rint(fit * 1e9) * 1e-9;
        if (fit > best) {
            second = best;
            best = fit;
            key = k;
        } else if (fit > second) {
            second = fit;
        }
    }
    double lead = best - second;
    *clearness = (float)(lead < 1 ? lead : 1);
    return key;
}
