/* cluster: what else came with Hopper: clusters of one block, fences of the asynchronous proxy,
 * setmaxnreg. Clusters of more blocks are refused where a launch or a kernel asks for them.
 */
#ifndef SOFTGPU_CLUSTER_H
#define SOFTGPU_CLUSTER_H

#include "tests/softgpu/warp.h"

void sg_cluster_block_start(sg_block *block);
void sg_cluster_block_end(sg_block *block);
/* Lanes have exited: a barrier of the cluster that waited for them may complete. */
void sg_cluster_exit(sg_block *block);

/* From tables that have other meanings of these opcodes. */
sg_bind sg_bind_cluster_barrier; /* barrier.cluster */
sg_bind sg_bind_proxy_fence;     /* fence.proxy, fence.mbarrier_init */

#endif
