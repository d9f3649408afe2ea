/* Matrix instructions of a warp: mma.sync, ldmatrix, stmatrix. How elements are spread over lanes
 * is in "PTX ISA", chapter "Matrix multiply-accumulate operation using mma": lane = 4 * g + t,
 * where g names a row of A and C or a column of B, and t where along it. Products of 16-bit floats
 * are exact in f32; sums are in f32, in order of k (the chip's own order and rounding are not
 * documented). */
#include <string.h>

#include "tests/softgpu/counters.h"
#include "tests/softgpu/handler.h"
#include "tests/softgpu/memory_ops.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

#define ROWS 16
#define COLS 8
#define MAX_K 32

/* op->a: K of the shape; op->b: type of A and B; op->c: registers of A. */
typedef struct shape {
    int k, a_registers, b_registers, per_register; /* elements of a 32-bit register */
} shape;

static shape shape_of(const sg_op *op) {
    int per = op->b == SG_T_TF32 ? 1 : op->b == SG_T_S8 || op->b == SG_T_U8 ? 4 : 2;
    return (shape){op->a, op->c, op->c / 2, per};
}

static float element(uint32_t word, int i, int type) {
    union {
        uint32_t u;
        float f;
    } bits;
    switch (type) {
    case SG_T_BF16:
        bits.u = (word >> (16 * i)) << 16;
        return bits.f;
    case SG_T_F16:
        return sg_f32_of_half((uint16_t)(word >> (16 * i)));
    case SG_T_S8:
        return (float)(int8_t)(word >> (8 * i));
    case SG_T_U8:
        return (float)(uint8_t)(word >> (8 * i));
    default:
        bits.u = word & 0xffffe000u;
        return bits.f; /* tf32: the low bits do not count */
    }
}

/* Where register r of lane stands: row of A or column of B in *row, first k in return. A's
 * registers alternate between rows g and g + 8, then go on along k; B's go along k. */
static int place_a(const shape *s, int r, int lane, int *row) {
    *row = lane / 4 + (r & 1) * 8;
    return (r / 2) * 4 * s->per_register + (lane % 4) * s->per_register;
}
static int place_b(const shape *s, int r, int lane, int *col) {
    *col = lane / 4;
    return r * 4 * s->per_register + (lane % 4) * s->per_register;
}

typedef float column __attribute__((vector_size(ROWS * sizeof(float)))); /* of A or C */

/* sum[c] += the column k of A times b[k][c], k after k. */
static inline __attribute__((always_inline)) void multiply(column sum[COLS], const column *a,
                                                           const float b[MAX_K][COLS], int k) {
    for (int c = 0; c < COLS; c++) {
        column total = sum[c];
        for (int i = 0; i < k; i++)
            total += a[i] * b[i][c];
        sum[c] = total;
    }
}

SG_CLONES static void multiply_any(column sum[COLS], const column *a, const float b[MAX_K][COLS],
                                   int k) {
    multiply(sum, a, b, k);
}

/* The same for bf16, whose words are two floats' upper halves: by far the most frequent, and most
 * of its work is to bring elements to their places. */
SG_CLONES static void multiply_bf16(column sum[COLS], const uint32_t *const *a_words,
                                    const uint32_t *const *b_words, int k) {
    column a[16];
    float b[MAX_K][COLS];
    for (int r = 0; r < k / 4; r++) {
        float halves[2][SG_LANES];
        for (int lane = 0; lane < SG_LANES; lane++) {
            const uint32_t low = a_words[r][lane] << 16, high = a_words[r][lane] & 0xffff0000u;
            memcpy(&halves[0][lane], &low, sizeof low);
            memcpy(&halves[1][lane], &high, sizeof high);
        }
        for (int t = 0; t < 4; t++)
            for (int i = 0; i < 2; i++)
                for (int g = 0; g < 8; g++)
                    a[r / 2 * 8 + 2 * t + i][8 * (r & 1) + g] = halves[i][4 * g + t];
    }
    for (int r = 0; r < k / 8; r++)
        for (int lane = 0; lane < SG_LANES; lane++) {
            const uint32_t low = b_words[r][lane] << 16, high = b_words[r][lane] & 0xffff0000u;
            memcpy(&b[r * 8 + lane % 4 * 2][lane / 4], &low, sizeof low);
            memcpy(&b[r * 8 + lane % 4 * 2 + 1][lane / 4], &high, sizeof high);
        }
    multiply(sum, a, (const float(*)[COLS])b, k);
}

