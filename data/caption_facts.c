/* caption_facts: key, metre, tempo, length, instruments and texture in words. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/caption_parts.h"
#include "data/instrument.h"

#define SAY(slot, ...) snprintf(slots->text[MOTET_SLOT_##slot], MOTET_SLOT_BYTES, __VA_ARGS__)

static const char *number_word(int n) {
    static const char *const words[] = {"zero",  "one",   "two",  "three", "four",   "five",  "six",
                                        "seven", "eight", "nine", "ten",   "eleven", "twelve"};
    if (n >= 0 && n <= 12) return words[n];
    return n == 16   ? "sixteen"
           : n == 20 ? "twenty"
           : n == 24 ? "twenty-four"
           : n == 32 ? "thirty-two"
           : n == 64 ? "sixty-four"
                     : NULL;
}

/* "Bb", "B flat", "B-flat", and now and then the other name of a black key. */
static void spell_tonic(char out[16], int key, motet_rng *rng) {
    const char *name = motet_key_name(key);
    char letter = name[0], accidental = name[1];
    if (accidental != ' ' && motet_chance(rng, 8)) { /* enharmonic twin */
        letter = accidental == 'b' ? (char)(letter == 'A' ? 'G' : letter - 1)
                                   : (char)(letter == 'G' ? 'A' : letter + 1);
        accidental = accidental == 'b' ? '#' : 'b';
    }
    if (accidental == ' ')
        snprintf(out, 16, "%c", letter);
    else if (motet_chance(rng, 60))
        snprintf(out, 16, "%c%c", letter, accidental);
    else
        snprintf(out, 16, "%c%c%s", letter, motet_chance(rng, 50) ? ' ' : '-',
                 accidental == 'b' ? "flat" : "sharp");
}

static void say_key(motet_slots *slots, const motet_analysis *analysis, motet_rng *rng) {
    if (analysis->key >= 24 || analysis->key_clearness < MOTET_CLEAR_KEY) return;
    char tonic[16];
    spell_tonic(tonic, analysis->key, rng);
    int minor = analysis->key >= 12;
    const char *mode = minor ? "minor" : "major";
    int short_name = motet_chance(rng, 12);
    if (short_name && minor && tonic[1] != ' ' && tonic[1] != '-')
        SAY(KEYNAME, "%s%s", tonic, motet_chance(rng, 60) ? "m" : " min");
    else if (short_name && !minor)
        SAY(KEYNAME, "%s maj", tonic);
    else
        SAY(KEYNAME, "%s %s", tonic, mode);
    int form = (int)motet_rng_below(rng, 10);
    if (form < 7)
        SAY(KEY, "%s %s", tonic, mode);
    else if (form < 9 || minor)
        SAY(KEY, "the key of %s %s", tonic, mode);
    else
        SAY(KEY, "the key of %s", tonic);
}

static void say_metre(motet_slots *slots, const motet_score *score, const motet_analysis *analysis,
                      motet_rng *rng) {
    int n = analysis->metre_numerator, d = analysis->metre_denominator;
    int32_t same = 0;
    for (int32_t b = 0; b < score->bar_count; b++)
        same += score->bars[b].numerator == n && score->bars[b].denominator == d;
    if (same * 10 < score->bar_count * 7) return; /* it changes too often to be named */
    const char *top = number_word(n), *bottom = d == 16 ? NULL : number_word(d);
    SAY(METRENAME, "%d/%d", n, d);
    int form = (int)motet_rng_below(rng, 10);
    if (form >= 9 && n == 4 && d == 4)
        SAY(METRE, "common time");
    else if (form >= 8 && n == 3 && d == 4)
        SAY(METRE, "waltz time");
    else if (form >= 8 && n == 2 && d == 2)
        SAY(METRE, motet_chance(rng, 60) ? "cut time" : "alla breve");
    else if (form >= 6 && top && bottom)
        SAY(METRE, motet_chance(rng, 50) ? "%s-%s" : "%s-%s time", top, bottom);
    else
        SAY(METRE, form < 4 ? "%d/%d" : "%d/%d time", n, d);
    if (motet_chance(rng, 10) && top && bottom) SAY(METRENAME, "%s-%s", top, bottom);
}

