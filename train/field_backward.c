#include "train/field_backward.h"

void motet_field_grads_layout(motet_field_grads *grads, motet_arena *arena,
                              const motet_settings *settings, int64_t rows, motet_dtype dtype) {
    int64_t d = settings->model_width, f = settings->model_field_ffn, largest = 0;
    for (int i = 0; i < MOTET_FIELDS; i++)
        if (motet_field_size(i) > largest) largest = motet_field_size(i);
#define MATRIX(type, r, c) motet_arena_tensor(arena, type, 2, (const int64_t[]){r, c})
    grads->dlogits = MATRIX(dtype, rows, largest).data;
    grads->dy = MATRIX(MOTET_F32, rows, d);
    grads->dout_in = MATRIX(dtype, rows, d);
    grads->dout = MATRIX(dtype, rows, d);
    grads->din = MATRIX(dtype, rows, d);
    grads->dhidden = MATRIX(dtype, rows, f);
    grads->dgate_up = MATRIX(dtype, rows, 2 * f);
#undef MATRIX
}

motet_status motet_field_backward(motet_weights *dweights, motet_tensor dstates,
                                  motet_field_grads *grads, const motet_field_acts *acts,
                                  const motet_backend *backend, const motet_weights *weights,
                                  int field, motet_tensor dlogits, motet_tensor rows,
                                  motet_tensor values) {
    const motet_field_weights *w = &weights->fields[field];
    motet_field_weights *dw = &dweights->fields[field];
    const motet_matmul_spec input_gradient = {0};
    const motet_matmul_spec weight_gradient = {.transpose_a = true, .accumulate = true};
    const motet_tensor none = {0};
    int64_t r = rows.dims[0];
#define ROWS(tensor) motet_tensor_rows(tensor, 0, r)
    motet_tensor dl = motet_matrix(grads->dlogits, acts->out_in.dtype, r, dlogits.dims[1]);
    motet_tensor dy = ROWS(grads->dy), dout_in = ROWS(grads->dout_in), dout = ROWS(grads->dout);
    motet_tensor din = ROWS(grads->din), dhidden = ROWS(grads->dhidden);
    motet_tensor dgate_up = ROWS(grads->dgate_up);

    MOTET_TRY(backend->convert(dl, dlogits));
    MOTET_TRY(backend->bias_backward(dw->bias, dlogits));
    MOTET_TRY(backend->matmul(dw->out, dl, ROWS(acts->out_in), none, weight_gradient));
    MOTET_TRY(backend->matmul(dout_in, dl, w->out, none, input_gradient));
    MOTET_TRY(motet_tensor_zero(backend->memory, dy));
    MOTET_TRY(backend->rmsnorm_add_backward(dy, dout, dw->out_norm, dout_in, ROWS(acts->y),
                                            w->out_norm, ROWS(acts->out_rstd)));
    MOTET_TRY(backend->matmul(dw->down, dout, ROWS(acts->hidden), none, weight_gradient));
    MOTET_TRY(backend->matmul(dhidden, dout, w->down, none, input_gradient));
    MOTET_TRY(backend->swiglu_backward(dgate_up, dhidden, ROWS(acts->gate_up)));
    MOTET_TRY(backend->matmul(dw->gate_up, dgate_up, ROWS(acts->in), none, weight_gradient));
    MOTET_TRY(backend->matmul(din, dgate_up, w->gate_up, none, input_gradient));
    MOTET_TRY(
        backend->rmsnorm_backward(dy, dw->norm, din, ROWS(acts->u), w->norm, ROWS(acts->rstd)));
#undef ROWS
    if (motet_field_earlier(field) > 0)
        MOTET_TRY(backend->embed_backward(dweights->field_values, dy, values));
    return backend->scatter_add(dstates, dy, rows);
}
