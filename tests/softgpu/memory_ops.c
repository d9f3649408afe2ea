/* ld, st, prefetch. */
#include "tests/softgpu/memory_ops.h"

#include <string.h>

#include "tests/softgpu/binder.h"
#include "tests/softgpu/options.h"
#include "tests/softgpu/report.h"

#define EACH(lane, lanes)                                                                     \
    for (uint32_t rest_ = (lanes), lane; rest_ && (lane = (uint32_t)__builtin_ctz(rest_), 1); \
         rest_ &= rest_ - 1)

/* ---- Loads. op->a: bytes of an element, op->b: how many. */

/* Does element e go into a 16-bit register? Only asked where the sign is extended. */
static bool narrow(const sg_warp *warp, const sg_op *op, int e) {
    const sg_function *f = warp->block->grid->program->function;
    const sg_operand *o = &op->instruction->operands[0];
    if (o->kind == SG_VECTOR) o = &f->elements[o->first + e];
    return o->kind == SG_REGISTER && f->registers[o->reg].width == SG_W16;
}

/* Without a look at each bit where all lanes run. */
#define LOAD(type, dest)                                \
    if (lanes == ~0u) {                                 \
        for (int l = 0; l < SG_LANES; l++) {            \
            type value;                                 \
            memcpy(&value, host[l] + at, sizeof value); \
            (dest)[l] = (__typeof__(*(dest)))(value);   \
        }                                               \
    } else                                              \
        EACH(l, lanes) {                                \
            type value;                                 \
            memcpy(&value, host[l] + at, sizeof value); \
            (dest)[l] = (__typeof__(*(dest)))(value);   \
        }

static void load_element(sg_warp *warp, const sg_op *op, uint32_t lanes,
                         unsigned char *const host[SG_LANES], int e) {
    sg_slot dest = op->dest[e];
    int at = e * op->a;
    bool is_signed = op->c & SG_M_SIGNED;
    if ((dest & 3) == SG_SLOT_64) {
        uint64_t *d = sg_u64(warp, dest);
        switch (op->a * 2 + is_signed) {
        case 2:
            LOAD(uint8_t, d);
            break;
        case 3:
            LOAD(int8_t, d);
            break;
        case 4:
            LOAD(uint16_t, d);
            break;
        case 5:
            LOAD(int16_t, d);
            break;
        case 8:
            LOAD(uint32_t, d);
            break;
        case 9:
            LOAD(int32_t, d);
            break;
        default:
            LOAD(uint64_t, d);
            break;
        }
        return;
    }
    uint32_t *d = sg_u32(warp, dest);
    switch (op->a * 2 + is_signed) {
    case 2:
        LOAD(uint8_t, d);
        break;
    case 3:
        LOAD(int8_t, d);
        break;
    case 4:
        LOAD(uint16_t, d);
        break;
    case 5:
        LOAD(int16_t, d);
        break;
    default:
        LOAD(uint32_t, d);
        break;
    }
    if (is_signed && op->a < 4 && narrow(warp, op, e)) EACH(l, lanes) d[l] &= 0xffff;
}

/* Which lanes' element e nobody has written, among those where some element is. */
static uint32_t element_taint(const sg_warp *warp, const sg_op *op, uint32_t tainted,
                              const uint64_t addresses[SG_LANES], int e) {
    if (op->b == 1) return tainted;
    uint32_t found = 0;
    EACH(l, tainted) {
        uint64_t offset;
        sg_space space = sg_op_space(op);
        const sg_region *region = sg_region_of(
            &offset, &space, warp, (int)l, addresses[l] + (uint64_t)(e * op->a), (uint64_t)op->a);
        if (region && !sg_shadow_has(region, offset, op->a)) found |= 1u << l;
    }
    return found;
}

static void load(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint64_t addresses[SG_LANES];
    sg_access access;
    bool in_row;
    int bytes = op->a * op->b;
    uint32_t asked = lanes;
    sg_addresses(addresses, warp, op);
    lanes = sg_access_with(&access, &in_row, warp, op, lanes, sg_op_space(op), addresses, bytes,
                           SG_READ, *sg_taint(warp, op->source[0]), sg_op_strength(op));
    if (op->c & SG_M_STRONG && sg_get_options()->full)
        EACH(l, lanes) sg_note_strong(warp, op, (int)l, addresses[l], bytes, true, false);
    if (in_row && bytes == 4 && op->a == 4 && (op->dest[0] & 3) == SG_SLOT_32)
        memcpy(sg_u32(warp, op->dest[0]), access.host[0], 4 * SG_LANES);
    else
        for (int e = 0; e < op->b; e++)
            load_element(warp, op, lanes, access.host, e);
    if (!sg_get_options()->full) return;
    for (int e = 0; e < op->b; e++) {
        uint32_t *taint = sg_taint(warp, op->dest[e]);
        *taint &= ~asked;
        if (access.tainted) *taint |= element_taint(warp, op, access.tainted, addresses, e);
    }
}