static bool whole_warp(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (lanes == UINT32_MAX) return true;
    sg_report(SG_R_WARP_SYNC, warp, op, lanes, "%s needs all 32 lanes, only 0x%08x are here",
              op->instruction->opcode, lanes);
    return false;
}

static void count_mma(const sg_warp *warp, const sg_op *op) {
    sg_counters *counters = warp->block->grid->counters;
    if (counters) counters->mma_flops += 2u * ROWS * COLS * (unsigned)op->a;
}

static void multiply_words(column sum[COLS], sg_warp *warp, const sg_op *op) {
    const shape s = shape_of(op);
    const uint32_t *words[12];
    for (int r = 0; r < s.a_registers + s.b_registers; r++)
        words[r] = sg_u32(warp, op->source[r]);
    if (op->b == SG_T_BF16) {
        multiply_bf16(sum, words, words + s.a_registers, s.k);
        return;
    }
    column a[MAX_K];
    float b[MAX_K][COLS];
    for (int r = 0; r < s.a_registers + s.b_registers; r++)
        for (int lane = 0; lane < SG_LANES; lane++) {
            int at, k = r < s.a_registers ? place_a(&s, r, lane, &at)
                                          : place_b(&s, r - s.a_registers, lane, &at);
            for (int i = 0; i < s.per_register; i++) {
                const float value = element(words[r][lane], i, op->b);
                if (r < s.a_registers)
                    a[k + i][at] = value;
                else
                    b[k + i][at] = value;
            }
        }
    multiply_any(sum, a, (const float(*)[COLS])b, s.k);
}

static void mma_float(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (!whole_warp(warp, op, lanes)) return;
    const sg_slot *c = op->source + op->c + op->c / 2;
    column sum[COLS];
    for (int r = 0; r < 4; r++) {
        const float *from = sg_f32(warp, c[r]);
        for (int lane = 0; lane < SG_LANES; lane++)
            sum[lane % 4 * 2 + r % 2][lane / 4 + r / 2 * 8] = from[lane];
    }
    multiply_words(sum, warp, op);
    for (int r = 0; r < 4; r++) {
        float *to = sg_f32(warp, op->dest[r]);
        for (int lane = 0; lane < SG_LANES; lane++)
            to[lane] = sum[lane % 4 * 2 + r % 2][lane / 4 + r / 2 * 8];
    }
    count_mma(warp, op);
}

static void mma_integer(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (!whole_warp(warp, op, lanes)) return;
    const shape s = shape_of(op);
    const sg_slot *c = op->source + s.a_registers + s.b_registers;
    int32_t a[ROWS][MAX_K], b[COLS][MAX_K];
    for (int r = 0; r < s.a_registers + s.b_registers; r++)
        for (int lane = 0; lane < SG_LANES; lane++) {
            uint32_t word = sg_u32(warp, op->source[r])[lane];
            int at, k = r < s.a_registers ? place_a(&s, r, lane, &at)
                                          : place_b(&s, r - s.a_registers, lane, &at);
            int32_t *line = r < s.a_registers ? a[at] : b[at];
            for (int i = 0; i < 4; i++)
                line[k + i] = (int32_t)element(word, i, op->b);
        }
    int32_t sum[4][SG_LANES];
    for (int r = 0; r < 4; r++)
        for (int lane = 0; lane < SG_LANES; lane++) {
            const int32_t *x = a[lane / 4 + (r / 2) * 8], *y = b[lane % 4 * 2 + r % 2];
            int32_t total = 0;
            for (int k = 0; k < s.k; k++)
                total += x[k] * y[k];
            sum[r][lane] = (int32_t)(sg_u32(warp, c[r])[lane] + (uint32_t)total);
        }
    for (int r = 0; r < 4; r++)
        memcpy(sg_u32(warp, op->dest[r]), sum[r], sizeof sum[r]);
    count_mma(warp, op);
}

/* A row of A taints its row of D, a column of B its column; an element of C itself. */
static void mma_taint(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)lanes;
    const shape s = shape_of(op);
    uint32_t rows = 0, cols = 0;
    for (int r = 0; r < s.a_registers + s.b_registers; r++) {
        uint32_t taint = *sg_taint(warp, op->source[r]);
        for (int lane = 0; taint && lane < SG_LANES; lane++) {
            if (!(taint >> lane & 1)) continue;
            int at;
            if (r < s.a_registers) {
                place_a(&s, r, lane, &at);
                rows |= 1u << at;
            } else {
                place_b(&s, r - s.a_registers, lane, &at);
                cols |= 1u << at;
            }
        }
    }
    uint32_t result[4]; /* D's registers may be C's in another order */
    for (int r = 0; r < 4; r++) {
        result[r] = *sg_taint(warp, op->source[s.a_registers + s.b_registers + r]);
        for (int lane = 0; (rows | cols) && lane < SG_LANES; lane++)
            if ((rows >> (lane / 4 + (r / 2) * 8) & 1) || (cols >> (lane % 4 * 2 + r % 2) & 1))
                result[r] |= 1u << lane;
    }
    for (int r = 0; r < 4; r++)
        *sg_taint(warp, op->dest[r]) = result[r];
}

