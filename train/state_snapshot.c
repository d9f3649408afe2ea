#include "train/state_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int motet_state_list(motet_state_tensor *list, const motet_optimizer *optimizer) {
    int count = 0;
    for (int i = 0; i < optimizer->count; i++) {
        const motet_trained *p = &optimizer->parameters[i];
        if (p->update == MOTET_UPDATE_TEXT) continue;
        const motet_tensor tensors[] = {p->master, p->first, p->second};
        static const char *const kinds[] = {"master", "first", "second"};
        for (int k = 0; k < 3; k++) {
            if (!tensors[k].rank) continue;
            motet_state_tensor *entry = &list[count++];
            snprintf(entry->name, sizeof entry->name, "%s/%s", kinds[k], p->name);
            entry->tensor = tensors[k];
            entry->parameter = i;
            entry->kind = k;
        }
    }
    return count;
}

static size_t bytes_of(motet_tensor t) {
    return (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
}

static void layout(motet_state_snapshot *s) {
    for (int i = 0; i < s->count; i++) {
        motet_tensor *t = &s->tensors[i].tensor;
        *t = motet_arena_tensor(&s->arena, t->dtype, t->rank, t->dims);
    }
}

/* Points the table of weights at the copied masters; the encoder's, which never change, are copied
 * once from where the host cannot read them. */
typedef struct binding {
    const motet_optimizer *optimizer;
    motet_state_snapshot *snapshot;
    int parameter, tensor;
    motet_tensor *text; /* NULL: as they are */
} binding;

static motet_status bind_weight(void *user, const motet_parameter *parameter, motet_tensor *slot) {
    binding *b = user;
    const motet_trained *p = &b->optimizer->parameters[b->parameter++];
    motet_state_snapshot *s = b->snapshot;
    (void)parameter;
    *slot = p->master;
    if (p->update != MOTET_UPDATE_TEXT) {
        *slot = s->tensors[b->tensor++].tensor;
        while (b->tensor < s->count && s->tensors[b->tensor].kind > 0)
            b->tensor++;
    } else if (b->optimizer->memory != &motet_host_memory && slot->data) {
        motet_tensor from = *slot;
        *slot = motet_arena_tensor(&s->text, from.dtype, from.rank, from.dims);
        if (slot->data) return b->optimizer->memory->copy(slot->data, from.data, bytes_of(from));
    }
    return MOTET_OK;
}

static motet_status bind_weights(motet_state_snapshot *s, const motet_optimizer *o,
                                 const motet_settings *settings) {
    binding b = {.optimizer = o, .snapshot = s};
    MOTET_TRY(motet_weights_visit(s->master, settings, bind_weight, &b));
    if (!s->text.used) return MOTET_OK;
    MOTET_TRY(motet_arena_bind(&s->text));
    b = (binding){.optimizer = o, .snapshot = s};
    return motet_weights_visit(s->master, settings, bind_weight, &b);
}

static motet_status make(motet_state_snapshot *s, const motet_optimizer *o,
                         const motet_settings *settings) {
    s->tensors = calloc(3 * (size_t)o->count + 1, sizeof *s->tensors);
    s->master = calloc(1, sizeof *s->master);
    if (!s->tensors || !s->master) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for a copy");
    s->count = motet_state_list(s->tensors, o);
    layout(s);
    MOTET_TRY(motet_arena_bind(&s->arena));
    layout(s);
    return bind_weights(s, o, settings);
}

static motet_status copy_all(motet_state_snapshot *s, const motet_state_tensor *from,
                             const motet_memory *memory, int moments) {
    if (memory == &motet_host_memory) {
#pragma omp parallel for schedule(dynamic)
        for (int i = 0; i < s->count; i++)
            if (moments || from[i].kind == 0)
                memcpy(s->tensors[i].tensor.data, from[i].tensor.data, bytes_of(from[i].tensor));
        return MOTET_OK;
    }
    for (int i = 0; i < s->count; i++)
        if (moments || from[i].kind == 0)
            MOTET_TRY(memory->copy(s->tensors[i].tensor.data, from[i].tensor.data,
                                   bytes_of(from[i].tensor)));
    return memory->synchronize();
}

motet_status motet_state_snapshot_take(motet_state_snapshot *s, const motet_optimizer *o,
                                       const motet_counters *counters,
                                       const motet_settings *settings, int moments) {
    motet_state_tensor *from = calloc(3 * (size_t)o->count + 1, sizeof *from);
    motet_status status =
        from ? MOTET_OK : MOTET_FAIL(MOTET_E_MEMORY, "no memory for a copy of the state");
    if (status == MOTET_OK && !s->tensors) status = make(s, o, settings);
    if (status == MOTET_OK) {
        motet_state_list(from, o);
        s->counters = *counters;
        status = copy_all(s, from, o->memory, moments);
    }
    free(from);
    if (status != MOTET_OK) motet_state_snapshot_free(s);
    return status;
}

void motet_state_snapshot_free(motet_state_snapshot *s) {
    motet_arena_free(&s->arena);
    motet_arena_free(&s->text);
    free(s->tensors);
    free(s->master);
    memset(s, 0, sizeof *s);
}
