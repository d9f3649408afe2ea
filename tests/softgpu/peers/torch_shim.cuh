/* What FlashAttention-2's kernels ask of PyTorch's headers, which is nearly nothing: the state of a
 * generator that only dropout reads. run.sh puts it where <ATen/...> and <c10/...> would be.
 * Without torch nobody else's file changes. */
#ifndef PEERS_TORCH_SHIM_H
#define PEERS_TORCH_SHIM_H

#include <cstdint>
#include <tuple>

namespace at {
struct PhiloxCudaState {
    uint64_t seed, offset;
};
namespace cuda {
namespace philox {
__host__ __device__ inline std::tuple<uint64_t, uint64_t> unpack(PhiloxCudaState state) {
    return std::make_tuple(state.seed, state.offset);
}
} // namespace philox
} // namespace cuda
} // namespace at

#define C10_CUDA_CHECK(call) (void)(call)
#define C10_CUDA_KERNEL_LAUNCH_CHECK() (void)0

#endif
