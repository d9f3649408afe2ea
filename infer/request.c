#include "infer/request.h"

#include <math.h>
#include <string.h>

#include <utf8proc.h>

motet_facts motet_facts_none(void) {
    return (motet_facts){.key = -1, .density = -1};
}

motet_sampling motet_sampling_default(void) {
    return (motet_sampling){.temperature = 1.0f,
                            .top_p = 1.0f,
                            .min_p = 0.1f,
                            .guidance = 1.5f,
                            .repetition_penalty = 1.0f};
}

static motet_status check_number(const char *name, double value, double lowest, double highest) {
    if (value >= lowest && value <= highest) return MOTET_OK;
    return MOTET_FAIL(MOTET_E_USAGE, "%s %g is out of range; the nearest possible is %g", name,
                      value, value > highest ? highest : lowest);
}

/* The listed metre whose bar is nearest in length, same denominator preferred. */
static int nearest_metre(int numerator, int denominator) {
    int best = 0;
    double best_distance = INFINITY;
    for (int i = 0; i < MOTET_METRES; i++) {
        int n, d;
        motet_metre_at(i, &n, &d);
        double distance =
            fabs((double)n / d - (double)numerator / denominator) + (d != denominator);
        if (distance < best_distance) best_distance = distance, best = i;
    }
    return best;
}

static motet_status check_metre(int numerator, int denominator) {
    if (denominator > 0 && motet_metre_index(numerator, denominator) >= 0) return MOTET_OK;
    int n, d;
    motet_metre_at(nearest_metre(numerator, denominator > 0 ? denominator : 4), &n, &d);
    return MOTET_FAIL(MOTET_E_USAGE, "metre %d/%d is not one motet writes; the nearest is %d/%d",
                      numerator, denominator, n, d);
}

static motet_status check_prompt(const char *prompt) {
    size_t size = strlen(prompt);
    if (size > MOTET_MAX_PROMPT)
        return MOTET_FAIL(MOTET_E_USAGE, "the prompt has %zu bytes; at most %d are read", size,
                          MOTET_MAX_PROMPT);
    for (size_t at = 0; at < size;) {
        utf8proc_int32_t character;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)prompt + at,
                                                 (utf8proc_ssize_t)(size - at), &character);
        if (used < 1) return MOTET_FAIL(MOTET_E_USAGE, "the prompt is not UTF-8 at byte %zu", at);
        at += (size_t)used;
    }
    return MOTET_OK;
}

motet_status motet_request_check(const motet_request *request) {
    const motet_facts *facts = &request->facts;
    const motet_sampling *sampling = &request->sampling;
    MOTET_TRY(check_prompt(request->prompt));
    if (facts->bars != 0) MOTET_TRY(check_number("bars", facts->bars, 1, MOTET_MAX_BARS));
    if (facts->tempo_bpm != 0) MOTET_TRY(check_number("tempo", facts->tempo_bpm, 16, 256));
    if (facts->numerator != 0) MOTET_TRY(check_metre(facts->numerator, facts->denominator));
    if (facts->density >= 0)
        MOTET_TRY(check_number("density", facts->density, 0, MOTET_DENSITIES - 1));
    MOTET_TRY(check_number("temperature", sampling->temperature, 0, 10));
    MOTET_TRY(check_number("top-p", sampling->top_p, 0.01, 1));
    MOTET_TRY(check_number("min-p", sampling->min_p, 0, 1));
    MOTET_TRY(check_number("top-k", sampling->top_k, 0, 65536));
    return check_number("guidance", sampling->guidance, 0, 20);
}