/* Words for a pace and the tempos that all listeners would grant them. */
static const struct {
    const char *word;
    int from, below; /* bpm */
} paces[] = {
    {"very slow", 0, 58},   {"slow", 0, 84},           {"slow", 0, 84},
    {"slow", 0, 84},        {"leisurely", 54, 96},     {"unhurried", 60, 96},
    {"relaxed", 60, 100},   {"moderate", 88, 122},     {"medium", 88, 122},
    {"mid-tempo", 88, 122}, {"walking-pace", 84, 112}, {"moderately fast", 114, 140},
    {"lively", 118, 200},   {"upbeat", 118, 180},      {"brisk", 122, 190},
    {"up-tempo", 130, 220}, {"quick", 132, 240},       {"fast", 128, 999},
    {"fast", 128, 999},     {"fast", 128, 999},        {"very fast", 172, 1001},
    {"rapid", 160, 1001},
};

static void say_tempo(motet_slots *slots, const motet_score *score, const motet_analysis *analysis,
                      motet_rng *rng) {
    int bin = motet_tempo_bin(analysis->tempo_bpm);
    int32_t near = 0;
    for (int32_t b = 0; b < score->bar_count; b++)
        near += abs(motet_tempo_bin(score->bars[b].tempo_bpm) - bin) <= 1;
    if (near * 10 < score->bar_count * 6) return; /* too free to be named */
    int bpm = (int)lround(analysis->tempo_bpm), fives = (bpm + 2) / 5 * 5;
    static const char *const about[] = {"about", "around", "roughly"};
    int form = (int)motet_rng_below(rng, 10);
    if (bpm >= 16 && bpm <= 256) { /* what events can hold */
        if (form < 5)
            SAY(TEMPO, motet_chance(rng, 80) ? "%d bpm" : "%d BPM", bpm);
        else if (form < 7 && fives >= 50)
            SAY(TEMPO, "%s %d bpm", MOTET_PICK(rng, about), fives);
        else
            SAY(TEMPO, form < 9 ? "a tempo of %d" : "%d beats per minute", bpm);
        SAY(BPM, motet_chance(rng, 80) ? "%d bpm" : "%d beats per minute", bpm);
    }

    int fitting[sizeof paces / sizeof *paces], count = 0;
    for (int i = 0; i < (int)(sizeof paces / sizeof *paces); i++)
        if (bpm >= paces[i].from && bpm < paces[i].below) fitting[count++] = i;
    if (count == 0) return;
    const char *pace = paces[fitting[motet_rng_below(rng, (uint32_t)count)]].word;
    static const char *const speeds[] = {"tempo", "pace", "speed"};
    if (!strstr(pace, "pace") && !strstr(pace, "tempo"))
        SAY(SPEED, "\x02 %s %s", pace, MOTET_PICK(rng, speeds));
    SAY(PACE, "%s", motet_chance(rng, 15) ? motet_tempo_word(bpm) : pace);
}

static void say_length(motet_slots *slots, const motet_score *score, const motet_analysis *analysis,
                       motet_rng *rng) {
    int bars = score->bar_count;
    const char *word = number_word(bars);
    const char *unit = motet_chance(rng, 80) ? "bar" : "measure";
    if (word && motet_chance(rng, 30)) {
        SAY(BARS, "%s %s%s", word, unit, bars == 1 ? "" : "s");
        SAY(NBAR, "%s-%s", word, unit);
    } else {
        SAY(BARS, "%d %s%s", bars, unit, bars == 1 ? "" : "s");
        SAY(NBAR, motet_chance(rng, 80) ? "%d-%s" : "%d %s", bars, unit);
    }
    static const char *const small[] = {"short", "short", "brief", "little"};
    static const char *const large[] = {"long", "long", "extended"};
    if (bars <= 8 || analysis->seconds < 15) SAY(SIZE, "%s", MOTET_PICK(rng, small));
    if (bars >= 64 && analysis->seconds > 120) SAY(SIZE, "%s", MOTET_PICK(rng, large));
    int seconds = (int)lround(analysis->seconds);
    if (seconds >= 20 && seconds < 100) SAY(SECONDS, "%d seconds", (seconds + 2) / 5 * 5);
    if (seconds >= 150 && seconds < 600) SAY(SECONDS, "%d minutes", (seconds + 30) / 60);
}

