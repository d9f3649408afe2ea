/* integer: what integer.c's table takes from integer_bits.c, and how both write their handlers. */
#ifndef SOFTGPU_INTEGER_H
#define SOFTGPU_INTEGER_H

#include "tests/softgpu/handler.h"

sg_bind sg_bind_logic, sg_bind_not, sg_bind_shift, sg_bind_funnel, sg_bind_extract, sg_bind_insert,
    sg_bind_mask, sg_bind_find, sg_bind_count, sg_bind_permute, sg_bind_lop3;

#define HANDLER(name) static SG_HOT void name(sg_warp *warp, const sg_op *op, uint32_t lanes)

/* A handler of one to three sources of class S (32, 64) read as T x, y, z, with a result of class D
 * cut to R. */
#define UNARY(name, D, R, S, T, ...)                          \
    HANDLER(name) {                                           \
        const uint##S##_t *a_ = sg_p##S(warp, op->source[0]); \
        uint##D##_t *d_ = sg_p##D(warp, op->dest[0]);         \
        SG_SET(uint##D##_t, d_, lanes, ({                     \
                   const T x = (T)a_[l];                      \
                   (R)(__VA_ARGS__);                          \
               }));                                           \
    }
#define BINARY(name, D, R, S, T, ...)                         \
    HANDLER(name) {                                           \
        const uint##S##_t *a_ = sg_p##S(warp, op->source[0]); \
        const uint##S##_t *b_ = sg_p##S(warp, op->source[1]); \
        uint##D##_t *d_ = sg_p##D(warp, op->dest[0]);         \
        SG_SET(uint##D##_t, d_, lanes, ({                     \
                   const T x = (T)a_[l], y = (T)b_[l];        \
                   (R)(__VA_ARGS__);                          \
               }));                                           \
    }
/* The third source is as wide as the result. */
#define TERNARY(name, D, R, S, T, Z, ...)                     \
    HANDLER(name) {                                           \
        const uint##S##_t *a_ = sg_p##S(warp, op->source[0]); \
        const uint##S##_t *b_ = sg_p##S(warp, op->source[1]); \
        const uint##D##_t *c_ = sg_p##D(warp, op->source[2]); \
        uint##D##_t *d_ = sg_p##D(warp, op->dest[0]);         \
        SG_SET(uint##D##_t, d_, lanes, ({                     \
                   const T x = (T)a_[l], y = (T)b_[l];        \
                   const Z z = (Z)c_[l];                      \
                   (R)(__VA_ARGS__);                          \
               }));                                           \
    }

/* Tables of handlers are indexed by this. */
enum { U16, S16, U32, S32, U64, S64, INTEGERS };
static inline int sg_integer_index(sg_type type) {
    switch (type) {
    case SG_T_U16:
    case SG_T_B16:
        return U16;
    case SG_T_S16:
        return S16;
    case SG_T_U32:
    case SG_T_B32:
        return U32;
    case SG_T_S32:
        return S32;
    case SG_T_U64:
    case SG_T_B64:
        return U64;
    case SG_T_S64:
        return S64;
    default:
        return -1;
    }
}
static inline bool sg_is_bits_type(sg_type t) {
    return t == SG_T_B16 || t == SG_T_B32 || t == SG_T_B64;
}

#endif
