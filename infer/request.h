/* request: what a user asks for. Zero or negative members are not asked; what is asked by flag or,
 * unless `free`, in so many words in the prompt is a promise: the piece keeps it exactly.
 */
#ifndef MOTET_REQUEST_H
#define MOTET_REQUEST_H

#include <stdint.h>

#include "data/events.h"
#include "kernels/core/status.h"

#define MOTET_MAX_PROMPT 4096 /* bytes */
#define MOTET_MAX_BARS 512

/* Musical facts, each absent or certain. */
typedef struct motet_facts {
    double tempo_bpm;                   /* 16..256; 0: not said */
    double tempo_lowest, tempo_highest; /* bpm that a word such as "slow" means; 0: not said */
    int numerator, denominator;         /* 0: not said */
    int key;                            /* 0..23; -1: not said */
    int bars;                           /* 1..MOTET_MAX_BARS; 0: not said */
    int density;                        /* level; -1: not said */
    int program_count;                  /* 0: not said */
    uint8_t programs[16];
    int programs_open; /* others may join them: "and more" */
    int banned_count;  /* programs that must not sound */
    uint8_t banned[16];
} motet_facts;

typedef struct motet_sampling {
    float temperature, top_p, min_p, guidance, repetition_penalty;
    int top_k;
} motet_sampling;

typedef struct motet_request {
    const char *prompt; /* UTF-8, may be "" */
    uint64_t seed;
    motet_facts facts; /* by flag */
    motet_sampling sampling;
    int free; /* the prompt is only heard by the model, and nothing is masked for it */
} motet_request;

motet_facts motet_facts_none(void);
motet_sampling motet_sampling_default(void);

/* MOTET_E_USAGE in one sentence with the nearest valid value: bars, tempo, metre, sampling out of
 * range, a prompt that is too long or not UTF-8 (with the byte). */
motet_status motet_request_check(const motet_request *request);

#endif