/* A parameter is the same for all lanes. */
static void load_param(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    const sg_grid *grid = warp->block->grid;
    sg_slot base = op->source[0];
    int first = __builtin_ctz(lanes);
    uint64_t at = (base & 3) == SG_SLOT_64 ? sg_u64(warp, base)[first] : sg_u32(warp, base)[first];
    uint64_t room = grid->program->function->param_bytes, bytes = (uint64_t)(op->a * op->b);
    at += (uint64_t)op->offset;
    if (bytes > room || at > room - bytes || at % bytes) {
        load(warp, op, lanes);
        return;
    }
    unsigned char *host[SG_LANES];
    for (int i = 0; i < SG_LANES; i++)
        host[i] = (unsigned char *)(uintptr_t)grid->params + at;
    for (int e = 0; e < op->b; e++) {
        load_element(warp, op, lanes, host, e);
        *sg_taint(warp, op->dest[e]) &= ~lanes;
    }
}

/* ---- Stores. Sources: address, elements. */

#define STORE(type, from)                               \
    if (lanes == ~0u) {                                 \
        for (int l = 0; l < SG_LANES; l++) {            \
            type value = (type)(from)[l];               \
            memcpy(host[l] + at, &value, sizeof value); \
        }                                               \
    } else                                              \
        EACH(l, lanes) {                                \
            type value = (type)(from)[l];               \
            memcpy(host[l] + at, &value, sizeof value); \
        }

static void store_element(sg_warp *warp, const sg_op *op, uint32_t lanes,
                          unsigned char *const host[SG_LANES], int e) {
    sg_slot source = op->source[1 + e];
    int at = e * op->a;
    if ((source & 3) == SG_SLOT_64) {
        const uint64_t *s = sg_u64(warp, source);
        switch (op->a) {
        case 1:
            STORE(uint8_t, s);
            break;
        case 2:
            STORE(uint16_t, s);
            break;
        case 4:
            STORE(uint32_t, s);
            break;
        default:
            STORE(uint64_t, s);
            break;
        }
        return;
    }
    const uint32_t *s = sg_u32(warp, source);
    switch (op->a) {
    case 1:
        STORE(uint8_t, s);
        break;
    case 2:
        STORE(uint16_t, s);
        break;
    default:
        STORE(uint32_t, s);
        break;
    }
}

/* Two lanes that store different values to one place in one instruction: nobody knows who wins.
 * The lanes' bytes, after all have stored, tell: one who lost does not find its own. */
static void check_overlap(sg_warp *warp, const sg_op *op, uint32_t lanes,
                          unsigned char *const host[SG_LANES], const uint64_t addresses[SG_LANES]) {
    int bytes = op->a * op->b;
    bool rising = true;
    uint64_t last = 0;
    EACH(l, lanes) {
        if (addresses[l] < last) rising = false;
        last = addresses[l] + (uint64_t)bytes;
    }
    if (rising) return;
    for (int e = 0; e < op->b; e++) {
        sg_slot source = op->source[1 + e];
        uint64_t mask = op->a == 8 ? ~0ull : (1ull << 8 * op->a) - 1;
        EACH(l, lanes) {
            uint64_t mine =
                (source & 3) == SG_SLOT_64 ? sg_u64(warp, source)[l] : sg_u32(warp, source)[l];
            uint64_t found = 0;
            memcpy(&found, host[l] + e * op->a, (size_t)op->a);
            if (found == (mine & mask)) continue;
            sg_report(SG_R_RACE, warp, op, 1u << l,
                      "lane %d stores %#llx at address %#llx, another lane of the same instruction "
                      "%#llx",
                      (int)l, (unsigned long long)(mine & mask),
                      (unsigned long long)(addresses[l] + (uint64_t)(e * op->a)),
                      (unsigned long long)found);
            return;
        }
    }
}

static void store(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    uint64_t addresses[SG_LANES];
    sg_access access;
    bool in_row, full = sg_get_options()->full;
    int bytes = op->a * op->b;
    uint32_t tainted = 0, all_tainted = ~0u;
    sg_addresses(addresses, warp, op);
    if (full) {
        sg_check_addresses(warp, op, op->source[0], lanes);
        for (int e = 0; e < op->b; e++) {
            tainted |= *sg_taint(warp, op->source[1 + e]);
            all_tainted &= *sg_taint(warp, op->source[1 + e]);
        }
        tainted &= lanes;
        all_tainted &= lanes;
    }
    lanes = sg_access_with(&access, &in_row, warp, op, lanes, sg_op_space(op), addresses, bytes,
                           SG_WRITE, all_tainted & tainted, sg_op_strength(op));
    if (in_row && bytes == 4 && op->a == 4 && (op->source[1] & 3) == SG_SLOT_32)
        memcpy(access.host[0], sg_u32(warp, op->source[1]), 4 * SG_LANES);
    else
        for (int e = 0; e < op->b; e++)
            store_element(warp, op, lanes, access.host, e);
    if (!full) return;
    if (!in_row && sg_op_space(op) != SG_LOCAL && !(op->c & SG_M_STRONG))
        check_overlap(warp, op, lanes, access.host, addresses);
    if (op->c & SG_M_STRONG)
        EACH(l, lanes) sg_note_strong(warp, op, (int)l, addresses[l], bytes, false, true);
    EACH(l, tainted & ~all_tainted & lanes) {
        for (int e = 0; e < op->b; e++) {
            if (!(*sg_taint(warp, op->source[1 + e]) >> l & 1)) continue;
            uint64_t offset;
            sg_space space = sg_op_space(op);
            sg_region *region = sg_region_of(&offset, &space, warp, (int)l,
                                             addresses[l] + (uint64_t)(e * op->a), (uint64_t)op->a);
            if (region) sg_shadow_set(region, offset, (uint64_t)op->a, false);
        }
    }
}

