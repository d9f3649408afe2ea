/* nearest: the known word that a person most likely meant, for error messages. */
#ifndef MOTET_CORE_NEAREST_H
#define MOTET_CORE_NEAREST_H

/* The entry of list [count] with the smallest edit distance to word (insertions, deletions,
 * substitutions and swaps of neighbours cost 1, letter case nothing), the first of equals. NULL if
 * count is 0, or if even the best shares too little with the word to be a help (a distance above
 * 2/3 of the longer length). Compares at most the first 63 bytes of each. */
const char *motet_nearest(const char *word, const char *const *list, int count);

#endif
