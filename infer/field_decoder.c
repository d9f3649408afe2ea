#include "infer/field_decoder.h"

#include "infer/score_decoder.h"

void motet_field_acts_layout(motet_field_acts *acts, motet_arena *arena,
                             const motet_settings *settings, int64_t rows, motet_dtype dtype) {
    int64_t d = settings->model_width, f = settings->model_field_ffn, largest = 0;
    for (int i = 0; i < MOTET_FIELDS; i++)
        if (motet_field_size(i) > largest) largest = motet_field_size(i);
#define MATRIX(type, r, c) motet_arena_tensor(arena, type, 2, (const int64_t[]){r, c})
#define VECTOR(type, r) motet_arena_tensor(arena, type, 1, (const int64_t[]){r})
    acts->u = MATRIX(MOTET_F32, rows, d);
    acts->rstd = VECTOR(MOTET_F32, rows);
    acts->in = MATRIX(dtype, rows, d);
    acts->values = MATRIX(MOTET_F32, rows, d);
    acts->gate_up = MATRIX(dtype, rows, 2 * f);
    acts->hidden = MATRIX(dtype, rows, f);
    acts->y = MATRIX(MOTET_F32, rows, d);
    acts->out_rstd = VECTOR(MOTET_F32, rows);
    acts->out_in = MATRIX(dtype, rows, d);
    acts->logits = MATRIX(MOTET_F32, rows, largest).data;
#undef MATRIX
#undef VECTOR
}

int motet_field_earlier(int field) {
    return field >= MOTET_FIELD_NOTE  ? field - MOTET_FIELD_NOTE
           : field >= MOTET_FIELD_BAR ? field - MOTET_FIELD_BAR
                                      : 0;
}

motet_status motet_field_forward(motet_tensor *logits, motet_field_acts *acts,
                                 const motet_backend *backend, const motet_weights *weights,
                                 int field, motet_tensor states, motet_tensor rows,
                                 motet_tensor values) {
    const motet_field_weights *w = &weights->fields[field];
    const motet_matmul_spec linear = {.transpose_b = true};
    const motet_tensor none = {0};
    int64_t r = rows.data ? rows.dims[0] : states.dims[0];
    motet_tensor u = motet_tensor_rows(acts->u, 0, r), y = motet_tensor_rows(acts->y, 0, r);
    motet_tensor in = motet_tensor_rows(acts->in, 0, r);
    motet_tensor out_in = motet_tensor_rows(acts->out_in, 0, r);
    motet_tensor gate_up = motet_tensor_rows(acts->gate_up, 0, r);
    motet_tensor hidden = motet_tensor_rows(acts->hidden, 0, r);
    motet_tensor joins = motet_tensor_rows(acts->values, 0, r);
    motet_tensor rstd = motet_tensor_rows(acts->rstd, 0, r);
    *logits = motet_matrix(acts->logits, MOTET_F32, r, motet_field_size(field));

    MOTET_TRY(rows.data ? backend->gather(u, states, rows) : backend->convert(u, states));
    if (motet_field_earlier(field) > 0) {
        MOTET_TRY(backend->embed_forward(joins, weights->field_values, values));
        MOTET_TRY(backend->rmsnorm_add_forward(in, u, rstd, u, joins, w->norm, MOTET_RMS_EPS));
    } else
        MOTET_TRY(backend->rmsnorm_forward(in, rstd, u, w->norm, MOTET_RMS_EPS));
    MOTET_TRY(backend->matmul(gate_up, in, w->gate_up, none, linear));
    MOTET_TRY(backend->swiglu_forward(hidden, gate_up));
    MOTET_TRY(backend->matmul(joins, hidden, w->down, none, linear));
    MOTET_TRY(backend->rmsnorm_add_forward(out_in, y, motet_tensor_rows(acts->out_rstd, 0, r), u,
                                           joins, w->out_norm, MOTET_RMS_EPS));
    return backend->matmul(*logits, out_in, w->out, w->bias, linear);
}
