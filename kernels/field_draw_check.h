/* field_draw_check: what the field_draw ops refuse, whatever they run on. Internal. */
#ifndef MOTET_FIELD_DRAW_CHECK_H
#define MOTET_FIELD_DRAW_CHECK_H

#include "kernels/field_draw.h"

typedef struct motet_field_sizes {
    int64_t rows, width, inner; /* R, D, F, the same for all fields */
} motet_field_sizes;

/* MOTET_E_USAGE or MOTET_E_UNSUPPORTED, with the field where there is one, unless all is as
 * field_draw.h wants it. Does not look at states and the words of the rules. */
motet_status motet_field_draw_check(motet_field_sizes *sizes, motet_tensor states,
                                    const motet_field_network *networks, motet_tensor values,
                                    motet_tensor rules, const motet_field_params *params,
                                    const motet_field_spec *spec, motet_tensor scratch);

#endif
