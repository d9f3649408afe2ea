/* field_rules: what field_draw.h says in numbers: where rules lie, and what comes out. Included by
 * C and by CUDA C. */
#ifndef MOTET_FIELD_RULES_H
#define MOTET_FIELD_RULES_H

#include <stdint.h>

#define MOTET_FIELD_MOST 16          /* fields of a model */
#define MOTET_FIELD_MOST_RUNS 8      /* symbols of field 0 */
#define MOTET_FIELD_MOST_DRAWN 8     /* symbols of an event */
#define MOTET_FIELD_MOST_SYMBOLS 256 /* of a field */
#define MOTET_FIELD_MOST_WORDS 8192  /* of the rules */

/* Where the rules of a field are among the words of all. S states, 1 to 255, of which a run's first
 * field is in state 0; W = ceil(V/32) words of a mask. */
typedef struct motet_field_rule {
    int32_t symbols; /* V */
    int32_t offset;  /* its first row in `values` */
    int32_t states;  /* S */
    int32_t offered; /* word where the masks [S,W] begin, bit v % 32 of word v / 32 for symbol v */
    int32_t accepted;
    int32_t next; /* word where bytes [S,V] begin, 4 in a word, the next field's state for each
                     symbol; -1: always 0 */
} motet_field_rule;

/* Fixed for a model. */
typedef struct motet_field_spec {
    int32_t fields;
    int32_t run_first[MOTET_FIELD_MOST_RUNS]; /* the fields that follow a symbol of field 0 */
    int32_t run_count[MOTET_FIELD_MOST_RUNS];
    int32_t words; /* of all rules */
    float eps;     /* of both norms */
    motet_field_rule rules[MOTET_FIELD_MOST];
} motet_field_spec;

typedef struct motet_field_result {
    int32_t count; /* symbols: 1 and the run's fields; 0 if the draw failed */
    int32_t tries; /* that it took */
    int32_t draws; /* of all tries */
    int32_t symbols[MOTET_FIELD_MOST_DRAWN];
    float log_prob[MOTET_FIELD_MOST_DRAWN]; /* as in sample.h, under the mask it was drawn from */
    float legal_mass[MOTET_FIELD_MOST_DRAWN];
} motet_field_result;

#endif
