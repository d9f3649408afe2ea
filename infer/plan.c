#include "infer/plan.h"

#include <math.h>
#include <string.h>

#include "infer/prompt.h"
#include "kernels/core/rng.h"

enum { STREAM_PLAN = 0x706c616e }; /* "plan" */

/* Flags win over the prompt's words. */
static motet_facts merge(const motet_facts *flags, const motet_facts *words) {
    motet_facts facts = *flags;
    if (facts.tempo_bpm <= 0) {
        facts.tempo_bpm = words->tempo_bpm;
        facts.tempo_lowest = words->tempo_lowest;
        facts.tempo_highest = words->tempo_highest;
    }
    if (facts.numerator <= 0)
        facts.numerator = words->numerator, facts.denominator = words->denominator;
    if (facts.key < 0) facts.key = words->key;
    if (facts.bars <= 0) facts.bars = words->bars;
    if (facts.density < 0) facts.density = words->density;
    if (facts.program_count == 0) {
        facts.program_count = words->program_count;
        for (int i = 0; i < words->program_count; i++)
            facts.programs[i] = words->programs[i];
        facts.programs_open = words->programs_open;
        facts.banned_count = words->banned_count;
        for (int i = 0; i < words->banned_count; i++)
            facts.banned[i] = words->banned[i];
    }
    return facts;
}

/* The softmax of logits at a temperature, into p [size]. */
static void soften(double *p, const float *logits, int size, double temperature) {
    float top = logits[0];
    for (int i = 1; i < size; i++)
        top = logits[i] > top ? logits[i] : top;
    double sum = 0;
    for (int i = 0; i < size; i++)
        sum += p[i] = exp((double)(logits[i] - top) / temperature);
    for (int i = 0; i < size; i++)
        p[i] /= sum;
}

/* A draw at a temperature below 1: the likely reading, not the rare one. *sure: the largest
 * probability at temperature 1. */
static int draw(double *sure, const float *logits, int size, motet_rng *rng) {
    double p[MOTET_PROGRAMS];
    soften(p, logits, size, 1);
    *sure = 0;
    for (int i = 0; i < size; i++)
        if (p[i] > *sure) *sure = p[i];
    soften(p, logits, size, 0.6);
    double target = motet_rng_uniform(rng);
    for (int i = 0; i < size; i++) {
        target -= p[i];
        if (target < 0) return i;
    }
    return size - 1;
}

/* "slow" leaves a choice of tempos, of which the heads choose; a piece keeps to it. */
static int tempo_of_word(const motet_facts *facts, const motet_attribute_acts *attributes,
                         motet_rng *rng) {
    int lowest = motet_tempo_bin(facts->tempo_lowest);
    int highest = motet_tempo_bin(facts->tempo_highest);
    double sure;
    const float *logits = (const float *)attributes->logits[MOTET_ATTRIBUTE_TEMPO].data;
    return lowest + draw(&sure, logits + lowest, highest - lowest + 1, rng);
}

/* Nobody who names no length wants to wait for a hundred bars. */
enum { MOST_GUESSED_BARS = 32 };

static int bars_of_level(int level, motet_rng *rng) {
    int lowest = 1;
    while (motet_bars_level(lowest) < level)
        lowest++;
    if (lowest >= MOST_GUESSED_BARS) return MOST_GUESSED_BARS;
    int highest = lowest;
    while (highest < MOST_GUESSED_BARS && motet_bars_level(highest + 1) == level)
        highest++;
    int bars = lowest + (int)motet_rng_below(rng, (uint32_t)(highest - lowest + 1));
    return bars >= 8 ? (bars + 2) / 4 * 4 : bars; /* phrases are of four bars */
}

/* Fills what is not asked: key and length in any case, since the decoder cannot choose them;
 * instruments, since a piece keeps to them; tempo, metre and density only where the heads are sure,
 * because the decoder hears the text too, and an unsure guess would drown it. open: instruments may
 * join those asked.
 */
