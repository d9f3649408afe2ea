/* sample_check: what the sample ops refuse, whatever they run on. Internal. */
#ifndef MOTET_SAMPLE_CHECK_H
#define MOTET_SAMPLE_CHECK_H

#include "kernels/sample.h"

#define MOTET_SAMPLE_MOST_SYMBOLS 65536

/* MOTET_E_USAGE, with the row where there is one, unless shapes, dtypes and parameters obey
 * sample.h. Does not look at logits and masks. */
motet_status motet_sample_check(motet_tensor logits, motet_tensor unconditional, motet_tensor legal,
                                motet_tensor seen, const motet_sample_params *params);

#endif