typedef struct player {
    int program, notes;
    const char *word;
} player;

static int by_notes(const void *left, const void *right) {
    const player *a = left, *b = right;
    return a->notes != b->notes ? (a->notes < b->notes ? 1 : -1) : a->program - b->program;
}

/* The nickname mostly, else a synonym; tables put the usual ones first. */
static const char *instrument_word(int program, motet_rng *rng) {
    int words = 0;
    while (words < 32 && motet_program_word(program, words))
        words++;
    if (words < 2 || motet_chance(rng, 60)) return motet_program_nickname(program);
    int limit = 1 + (int)motet_rng_below(rng, (uint32_t)words);
    return motet_program_word(program, (int)motet_rng_below(rng, (uint32_t)limit));
}

/* Adds to a slot what fits whole; 0 if it did not fit. */
static int add(char *slot, const char *text) {
    size_t used = strlen(slot), more = strlen(text);
    if (used + more + 1 > MOTET_SLOT_BYTES) return 0;
    memcpy(slot + used, text, more + 1);
    return 1;
}

static void join(char *slot, const player *players, int count, const char *last_joint) {
    for (int i = 0; i < count; i++) {
        if (i && !add(slot, i + 1 < count ? ", " : last_joint)) break;
        if (!add(slot, players[i].word)) {
            slot[0] = 0; /* half a list would not be the whole truth */
            return;
        }
    }
}

static void say_ensemble(motet_slots *slots, const motet_analysis *analysis, int count,
                         motet_rng *rng) {
    const struct motet_program_use *use = analysis->programs;
    int violins = use[40].notes > 0, violas = use[41].notes > 0, cellos = use[42].notes > 0;
    int pianos = use[0].notes > 0, drums = use[MOTET_PROGRAM_DRUMS].notes > 0, basses = 0;
    for (int p = 32; p < 40; p++)
        basses += use[p].notes > 0;
    if (count == 3 && violins && violas && cellos)
        SAY(ENSEMBLE, analysis->polyphony > 3.05f ? "string quartet" : "string trio");
    else if (count == 3 && pianos && violins && cellos)
        SAY(ENSEMBLE, "piano trio");
    else if (count == 1 && !drums && analysis->polyphony < 1.02f)
        SAY(ENSEMBLE, motet_chance(rng, 50) ? "unaccompanied melody" : "single-line melody");
    else if (count == 1 && !drums)
        SAY(ENSEMBLE, "solo");
    else if (count == 2 && !drums)
        SAY(ENSEMBLE, motet_chance(rng, 70) ? "duet" : "duo");
    else if (count == 3 && !drums)
        SAY(ENSEMBLE, "trio");
    else if (count >= 3 && drums && basses)
        SAY(ENSEMBLE, motet_chance(rng, 50) ? "band piece" : "band arrangement");
    else if (count == 1 && drums)
        SAY(ENSEMBLE, motet_chance(rng, 50) ? "drum groove" : "drum pattern");
}

