/* CUTLASS's own sm_90 fused attention (example 88), unmodified: causal, bf16, head width 64, its
 * ping-pong kernel. Counted beside ours. Needs SOFTGPU_ARCH=90. Prints TAP lines. */
#define NDEBUG /* assert calls a function, and softgpu runs none */
#include "tests/softgpu/peers/attention_case.cuh"

#include "cute/tensor.hpp"
#include "cutlass/cutlass.h"
#include "cutlass/kernel_hardware_info.h"

#include "collective/fmha_fusion.hpp"
#include "device/device_universal.hpp"
#include "kernel/fmha_kernel_builder.hpp"

using namespace cute;
using Element = cutlass::bfloat16_t;
using Rows = cute::tuple<int, _1, cute::tuple<int, int>>; /* of a head, columns, (sequence, head) */
using Operation = cutlass::device::Universal<typename cutlass::fmha::kernel::FmhaBuilder<
    Element, float, float, Shape<_128, _64, _64>, Rows, Rows, Rows,
    cutlass::fmha::collective::CausalFusion,
    cutlass::gemm::KernelTmaWarpSpecializedPingpong>::Kernel>;

int main() {
    namespace c = attention_case;
    const auto q = c::inputs<Element>(1), k = c::inputs<Element>(2), v = c::inputs<Element>(3);
    const Rows stride = make_stride(c::H * c::W, _1{}, make_stride(c::T * c::H * c::W, c::W));
    Element *out = c::room<Element>(c::elements);
    float *lse = c::room<float>(c::rows);
    cutlass::KernelHardwareInfo info;
    info.device_id = 0, info.sm_count = 132;
    typename Operation::Arguments arguments{
        cute::make_tuple(int(c::B), int(c::H), int(c::T), int(c::T), int(c::W)),
        {c::on_device(q), stride, c::on_device(k), stride, c::on_device(v), stride},
        {out, stride, lse, make_stride(_1{}, make_stride(c::H * c::T, int(c::T)))},
        info};
    Operation operation;
    const size_t bytes = Operation::get_workspace_size(arguments);
    bool right = operation.can_implement(arguments) == cutlass::Status::kSuccess &&
                 operation.initialize(arguments, bytes ? c::room<char>(bytes) : nullptr) ==
                     cutlass::Status::kSuccess &&
                 operation.run() == cutlass::Status::kSuccess &&
                 cudaDeviceSynchronize() == cudaSuccess;

    const c::Reference want = c::reference(q, k, v, std::vector<Element>());
    right = right && c::near("out", c::from_device(out, c::elements), want.out, 1e-5);
    right = right && c::near("lse", c::from_device(lse, c::rows), want.lse, 1e-9);
    std::printf("%sok 1 - CUTLASS FMHA forward, sm_90, causal, %d x %d x %d x %d\n",
                right ? "" : "not ", c::B, c::T, c::H, c::W);
    return !right;
}
