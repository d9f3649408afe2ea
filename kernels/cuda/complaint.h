/* complaint: how a kernel says that its input was wrong. The host cannot look at indices that are
 * on the device, so kernels check them, do nothing harmful, and the first complaint is kept in
 * shared memory until synchronize makes MOTET_E_USAGE of it. Included by C and by CUDA C.
 */
#ifndef MOTET_CUDA_COMPLAINT_H
#define MOTET_CUDA_COMPLAINT_H

/* X(name, sentence): the sentence gets row and value, in this order, as %lld. */
#define MOTET_COMPLAINTS(X)                                                                     \
    X(EMBED_ID, "embed: row %lld has id %lld, beyond the table")                                \
    X(GATHER_ROW, "gather: row %lld wants row %lld, beyond the source")                         \
    X(SCATTER_ROW, "scatter_add: row %lld goes to row %lld, beyond the target")                 \
    X(TARGET_BEYOND, "cross_entropy: row %lld has target %lld, beyond the symbols")             \
    X(TARGET_ILLEGAL, "cross_entropy: row %lld has target %lld, which its mask does not allow") \
    X(SAMPLE_NONE_LEGAL, "sample: row %lld has no legal symbol (of %lld)")                      \
    X(SAMPLE_NAN, "sample: row %lld has a logit that is not a number, at symbol %lld")          \
    X(FIELD_STATE, "field_draw: field %lld would be in state %lld, which it does not have")     \
    X(DECODE_LENGTH, "attention_decode: sequence %lld has length %lld, beyond the cache")       \
    X(APPEND_LENGTH,                                                                            \
      "attention_append: sequence %lld has length %lld, its new rows or its cache do not fit")

typedef enum motet_complaint_code {
    MOTET_COMPLAINT_NONE = 0,
#define X(name, sentence) MOTET_COMPLAINT_##name,
    MOTET_COMPLAINTS(X)
#undef X
} motet_complaint_code;

typedef struct motet_complaint {
    int code; /* motet_complaint_code; the first that is set stays */
    int pad;
    long long row, value;
} motet_complaint;

#ifdef __CUDACC__
static __device__ inline void motet_complain(motet_complaint *slot, motet_complaint_code code,
                                             long long row, long long value) {
    if (atomicCAS_system(&slot->code, (int)MOTET_COMPLAINT_NONE, (int)code) ==
        MOTET_COMPLAINT_NONE) {
        slot->row = row;
        slot->value = value;
    }
}
#endif
#endif
