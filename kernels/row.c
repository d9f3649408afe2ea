#include "kernels/row.h"

#include <stdio.h>

motet_status motet_row_fail(const char *op, const char *why, const char *names, int count,
                            const motet_tensor *tensors) {
    char text[512];
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < count && used < sizeof text - 1; i++) {
        const motet_tensor *t = &tensors[i];
        int length = (int)strcspn(names, " ");
        char dims[4 * 24] = "";
        for (int d = 0, end = 0; d < t->rank && d < MOTET_MAX_RANK; d++)
            end += snprintf(dims + end, sizeof dims - (size_t)end, d ? ",%lld" : "%lld",
                            (long long)t->dims[d]);
        int wrote =
            snprintf(text + used, sizeof text - used, "%s%.*s %s [%s]%s", i ? ", " : "", length,
                     names, motet_dtype_name(t->dtype), dims, t->data ? "" : " without data");
        used += wrote > 0 ? (size_t)wrote : 0;
        names += length;
        names += *names == ' ';
    }
    return MOTET_FAIL(MOTET_E_USAGE, "%s: %s (%s)", op, why, text);
}
