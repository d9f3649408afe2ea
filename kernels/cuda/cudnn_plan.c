#include "kernels/cuda/cudnn_plan.h"

#if HAS_CUDNN

#include <stddef.h>

#include "kernels/cuda/cudnn_graph.h"

enum { MOST_CONFIGS = 8, MOST_NOTES = 16 };

/* The device that a plan is for: here, or elsewhere. */
typedef struct target {
    cudnnHandle_t handle;
    motet_cudnn_descriptor device;
} target;

static void aim(motet_cudnn_graph *g, motet_cudnn_descriptor d, const target *t,
                cudnnBackendAttributeName_t handle, cudnnBackendAttributeName_t device) {
    if (t->handle)
        motet_cudnn_graph_set(g, d, handle, CUDNN_TYPE_HANDLE, 1, &t->handle);
    else if (device != CUDNN_ATTR_OPERATIONGRAPH_OPS) /* a graph is of no device */
        motet_cudnn_graph_set(g, d, device, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t->device);
}

/* Sums that end up in the order of arrival are not for us. */
static bool is_ordered(motet_cudnn_descriptor config) {
    motet_cudnn_descriptor engine = NULL;
    cudnnBackendNumericalNote_t notes[MOST_NOTES];
    int64_t count = 0;
    bool ordered = false;
    if (motet_cudnn.cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) !=
        CUDNN_STATUS_SUCCESS)
        return false;
    if (motet_cudnn.cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                             &engine) == CUDNN_STATUS_SUCCESS &&
        motet_cudnn.cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                             CUDNN_TYPE_NUMERICAL_NOTE, MOST_NOTES, &count,
                                             notes) == CUDNN_STATUS_SUCCESS) {
        ordered = true;
        for (int64_t i = 0; i < count && i < MOST_NOTES; i++)
            ordered = ordered && notes[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    }
    (void)motet_cudnn.cudnnBackendDestroyDescriptor(engine);
    return ordered;
}

static bool finalise(motet_cudnn_plan *plan, motet_cudnn_descriptor config, const target *t) {
    motet_cudnn_graph g = {.status = CUDNN_STATUS_SUCCESS};
    const motet_cudnn_descriptor d =
        motet_cudnn_graph_create(&g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    int64_t count = 0;
    aim(&g, d, t, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
    motet_cudnn_graph_set(&g, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config);
    motet_cudnn_graph_finish(&g, d, "making a plan");
    if (g.status == CUDNN_STATUS_SUCCESS)
        g.status = motet_cudnn.cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                        CUDNN_TYPE_INT64, 1, &count,
                                                        &plan->workspace_bytes);
    if (g.status != CUDNN_STATUS_SUCCESS) {
        motet_cudnn_graph_free(&g);
        return false;
    }
    plan->plan = d;
    return true;
}

/* The first engine that takes the graph, in the order that cuDNN thinks best. */
static bool choose(motet_cudnn_graph *g, motet_cudnn_plan *plan, const target *t) {
    const motet_cudnn_descriptor graph =
        motet_cudnn_graph_create(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    aim(g, graph, t, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    motet_cudnn_graph_set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                          g->operation_count, (const void *)g->operations);
    motet_cudnn_graph_finish(g, graph, "making a graph");
    const motet_cudnn_descriptor heuristic =
        motet_cudnn_graph_create(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    motet_cudnn_graph_set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    motet_cudnn_graph_set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (t->device)
        motet_cudnn_graph_set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                              CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t->device);
    motet_cudnn_graph_finish(g, heuristic, "looking for an engine");

    motet_cudnn_descriptor configs[MOST_CONFIGS] = {NULL};
    int64_t count = 0;
    for (int i = 0; i < MOST_CONFIGS; i++)
        configs[i] = motet_cudnn_graph_create(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (g->status != CUDNN_STATUS_SUCCESS) return false;
    g->failed = "asking for engines";
    g->status = motet_cudnn.cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_CONFIGS,
                                                     &count, (void *)configs);
    if (g->status != CUDNN_STATUS_SUCCESS) return false;
    for (int64_t i = 0; i < count && i < MOST_CONFIGS; i++)
        if (is_ordered(configs[i]) && finalise(plan, configs[i], t)) return true;
    g->failed = "trying its engines on attention of this shape";
    g->status = CUDNN_STATUS_NOT_SUPPORTED;
    return false;
}

motet_status motet_cudnn_plan_make(motet_cudnn_plan *plan, const motet_cudnn_shape *shape,
                                   cudnnHandle_t handle, motet_cudnn_descriptor device) {
    motet_cudnn_graph g = {.shape = shape, .status = CUDNN_STATUS_SUCCESS};
    const target t = {handle, device};
    *plan = (motet_cudnn_plan){0};
    motet_cudnn_graph_attention(&g);
    const bool made = choose(&g, plan, &t);
    const motet_status status = made ? MOTET_OK : motet_cudnn_fail(g.status, g.failed);
    motet_cudnn_graph_free(&g);
    return status;
}

void motet_cudnn_plan_free(motet_cudnn_plan *plan) {
    if (plan->plan) (void)motet_cudnn.cudnnBackendDestroyDescriptor(plan->plan);
    *plan = (motet_cudnn_plan){0};
}

motet_status motet_cudnn_plan_run(const motet_cudnn_plan *plan, cudnnHandle_t handle,
                                  void *const addresses[MOTET_CUDNN_IDS], void *workspace) {
    motet_cudnn_graph g = {.status = CUDNN_STATUS_SUCCESS};
    int64_t ids[MOTET_CUDNN_IDS], count = 0;
    const void *pointers[MOTET_CUDNN_IDS];
    for (int id = 0; id < MOTET_CUDNN_IDS; id++)
        if (addresses[id]) ids[count] = id, pointers[count++] = addresses[id];
    const motet_cudnn_descriptor pack =
        motet_cudnn_graph_create(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    motet_cudnn_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count,
                          ids);
    motet_cudnn_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                          count, (const void *)pointers);
    motet_cudnn_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                          (const void *)&workspace);
    motet_cudnn_graph_finish(&g, pack, "gathering addresses");
    if (g.status == CUDNN_STATUS_SUCCESS) {
        g.failed = "running attention";
        g.status = motet_cudnn.cudnnBackendExecute(handle, plan->plan, pack);
    }
    const motet_status status =
        g.status == CUDNN_STATUS_SUCCESS ? MOTET_OK : motet_cudnn_fail(g.status, g.failed);
    motet_cudnn_graph_free(&g);
    return status;
}

#else

typedef int motet_cudnn_plan_is_not_built; /* a translation unit is never empty */

#endif
