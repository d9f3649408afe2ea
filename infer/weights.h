/* weights: every parameter of the model in one table. The visitor below names each parameter, its
 * shape, how it starts, who updates it, and the slot that holds it; layout, initialisation,
 * checkpoints, the optimizer and the tests all go through it, so they cannot disagree.
 *
 * The text encoder has the names and layout of Hugging Face's BERT with the prefix "text.".
 */
#ifndef MOTET_WEIGHTS_H
#define MOTET_WEIGHTS_H

#include "configs/settings.h"
#include "infer/field_codec.h"
#include "kernels/core/arena.h"
#include "kernels/core/tensor.h"
#include "kernels/field_draw.h"

#define MOTET_MAX_LAYERS 64

typedef struct motet_text_layer_weights {
    motet_tensor q, q_bias, k, k_bias, v, v_bias, out, out_bias; /* [D,D], [D] */
    motet_tensor attn_norm, attn_norm_bias;
    motet_tensor up, up_bias, down, down_bias; /* [F,D] [F] [D,F] [D] */
    motet_tensor ffn_norm, ffn_norm_bias;
} motet_text_layer_weights;

typedef struct motet_text_weights {
    motet_tensor words, positions, types; /* [V,D] [P,D] [2,D] */
    motet_tensor norm, norm_bias;
    motet_text_layer_weights layers[MOTET_MAX_LAYERS];
} motet_text_weights;

typedef struct motet_score_layer_weights {
    motet_tensor attn_norm, qkv, attn_out;                 /* [D] [3D,D] [D,D] */
    motet_tensor cross_norm, cross_q, cross_kv, cross_out; /* [D] [D,D] [2D,D] [D,D] */
    motet_tensor ffn_norm, gate_up, down;                  /* [D] [2F,D] [D,F] */
} motet_score_layer_weights;

typedef motet_field_network motet_field_weights; /* D, F: the model's width, field_ffn */

/* Attribute heads: a learned query over the text states for each attribute, then a linear layer. */
typedef struct motet_attribute_weights {
    motet_tensor queries; /* [A, text D] */
    motet_tensor out;     /* [sum of sizes, text D] */
    motet_tensor bias;    /* [sum of sizes] */
} motet_attribute_weights;

typedef struct motet_weights {
    motet_text_weights text;
    motet_attribute_weights attributes;
    motet_tensor text_proj;   /* [D, text D] */
    motet_tensor controls;    /* [control symbols, D] */
    motet_tensor memory_norm; /* [D] */
    motet_tensor events;      /* [event features, D] */
    motet_tensor context;     /* [context features, D] */
    motet_score_layer_weights layers[MOTET_MAX_LAYERS];
    motet_tensor state_norm;   /* [D] */
    motet_tensor field_values; /* [field symbols, D]: earlier fields of the event being drawn */
    motet_field_weights fields[MOTET_FIELDS];
} motet_weights;

typedef enum motet_update {
    MOTET_UPDATE_MUON,  /* hidden matrices */
    MOTET_UPDATE_ADAMW, /* embeddings, outputs, norms, biases */
    MOTET_UPDATE_TEXT,  /* the text encoder: AdamW unless frozen */
} motet_update;

typedef struct motet_parameter {
    char name[96];
    int rank;
    int64_t dims[2];
    float init_mean, init_std; /* normal with these; std 0: constant */
    motet_update update;
    int quantise; /* a matrix that int8 export may store as int8 */
} motet_parameter;

/* Called for each parameter in file order; slot is the parameter's place in the weights visited. */
typedef motet_status motet_weights_visitor(void *user, const motet_parameter *parameter,
                                           motet_tensor *slot);

motet_status motet_weights_visit(motet_weights *weights, const motet_settings *settings,
                                 motet_weights_visitor *visitor, void *user);

/* Lays all parameters out in an arena in one dtype; parts: with or without the text encoder. */
motet_status motet_weights_layout(motet_weights *weights, motet_arena *arena,
                                  const motet_settings *settings, motet_dtype dtype, int with_text);

/* Lays out a copy of all weights in an arena and copies them there: to a device, or back. Slots
 * without data stay so. The arena is bound here, the caller's to free; `memory` copies. */
motet_status motet_weights_copy(motet_weights *copy, motet_arena *arena,
                                const motet_weights *weights, const motet_settings *settings,
                                const motet_memory *memory);

/* Draws initial values into f32 weights: Philox stream = index of the parameter. Slots whose data
 * is NULL are passed over. The weights are in the host's memory. */
motet_status motet_weights_init(motet_weights *weights, const motet_settings *settings,
                                uint64_t seed);

#endif