/* op->a: matrices; op->b: transposed. Lane 8 m + i has the address of row i of matrix m. In half i
 * of its register of matrix m, lane l holds: */
typedef struct spot {
    int row, column; /* row: of all matrices' rows */
} spot;

static inline spot spot_of(const sg_op *op, int m, int l, int i) {
    return op->b ? (spot){8 * m + l % 4 * 2 + i, l / 4} : (spot){8 * m + l / 4, l % 4 * 2 + i};
}

static uint32_t addressed(const sg_op *op) { /* the lanes whose addresses count */
    return op->a == 4 ? UINT32_MAX : (1u << (8 * op->a)) - 1;
}

static void load_matrix(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (!whole_warp(warp, op, lanes)) return;
    const uint32_t rows = addressed(op);
    uint64_t addresses[SG_LANES];
    sg_access access = {.tainted = 0};
    sg_addresses(addresses, warp, op);
    if (sg_access_lanes(&access, warp, op, rows, SG_SHARED, addresses, 16, SG_READ,
                        *sg_taint(warp, op->source[0])) != rows)
        return;
    for (int m = 0; m < op->a; m++) {
        uint32_t *dest = sg_u32(warp, op->dest[m]), taint = 0;
        for (int l = 0; l < SG_LANES; l++) {
            uint16_t pair[2];
            for (int i = 0; i < 2; i++) {
                const spot h = spot_of(op, m, l, i);
                memcpy(&pair[i], access.host[h.row] + 2 * h.column, 2);
                if (access.tainted >> h.row & 1 &&
                    !sg_written(warp, SG_SHARED, addresses[h.row] + 2 * (uint64_t)h.column, 2))
                    taint |= 1u << l;
            }
            dest[l] = pair[0] | (uint32_t)pair[1] << 16;
        }
        *sg_taint(warp, op->dest[m]) = taint;
    }
}

/* Rows of one store must not lie upon each other: nobody knows whose values stay. */
static void check_overlap(sg_warp *warp, const sg_op *op, uint32_t rows,
                          const uint64_t addresses[SG_LANES]) {
    for (int l = 1; l < SG_LANES; l++)
        for (int k = 0; k < l && rows >> l & 1; k++) {
            if (addresses[l] != addresses[k]) continue;
            sg_report(SG_R_RACE, warp, op, 1u << l | 1u << k,
                      "rows %d and %d are stored to the same place, shared offset %llu", k, l,
                      (unsigned long long)addresses[l]);
            return;
        }
}

static void store_matrix(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    if (!whole_warp(warp, op, lanes)) return;
    const uint32_t rows = addressed(op);
    uint64_t addresses[SG_LANES];
    sg_access access;
    sg_addresses(addresses, warp, op);
    sg_check_addresses(warp, op, op->source[0], rows);
    if (sg_access_lanes(&access, warp, op, rows, SG_SHARED, addresses, 16, SG_WRITE, 0) != rows)
        return;
    for (int m = 0; m < op->a; m++) {
        const uint32_t *words = sg_u32(warp, op->source[1 + m]);
        const uint32_t tainted = sg_get_options()->full ? *sg_taint(warp, op->source[1 + m]) : 0;
        for (int l = 0; l < SG_LANES; l++)
            for (int i = 0; i < 2; i++) {
                const spot h = spot_of(op, m, l, i);
                const uint16_t value = (uint16_t)(words[l] >> (16 * i));
                memcpy(access.host[h.row] + 2 * h.column, &value, 2);
                if (tainted >> l & 1)
                    sg_set_written(warp, SG_SHARED, addresses[h.row] + 2 * (uint64_t)h.column, 2,
                                   false);
            }
    }
    if (sg_get_options()->full) check_overlap(warp, op, rows, addresses);
}

