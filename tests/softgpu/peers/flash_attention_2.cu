/* FlashAttention-2's own kernels, unmodified, without PyTorch: causal, bf16, head width 64, with
 * the template arguments that its launchers choose for this shape on sm_80. Counted beside ours.
 * Prints TAP lines. */
#include "tests/softgpu/peers/attention_case.cuh"

#include "flash_bwd_launch_template.h"
#include "flash_fwd_launch_template.h"

using namespace attention_case;
using Element = cutlass::bfloat16_t;
using Forward = Flash_fwd_kernel_traits<W, 128, 128, 4, false, false, Element>;
using Backward = Flash_bwd_kernel_traits<W, 128, 128, 8, 4, 4, 4, false, false, Element>;

static flash::Flash_bwd_params shape() {
    flash::Flash_bwd_params p{};
    p.q_batch_stride = p.k_batch_stride = p.v_batch_stride = p.o_batch_stride = T * H * W;
    p.q_row_stride = p.k_row_stride = p.v_row_stride = p.o_row_stride = H * W;
    p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = W;
    p.do_batch_stride = p.dq_batch_stride = p.dk_batch_stride = p.dv_batch_stride = T * H * W;
    p.do_row_stride = p.dq_row_stride = p.dk_row_stride = p.dv_row_stride = H * W;
    p.do_head_stride = p.dq_head_stride = p.dk_head_stride = p.dv_head_stride = W;
    p.b = B, p.h = p.h_k = H, p.h_h_k_ratio = 1;
    p.seqlen_q = p.seqlen_k = p.seqlen_q_rounded = p.seqlen_k_rounded = T;
    p.d = p.d_rounded = W, p.total_q = B * T;
    p.scale_softmax = 1 / std::sqrt(float(W)),
    p.scale_softmax_log2 = p.scale_softmax * float(M_LOG2E);
    p.p_dropout = p.rp_dropout = 1, p.p_dropout_in_uint8_t = 255,
    p.scale_softmax_rp_dropout = p.scale_softmax;
    p.window_size_left = -1, p.window_size_right = 0;
    p.is_bf16 = p.is_causal = p.is_seqlens_k_cumulative = true, p.num_splits = 1;
    return p;
}

static bool forward(const flash::Flash_bwd_params &p) {
    constexpr bool causal = true, even = true;
    auto kernel =
        &flash::flash_fwd_kernel<Forward, false, causal, false, false, even, even, false, false>;
    kernel<<<dim3(T / 128, B, H), Forward::kNThreads, Forward::kSmemSize>>>(p);
    return cudaDeviceSynchronize() == cudaSuccess;
}

/* Three kernels: rows' sums of dout * out, and zeros into the sums of dq; dk and dv, and dq by
 * atomics; dq to bf16. */
static bool backward(const flash::Flash_bwd_params &p) {
    constexpr bool causal = true, even = true;
    const dim3 queries(T / 128, B, H), keys(T / 128, B, H);
    flash::flash_bwd_dot_do_o_kernel<true, Backward><<<queries, Backward::kNThreads>>>(p);
    auto kernel =
        &flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<Backward, false, causal, false, false,
                                                             even, even, false>;
    kernel<<<keys, Backward::kNThreads, Backward::kSmemSize1colblock>>>(p);
    flash::flash_bwd_convert_dq_kernel<Backward>
        <<<queries, Backward::kNThreads, Backward::kSmemdQSize>>>(p, 1);
    return cudaDeviceSynchronize() == cudaSuccess;
}

int main() {
    const auto q = inputs<Element>(1), k = inputs<Element>(2), v = inputs<Element>(3),
               dout = inputs<Element>(4);
    flash::Flash_bwd_params p = shape();
    p.q_ptr = on_device(q), p.k_ptr = on_device(k), p.v_ptr = on_device(v),
    p.do_ptr = on_device(dout);
    Element *out = room<Element>(elements), *dq = room<Element>(elements),
            *dk = room<Element>(elements), *dv = room<Element>(elements);
    float *lse = room<float>(rows);
    p.o_ptr = out, p.dq_ptr = dq, p.dk_ptr = dk, p.dv_ptr = dv, p.softmax_lse_ptr = lse;
    p.dq_accum_ptr = room<float>(elements), p.dsoftmax_sum = room<float>(rows);

    const Reference want = reference(q, k, v, dout);
    int failed = 0;
    const bool forward_right = forward(p) &&
                               near("out", from_device(out, elements), want.out, 1e-5) &&
                               near("lse", from_device(lse, rows), want.lse, 1e-9);
    failed += !say(1, forward_right, "FlashAttention-2 forward, sm_80");
    const bool backward_right = backward(p) &&
                                near("dq", from_device(dq, elements), want.dq, 1e-4) &&
                                near("dk", from_device(dk, elements), want.dk, 1e-4) &&
                                near("dv", from_device(dv, elements), want.dv, 1e-4);
    failed += !say(2, backward_right, "FlashAttention-2 backward, sm_80");
    return failed != 0;
}