/* ---- Binding. */

/* Vector and type: op->a, op->b, the sign. */
static const char *take_shape(sg_op *op, sg_class *class, const sg_instruction *in, int *at) {
    op->b = sg_take(in, at, "v2") ? 2 : sg_take(in, at, "v4") ? 4 : 1;
    sg_type type = sg_take_type(in, at);
    if (type == SG_T_NONE || type == SG_T_PRED || type == SG_T_B128)
        return "the type of this access is not known";
    op->a = sg_type_bytes(type);
    *class = op->a == 8 ? SG_SLOT_64 : SG_SLOT_32;
    if (type == SG_T_S8 || type == SG_T_S16 || type == SG_T_S32) op->c |= SG_M_SIGNED;
    if (op->a * op->b > 16) return "an access of more than 16 bytes is not known";
    return *at == in->modifier_count ? NULL : "this modifier is not known";
}

static void set_kind(sg_op *op, bool is_store) {
    switch (sg_op_space(op)) {
    case SG_GENERIC:
    case SG_GLOBAL:
        op->kind = is_store ? SG_K_GLOBAL_STORE : SG_K_GLOBAL_LOAD;
        break;
    case SG_SHARED:
        op->kind = is_store ? SG_K_SHARED_STORE : SG_K_SHARED_LOAD;
        break;
    default:
        op->kind = SG_K_OTHER_MEMORY;
    }
}

static const char *bind_access(sg_op *op, const sg_instruction *in, sg_binder *binder,
                               bool is_store) {
    int at = 0;
    const char *why;
    sg_class class;
    op->c = sg_take_access(in, &at, &why);
    if (why) return why;
    why = take_shape(op, &class, in, &at);
    if (why) return why;
    if (op->c & (is_store ? SG_M_ACQUIRE : SG_M_RELEASE))
        return "this order does not go with this instruction";
    sg_space space = sg_op_space(op);
    if (is_store && (space == SG_CONST || space == SG_PARAM))
        return "this memory cannot be written";
    if (in->operand_count != 2) return "this form is not known";
    const sg_operand *address = &in->operands[!is_store], *value = &in->operands[is_store];
    if (address->kind != SG_ADDRESS) return "the address is missing";
    if ((value->kind == SG_VECTOR ? value->count : 1) != op->b)
        return "the vector has another length than its type says";
    if (!sg_add_address(binder, address)) return sg_bind_error(binder);
    for (int e = 0; e < op->b; e++) {
        const sg_operand *o = value->kind == SG_VECTOR ? sg_element(binder, value, e) : value;
        /* A register may be wider than the type. */
        sg_class wide = class;
        if (o->kind == SG_REGISTER && binder->function->registers[o->reg].width == SG_W64)
            wide = SG_SLOT_64;
        if (!(is_store ? sg_add_source : sg_add_dest)(binder, o, wide))
            return sg_bind_error(binder);
    }
    set_kind(op, is_store);
    op->run = is_store ? store : load;
    op->taint = sg_taint_is_set;
    op->flags = SG_IS_COPY;
    return NULL;
}

static const char *bind_load(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    const char *why = bind_access(op, in, binder, false);
    if (why) return why;
    const sg_operand *address = &in->operands[1];
    if (sg_op_space(op) == SG_PARAM && address->reg < 0) op->run = load_param;
    return NULL;
}

static const char *bind_store(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    return bind_access(op, in, binder, true);
}

static void nothing(sg_warp *warp, const sg_op *op, uint32_t lanes) {
    (void)warp;
    (void)op;
    (void)lanes;
}

/* A prefetch may go anywhere: wrong addresses do nothing. */
static const char *bind_prefetch(sg_op *op, const sg_instruction *in, sg_binder *binder) {
    (void)binder;
    static const char *const known[] = {"global",    "local", "L1",    "L2",
                                        "tensormap", "param", "const", NULL};
    int at = 0;
    while (sg_take_any(in, &at, known)) {
    }
    if (at != in->modifier_count) return "this modifier of prefetch is not known";
    op->run = nothing;
    op->kind = SG_K_OTHER_MEMORY;
    return NULL;
}

const sg_family sg_memory_family[] = {
    {"ld", bind_load}, {"st", bind_store}, {"prefetch", bind_prefetch}, {NULL, NULL}};