static void say_instruments(motet_slots *slots, const motet_analysis *analysis, motet_rng *rng) {
    player players[MOTET_PROGRAMS];
    int count = 0;
    for (int p = 0; p < MOTET_PROGRAMS; p++)
        if (analysis->programs[p].notes > 0)
            players[count++] = (player){p, analysis->programs[p].notes, instrument_word(p, rng)};
    if (count == 0) return;
    say_ensemble(slots, analysis, count, rng);
    qsort(players, (size_t)count, sizeof *players, by_notes);
    int told = count;
    if (count > 4)
        told = 2 + (int)motet_rng_below(rng, 3);
    else if (count > 1 && motet_chance(rng, 20))
        told = 1 + (int)motet_rng_below(rng, (uint32_t)count);
    /* Two programs may share a word: one mention is enough. */
    int kept = 0;
    for (int i = 0; i < told; i++) {
        int known = 0;
        for (int j = 0; j < kept; j++)
            known |= strcmp(players[j].word, players[i].word) == 0;
        if (!known) players[kept++] = players[i];
    }
    for (int i = kept - 1; i > 0 && motet_chance(rng, 50); i--) { /* not always by weight */
        int j = (int)motet_rng_below(rng, (uint32_t)i + 1);
        player swapped = players[i];
        players[i] = players[j];
        players[j] = swapped;
    }
    join(slots->text[MOTET_SLOT_INSTLIST], players, kept, ", ");
    if (count == 1 && players[0].program != MOTET_PROGRAM_DRUMS && motet_chance(rng, 40)) {
        static const char *const solos[] = {"solo %s", "%s solo", "%s alone", "unaccompanied %s"};
        int form = (int)motet_rng_below(rng, 4);
        SAY(INST, solos[form], players[0].word);
        return;
    }
    char *slot = slots->text[MOTET_SLOT_INST];
    join(slot, players, kept,
         motet_chance(rng, 85)   ? " and "
         : motet_chance(rng, 50) ? " & "
                                 : " with ");
    if (slot[0] && told < count && kept > 1 && motet_chance(rng, 30))
        add(slot, motet_chance(rng, 50) ? ", among others" : " and more");
}

static void say_texture(motet_slots *slots, const motet_analysis *analysis, motet_rng *rng) {
    static const char *const thin[] = {"sparse", "sparse", "spare", "uncluttered"};
    static const char *const thick[] = {"busy", "busy", "dense", "note-rich"};
    if (analysis->notes_per_bar <= 5) SAY(DENSITY, "%s", MOTET_PICK(rng, thin));
    if (analysis->notes_per_bar >= 32) SAY(DENSITY, "%s", MOTET_PICK(rng, thick));
    static const char *const much[] = {"lots of repetition", "many repeats", "repeating bars"};
    static const char *const little[] = {"hardly any repetition", "little repetition"};
    if (analysis->repeated_share >= 0.5f) SAY(TEXTURE, "%s", MOTET_PICK(rng, much));
    if (analysis->repeated_share < 0.03f && analysis->bar_count >= 16)
        SAY(TEXTURE, "%s", MOTET_PICK(rng, little));
    if (analysis->bar_count % 4 || analysis->bar_count < 8 || analysis->bar_count > 24) return;
    char letters[8] = "";
    int phrases = analysis->bar_count / 4, repeated = 0;
    for (int i = 0; i < phrases; i++) {
        int section = analysis->bars[4 * i].section;
        if (section == MOTET_SECTION_NONE || analysis->bars[4 * i + 3].section != section) return;
        letters[i] = (char)('A' + section);
        for (int j = 0; j < i; j++)
            repeated |= letters[j] == letters[i];
    }
    if (repeated && motet_chance(rng, 60)) SAY(TEXTURE, "\x02 %s form", letters);
}

void motet_caption_facts(motet_slots *slots, const motet_score *score,
                         const motet_analysis *analysis, motet_rng *rng) {
    say_key(slots, analysis, rng);
    say_metre(slots, score, analysis, rng);
    say_tempo(slots, score, analysis, rng);
    say_length(slots, score, analysis, rng);
    say_instruments(slots, analysis, rng);
    say_texture(slots, analysis, rng);
}
