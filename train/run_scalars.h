/* run_scalars: the numbers of a log line (log_jsonl.h) under names, for those who draw or scrape
 * them. {"kind": "train", "loss": 3, "field": {"tempo": 2}} has train/loss and train/field/tempo.
 * Not of them: step, and what is null or no number.
 */
#ifndef MOTET_RUN_SCALARS_H
#define MOTET_RUN_SCALARS_H

#include <jansson.h>

enum { MOTET_SCALAR_DEPTH = 4 };

/* names [depth]: the kind of the line first, the number's own name last. */
typedef void motet_scalar_fn(void *user, const char *const *names, int depth, double value);

/* Calls hear for each number, in the order of the line. */
void motet_run_scalars(const json_t *line, motet_scalar_fn *hear, void *user);

#endif
