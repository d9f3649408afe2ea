/* prompt: what a prompt states in so many words: "120 bpm", "in D minor", "3/4", "16 bars", "for
 * piano and cello", "no drums". It reads only what is certain; everything else is the model's to
 * hear.
 */
#ifndef MOTET_PROMPT_H
#define MOTET_PROMPT_H

#include "infer/request.h"

/* Facts found in a UTF-8 prompt; numbers out of range are not facts. */
motet_facts motet_prompt_read(const char *prompt);

#endif
