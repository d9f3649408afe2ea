/* prompt_players: which instruments a prompt asks for, and which it keeps out. */
#ifndef MOTET_PROMPT_PLAYERS_H
#define MOTET_PROMPT_PLAYERS_H

#include "infer/prompt_words.h"
#include "infer/request.h"

/* Sets programs, programs_open and banned of facts. An instrument that is neither surely asked for
 * nor surely denied ("not too much piano", "the second of piano or guitar") is in neither list. */
void motet_prompt_players(motet_facts *facts, const motet_word *words, int count);

#endif
