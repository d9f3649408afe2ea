/* gradient_hook: how a backward pass says that gradients will not change any more, so that they can
 * travel while it goes on.
 */
#ifndef MOTET_GRADIENT_HOOK_H
#define MOTET_GRADIENT_HOOK_H

#include "kernels/core/status.h"
#include "kernels/core/tensor.h"

/* gradients [count]: slots of the table that the pass adds to; those without data are no gradients.
 * Every rank says the same in the same order. What is never said becomes final with the pass. */
typedef motet_status motet_final_fn(void *user, const motet_tensor *gradients, int count);

typedef struct motet_gradient_hook {
    motet_final_fn *final; /* NULL: nobody listens */
    void *user;
} motet_gradient_hook;

/* Of one slot, or of a struct that consists of slots: its address and size. */
static inline motet_status motet_gradient_is_final(const motet_gradient_hook *hook,
                                                   const void *slots, size_t bytes) {
    if (!hook || !hook->final) return MOTET_OK;
    return hook->final(hook->user, slots, (int)(bytes / sizeof(motet_tensor)));
}
#define MOTET_IS_FINAL(hook, slots) motet_gradient_is_final(hook, slots, sizeof *(slots))

#endif
