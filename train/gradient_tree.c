#include "train/gradient_tree.h"

#include <stdlib.h>
#include <string.h>

static motet_status make_sum(motet_weights **sum, motet_arena *arena,
                             const motet_settings *settings) {
    *sum = calloc(1, sizeof **sum);
    if (!*sum) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the gradients' tables");
    MOTET_TRY(motet_weights_layout(*sum, arena, settings, MOTET_F32, 0));
    MOTET_TRY(motet_arena_bind(arena));
    return motet_weights_layout(*sum, arena, settings, MOTET_F32, 0);
}

motet_status motet_gradient_tree_make(motet_gradient_tree *tree, const motet_settings *settings,
                                      const motet_memory *memory, int64_t leaves) {
    *tree = (motet_gradient_tree){.leaves = leaves};
    int levels = __builtin_ctzll((unsigned long long)leaves);
    if (!levels) return MOTET_OK;
    tree->sums = calloc((size_t)levels, sizeof *tree->sums);
    tree->arenas = calloc((size_t)levels, sizeof *tree->arenas);
    motet_status status = MOTET_OK;
    if (!tree->sums || !tree->arenas)
        status = MOTET_FAIL(MOTET_E_MEMORY, "no memory for the sums of gradients");
    while (status == MOTET_OK && tree->levels < levels) {
        int level = tree->levels++;
        tree->arenas[level] = motet_arenas_on(memory).device;
        status = make_sum(&tree->sums[level], &tree->arenas[level], settings);
    }
    if (status != MOTET_OK) motet_gradient_tree_free(tree);
    return status;
}

void motet_gradient_tree_free(motet_gradient_tree *tree) {
    for (int i = 0; i < tree->levels; i++) {
        motet_arena_free(&tree->arenas[i]);
        free(tree->sums[i]);
    }
    free(tree->sums);
    free(tree->arenas);
    memset(tree, 0, sizeof *tree);
}

typedef struct run {
    motet_gradient_tree *tree;
    const motet_backend *backend;
    motet_leaf_fn *leaf;
    void *user;
} run;

/* open: the last sum of two is left to motet_gradient_tree_fold, and so on downwards. */
static motet_status sum_leaves(const run *r, motet_weights *gradients, const motet_arena *arena,
                               int level, int64_t first, int64_t stride, int64_t count, int open) {
    if (count % 2) {
        MOTET_TRY(r->backend->memory->zero(arena->base, arena->used));
        for (int64_t i = 0; i < count; i++)
            MOTET_TRY(r->leaf(r->user, gradients, first + i * stride));
        return MOTET_OK;
    }
    const motet_arena *other = &r->tree->arenas[level];
    MOTET_TRY(sum_leaves(r, gradients, arena, level + 1, first, 2 * stride, count / 2, 0));
    MOTET_TRY(sum_leaves(r, r->tree->sums[level], other, level + 1, first + stride, 2 * stride,
                         count / 2, open));
    if (open) return MOTET_OK;
    int64_t elements = (int64_t)(arena->used / sizeof(float));
    return r->backend->add(motet_vector(arena->base, MOTET_F32, elements),
                           motet_vector(other->base, MOTET_F32, elements));
}

motet_status motet_gradient_tree_run(motet_gradient_tree *tree, motet_weights *gradients,
                                     const motet_arena *arena, const motet_backend *backend,
                                     motet_leaf_fn *leaf, void *user) {
    run r = {tree, backend, leaf, user};
    return sum_leaves(&r, gradients, arena, 0, 0, 1, tree->leaves, 1);
}

motet_status motet_gradient_tree_fold(const motet_gradient_tree *tree, const motet_arena *arena,
                                      const motet_backend *backend, int64_t first, int64_t count) {
    for (int level = tree->levels - 1; level >= 0; level--) {
        const motet_arena *to = level ? &tree->arenas[level - 1] : arena;
        float *sum = (float *)(void *)to->base + first;
        float *other = (float *)(void *)tree->arenas[level].base + first;
        MOTET_TRY(backend->add(motet_vector(sum, MOTET_F32, count),
                               motet_vector(other, MOTET_F32, count)));
    }
    return MOTET_OK;
}