static bool add_vector(sg_binder *binder, const sg_operand *o, int count, bool dest) {
    if (count == 1 && o->kind == SG_REGISTER)
        return dest ? sg_add_dest(binder, o, SG_SLOT_32) : sg_add_source(binder, o, SG_SLOT_32);
    if (o->kind != SG_VECTOR || o->count != count) return false;
    return dest ? sg_add_dest(binder, o, SG_SLOT_32) : sg_add_source(binder, o, SG_SLOT_32);
}

static const char *bind_mma(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    static const struct {
        const char *name;
        int k;
    } shapes[] = {{"m16n8k4", 4}, {"m16n8k8", 8}, {"m16n8k16", 16}, {"m16n8k32", 32}};
    int at = 0, k = 0;
    if (!sg_take(in, &at, "sync") || !sg_take(in, &at, "aligned"))
        return "of mma only mma.sync.aligned is known";
    for (int i = 0; i < 4 && !k; i++)
        if (sg_take(in, &at, shapes[i].name)) k = shapes[i].k;
    if (!k) return "this shape of mma is not known";
    if (!sg_take(in, &at, "row") || !sg_take(in, &at, "col")) return "mma needs .row.col";
    sg_type d = sg_take_type(in, &at), a = sg_take_type(in, &at), b = sg_take_type(in, &at),
            c = sg_take_type(in, &at);
    if (at != in->modifier_count) return "this modifier of mma is not known";
    bool bytes = a == SG_T_S8 || a == SG_T_U8, half = a == SG_T_BF16 || a == SG_T_F16;
    if (a != b || c != d || d != (bytes ? SG_T_S32 : SG_T_F32))
        return "these types of mma are not known";
    if (half    ? k != 8 && k != 16
        : bytes ? k != 16 && k != 32
                : a != SG_T_TF32 || (k != 4 && k != 8))
        return "this shape of mma is not known for its type";
    op->a = k;
    op->b = (int32_t)a;
    op->c = ROWS * k / SG_LANES / (half ? 2 : bytes ? 4 : 1);
    op->run = bytes ? mma_integer : mma_float;
    op->taint = mma_taint;
    op->kind = SG_K_MMA;
    if (in->operand_count != 4 || !add_vector(binder, &in->operands[0], 4, true) ||
        !add_vector(binder, &in->operands[1], op->c, false) ||
        !add_vector(binder, &in->operands[2], op->c / 2, false) ||
        !add_vector(binder, &in->operands[3], 4, false))
        return "the operands of mma do not fit its shape";
    return NULL;
}

/* In use are .m8n8.x4, .m8n8.x4.trans, .x4.m8n8, .x4.trans.m8n8 (CUTLASS). */
static int take_matrices(bool *trans, const sg_instruction *in, int *at) {
    bool named = sg_take(in, at, "m8n8");
    int count = sg_take(in, at, "x1")   ? 1
                : sg_take(in, at, "x2") ? 2
                : sg_take(in, at, "x4") ? 4
                                        : 0;
    *trans = sg_take(in, at, "trans");
    return named || sg_take(in, at, "m8n8") ? count : 0;
}

static const char *bind_matrix(sg_op *op, const sg_instruction *in, sg_binder *binder, bool store) {
    int at = 0;
    if (!sg_take(in, &at, "sync") || !sg_take(in, &at, "aligned"))
        return "only .sync.aligned is known";
    bool trans;
    op->a = take_matrices(&trans, in, &at);
    if (!op->a) return "only 1, 2 or 4 matrices of .m8n8 are known";
    op->b = trans || sg_take(in, &at, "trans");
    if (!sg_take(in, &at, "shared") && !sg_take(in, &at, "shared::cta"))
        return "only shared memory is known";
    if (!sg_take(in, &at, "b16") || at != in->modifier_count) return "this modifier is not known";
    const sg_operand *address = &in->operands[store ? 0 : 1], *list = &in->operands[store ? 1 : 0];
    if (in->operand_count != 2 || !sg_add_address(binder, address) ||
        !add_vector(binder, list, op->a, !store))
        return "the operands do not fit";
    op->run = store ? store_matrix : load_matrix;
    op->taint = sg_taint_is_set;
    op->kind = store ? SG_K_SHARED_STORE : SG_K_SHARED_LOAD;
    return NULL;
}

static const char *bind_load(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    return bind_matrix(op, in, binder, false);
}
static const char *bind_store(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    return bind_matrix(op, in, binder, true);
}

const sg_family sg_matrix_family[] = {
    {"mma", bind_mma}, {"ldmatrix", bind_load}, {"stmatrix", bind_store}, {NULL, NULL}};
