#include "infer/attributes.h"

static const struct {
    const char *name;
    int size;
} attributes[MOTET_ATTRIBUTES] = {
    [MOTET_ATTRIBUTE_TEMPO] = {"tempo", MOTET_TEMPOS},
    [MOTET_ATTRIBUTE_METRE] = {"metre", MOTET_METRES},
    [MOTET_ATTRIBUTE_KEY] = {"key", 24},
    [MOTET_ATTRIBUTE_BARS] = {"bars", MOTET_CONTROL_BARS_LEVELS},
    [MOTET_ATTRIBUTE_DENSITY] = {"density", MOTET_DENSITIES},
    [MOTET_ATTRIBUTE_PROGRAMS] = {"programs", 2 * MOTET_PROGRAMS},
};

int motet_attribute_size(int attribute) {
    return attributes[attribute].size;
}

int motet_attribute_offset(int attribute) {
    int offset = 0;
    for (int a = 0; a < attribute; a++)
        offset += attributes[a].size;
    return offset;
}

int motet_attribute_total(void) {
    return motet_attribute_offset(MOTET_ATTRIBUTES);
}

const char *motet_attribute_name(int attribute) {
    return attributes[attribute].name;
}

int motet_attribute_head_width(int text_width) {
    return text_width % 32 == 0 ? 32 : 16;
}

/* Which query and which row belong to what: the same for any number of texts. */
static void write_indices(motet_attribute_acts *acts) {
    int32_t *ids = acts->query_ids.data;
    for (int s = 0; s <= acts->capacity; s++)
        acts->query_offsets[s] = s * MOTET_ATTRIBUTES;
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        int32_t *rows = acts->rows[a].data;
        for (int s = 0; s < acts->capacity; s++) {
            rows[s] = s * MOTET_ATTRIBUTES + a;
            ids[rows[s]] = a;
        }
    }
}

void motet_attributes_layout(motet_attribute_acts *acts, motet_arenas *arenas,
                             const motet_settings *settings, int sequences, motet_dtype dtype) {
    motet_arena *arena = &arenas->device, *shared = &arenas->shared;
    const int64_t width = settings->model_text_width;
    const int64_t rows = (int64_t)sequences * MOTET_ATTRIBUTES;
    const int64_t dims[] = {rows, width}, id_dims[] = {rows, 1};
    const int64_t lse_dims[] = {rows, width / motet_attribute_head_width((int)width)};
    acts->queries = motet_arena_tensor(arena, dtype, 2, dims);
    acts->pooled = motet_arena_tensor(arena, dtype, 2, dims);
    acts->lse = motet_arena_tensor(arena, MOTET_F32, 2, lse_dims);
    acts->query_ids = motet_arena_tensor(shared, MOTET_I32, 2, id_dims);
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        const int64_t gathered_dims[] = {sequences, width}, row_dims[] = {sequences};
        const int64_t logit_dims[] = {sequences, motet_attribute_size(a)};
        acts->gathered[a] = motet_arena_tensor(arena, dtype, 2, gathered_dims);
        acts->logits[a] = motet_arena_tensor(shared, MOTET_F32, 2, logit_dims);
        acts->rows[a] = motet_arena_tensor(shared, MOTET_I32, 1, row_dims);
    }
    acts->query_offsets = motet_arena_take(shared, (int64_t)sequences + 1, sizeof(int32_t));
    acts->capacity = sequences;
    if (acts->query_offsets) write_indices(acts);
}

motet_status motet_attributes_forward(motet_attribute_acts *acts, const motet_backend *backend,
                                      const motet_attribute_weights *weights,
                                      const motet_settings *settings, motet_tensor states,
                                      const int32_t *text_offsets, int sequences) {
    if (sequences < 0 || sequences > acts->capacity)
        return MOTET_FAIL(MOTET_E_USAGE, "the attribute heads were laid out for %d texts, not %d",
                          acts->capacity, sequences);
    if (sequences == 0) return MOTET_OK;

    const int width = settings->model_text_width;
    const int head_width = motet_attribute_head_width(width);
    const int64_t rows = (int64_t)sequences * MOTET_ATTRIBUTES;
    const motet_tensor queries = motet_tensor_rows(acts->queries, 0, rows);
    const motet_tensor pooled = motet_tensor_rows(acts->pooled, 0, rows);
    const motet_attention_spec spec = {
        .heads = width / head_width,
        .width = head_width,
        .sequences = sequences,
        .q_offsets = acts->query_offsets,
        .k_offsets = text_offsets,
        .q_pitch = width,
        .k_pitch = width,
        .v_pitch = width,
        .out_pitch = width,
    };
    MOTET_TRY(backend->embed_forward(queries, weights->queries,
                                     motet_tensor_rows(acts->query_ids, 0, rows)));
    MOTET_TRY(backend->attention_forward(pooled, motet_tensor_rows(acts->lse, 0, rows), queries,
                                         states, states, &spec));

    const motet_matmul_spec linear = {.transpose_b = true};
    for (int a = 0; a < MOTET_ATTRIBUTES; a++) {
        const int offset = motet_attribute_offset(a), size = motet_attribute_size(a);
        const motet_tensor gathered = motet_tensor_rows(acts->gathered[a], 0, sequences);
        MOTET_TRY(
            backend->gather(gathered, pooled, motet_tensor_rows(acts->rows[a], 0, sequences)));
        MOTET_TRY(backend->matmul(motet_tensor_rows(acts->logits[a], 0, sequences), gathered,
                                  motet_tensor_rows(weights->out, offset, size),
                                  motet_tensor_rows(weights->bias, offset, size), linear));
    }
    return MOTET_OK;
}