static void guess(motet_controls *controls, const motet_attribute_acts *attributes, int open,
                  motet_rng *rng) {
#define LOGITS(a) ((const float *)attributes->logits[a].data)
    int *values[] = {&controls->tempo, &controls->metre, &controls->key, &controls->bars,
                     &controls->density};
    static const int which[] = {MOTET_ATTRIBUTE_TEMPO, MOTET_ATTRIBUTE_METRE, MOTET_ATTRIBUTE_KEY,
                                MOTET_ATTRIBUTE_BARS, MOTET_ATTRIBUTE_DENSITY};
    for (int i = 0; i < 5; i++) {
        double sure;
        int drawn = draw(&sure, LOGITS(which[i]), motet_attribute_size(which[i]), rng);
        int needed = which[i] == MOTET_ATTRIBUTE_BARS || which[i] == MOTET_ATTRIBUTE_KEY;
        if (*values[i] >= 0 || (sure < 0.5 && !needed)) continue;
        *values[i] = which[i] == MOTET_ATTRIBUTE_BARS ? bars_of_level(drawn, rng) : drawn;
    }
    if (controls->program_count > 0 && !open) return;
    const float *pairs = LOGITS(MOTET_ATTRIBUTE_PROGRAMS);
    int likeliest = 0;
    for (int p = 0; p < MOTET_PROGRAMS; p++) {
        float yes = pairs[2 * p + 1] - pairs[2 * p];
        if (yes > 0 && controls->program_count < 16 &&
            !memchr(controls->programs, p, (size_t)controls->program_count))
            controls->programs[controls->program_count++] = (uint8_t)p;
        if (yes > pairs[2 * likeliest + 1] - pairs[2 * likeliest]) likeliest = p;
    }
    if (controls->program_count == 0) {
        controls->programs[0] = (uint8_t)likeliest;
        controls->program_count = 1;
    }
#undef LOGITS
}

/* A piece keeps to the instruments that were asked for or guessed: one that drops in for a single
 * note is no music. What is banned stays out, whatever was guessed; then everything else may sound.
 */
static void choose_programs(motet_plan *plan, const motet_facts *facts) {
    motet_controls *controls = &plan->controls;
    int kept = 0;
    for (int i = 0; i < controls->program_count; i++) {
        int banned = 0;
        for (int k = 0; k < facts->banned_count; k++)
            banned |= facts->banned[k] == controls->programs[i];
        if (!banned) controls->programs[kept++] = controls->programs[i];
    }
    controls->program_count = kept;
    if (kept > 0) memset(plan->allowed, 0, sizeof plan->allowed);
    for (int i = 0; i < kept; i++)
        plan->allowed[controls->programs[i]] = 1;
    for (int i = 0; i < facts->banned_count; i++)
        plan->allowed[facts->banned[i]] = 0;
    for (int i = 0; i < facts->program_count; i++) {
        int program = facts->programs[i];
        plan->promised_count += plan->allowed[program] && !plan->promised[program];
        plan->promised[program] = plan->allowed[program];
    }
}

void motet_plan_make(motet_plan *plan, const motet_request *request,
                     const motet_attribute_acts *attributes) {
    motet_rng rng = motet_rng_make(request->seed, STREAM_PLAN);
    motet_facts words = request->free ? motet_facts_none() : motet_prompt_read(request->prompt);
    motet_facts facts = merge(&request->facts, &words);
    motet_controls asked = motet_controls_none();
    if (facts.tempo_bpm > 0)
        asked.tempo = motet_tempo_bin(facts.tempo_bpm);
    else if (facts.tempo_highest > 0 && attributes)
        asked.tempo = tempo_of_word(&facts, attributes, &rng);
    if (facts.numerator > 0) asked.metre = motet_metre_index(facts.numerator, facts.denominator);
    asked.key = facts.key;
    if (facts.bars > 0) asked.bars = facts.bars;
    asked.density = facts.density;
    asked.program_count = facts.program_count;
    for (int i = 0; i < facts.program_count; i++)
        asked.programs[i] = facts.programs[i];

    *plan = (motet_plan){.controls = asked, .metre = -1, .tempo = -1};
    if (attributes) guess(&plan->controls, attributes, facts.programs_open, &rng);
    plan->key = plan->controls.key >= 0 ? plan->controls.key : 0;
    plan->bars = plan->controls.bars > 0 ? plan->controls.bars : 16;
    plan->controls.key = plan->key;
    plan->controls.bars = plan->bars;
    memset(plan->allowed, 1, sizeof plan->allowed);
    if (request->free) return;

    plan->closes = plan->bars >= 4;
    plan->metre = asked.metre;
    plan->tempo = asked.tempo;
    plan->tempo_bpm = facts.tempo_bpm;
    choose_programs(plan, &facts);
}
