#include "kernels/core/nearest.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

enum { LONGEST = 63 };

static int least(int a, int b) {
    return a < b ? a : b;
}

static int letter(const char *word, int i) {
    return tolower((unsigned char)word[i]);
}

/* Optimal string alignment, three rows at a time. */
static int distance(const char *a, int a_length, const char *b, int b_length) {
    int rows[3][LONGEST + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (int j = 0; j <= b_length; j++)
        above[j] = j;
    for (int i = 1; i <= a_length; i++) {
        row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            int differ = letter(a, i - 1) != letter(b, j - 1);
            row[j] = least(above[j - 1] + differ, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && letter(a, i - 1) == letter(b, j - 2) &&
                letter(a, i - 2) == letter(b, j - 1))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        int *oldest = before;
        before = above, above = row, row = oldest;
    }
    return above[b_length];
}

const char *motet_nearest(const char *word, const char *const *list, int count) {
    int length = (int)strnlen(word, LONGEST), best = INT_MAX;
    const char *found = NULL;
    for (int i = 0; i < count; i++) {
        int other = (int)strnlen(list[i], LONGEST);
        int cost = distance(word, length, list[i], other);
        if (cost < best && 3 * cost <= 2 * (length > other ? length : other))
            best = cost, found = list[i];
    }
    return found;
}
