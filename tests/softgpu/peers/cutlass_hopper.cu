/* CUTLASS's own sm_90 GEMMs, unmodified: TMA loads, wgmma, mbarrier pipelines, warp specialisation
 * (one consumer, ping-pong, cooperative), TMA stores. Referee of softgpu's Hopper instructions, as
 * cutlass_gemm.cu is of the older ones. Needs SOFTGPU_ARCH=90. Prints TAP lines. */
#define NDEBUG /* assert calls a function, and softgpu runs none */
#include <cstdio>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "cute/tensor.hpp"
#include "cutlass/epilogue/collective/collective_builder.hpp"
#include "cutlass/gemm/collective/collective_builder.hpp"
#include "cutlass/gemm/device/gemm_universal_adapter.h"
#include "cutlass/gemm/kernel/gemm_universal.hpp"
#include "cutlass/util/packed_stride.hpp"

using namespace cute;
using Element = cutlass::bfloat16_t;

template <class LayoutA, class LayoutB, class Tile, class Cluster, class Mainloop, class Epilogue>
struct Kind {
    using CollectiveEpilogue = typename cutlass::epilogue::collective::CollectiveBuilder<
        cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Tile, Cluster,
        cutlass::epilogue::collective::EpilogueTileAuto, float, float, float,
        cutlass::layout::RowMajor, 4, float, cutlass::layout::RowMajor, 4, Epilogue>::CollectiveOp;
    using CollectiveMainloop = typename cutlass::gemm::collective::CollectiveBuilder<
        cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Element, LayoutA, 8, Element, LayoutB,
        8, float, Tile, Cluster, cutlass::gemm::collective::StageCount<3>, Mainloop>::CollectiveOp;
    using Kernel = cutlass::gemm::kernel::GemmUniversal<Shape<int, int, int, int>,
                                                        CollectiveMainloop, CollectiveEpilogue>;
    using Gemm = cutlass::gemm::device::GemmUniversalAdapter<Kernel>;
};

using Row = cutlass::layout::RowMajor;
using Column = cutlass::layout::ColumnMajor;
using One = Shape<_1, _1, _1>;

template <class Gemm, bool a_row, bool b_column> static bool product_is_exact(int m, int n, int k) {
    std::vector<Element> a(m * k), b(n * k);
    std::vector<float> c(m * n, 1.0f), got(m * n);
    for (int i = 0; i < m; i++)
        for (int t = 0; t < k; t++)
            a[a_row ? i * k + t : t * m + i] = Element(float((i * 7 + t * 3 + i / 5) % 9 - 4));
    for (int j = 0; j < n; j++)
        for (int t = 0; t < k; t++)
            b[b_column ? j * k + t : t * n + j] = Element(float((j * 5 + t * 2 + t / 7) % 7 - 3));
    Element *da, *db;
    float *dc;
    cudaMalloc(&da, a.size() * 2), cudaMalloc(&db, b.size() * 2), cudaMalloc(&dc, c.size() * 4);
    cudaMemcpy(da, a.data(), a.size() * 2, cudaMemcpyHostToDevice);
    cudaMemcpy(db, b.data(), b.size() * 2, cudaMemcpyHostToDevice);
    cudaMemcpy(dc, c.data(), c.size() * 4, cudaMemcpyHostToDevice);
    using Kernel = typename Gemm::GemmKernel;
    typename Gemm::Arguments arguments{
        cutlass::gemm::GemmUniversalMode::kGemm,
        {m, n, k, 1},
        {da, cutlass::make_cute_packed_stride(typename Kernel::StrideA{}, make_shape(m, k, 1)), db,
         cutlass::make_cute_packed_stride(typename Kernel::StrideB{}, make_shape(n, k, 1))},
        {{2.0f, 3.0f},
         dc,
         cutlass::make_cute_packed_stride(typename Kernel::StrideC{}, make_shape(m, n, 1)),
         dc,
         cutlass::make_cute_packed_stride(typename Kernel::StrideD{}, make_shape(m, n, 1))}};
    arguments.hw_info.sm_count = 4;
    Gemm gemm;
    void *workspace = nullptr;
    const size_t bytes = Gemm::get_workspace_size(arguments);
    if (bytes) cudaMalloc(&workspace, bytes);
    bool ran = gemm.initialize(arguments, workspace) == cutlass::Status::kSuccess &&
               gemm.run() == cutlass::Status::kSuccess && cudaDeviceSynchronize() == cudaSuccess;
    cudaMemcpy(got.data(), dc, got.size() * 4, cudaMemcpyDeviceToHost);
    cudaFree(da), cudaFree(db), cudaFree(dc), cudaFree(workspace);
    for (int i = 0; i < m && ran; i++)
        for (int j = 0; j < n && ran; j++) {
            float sum = 0;
            for (int t = 0; t < k; t++)
                sum += float(a[a_row ? i * k + t : t * m + i]) *
                       float(b[b_column ? j * k + t : t * n + j]);
            ran = got[i * n + j] == 2 * sum + 3;
            if (!ran) std::printf("# [%d, %d] is %g, not %g\n", i, j, got[i * n + j], 2 * sum + 3);
        }
    return ran;
}

static int number, failed;

template <class Gemm, bool a_row, bool b_column> static void shapes(const char *name) {
    const int all[][3] = {{64, 64, 64}, {136, 72, 200}, {256, 192, 512}};
    for (auto &s : all) {
        bool right = product_is_exact<Gemm, a_row, b_column>(s[0], s[1], s[2]);
        failed += !right;
        std::printf("%sok %d - CUTLASS sm_90 GEMM, %s, %d x %d x %d\n", right ? "" : "not ",
                    ++number, name, s[0], s[1], s[2]);
        std::fflush(stdout);
    }
}

int main() {
    namespace g = cutlass::gemm;
    namespace e = cutlass::epilogue;
    shapes<Kind<Row, Column, Shape<_64, _64, _64>, One, g::KernelTmaWarpSpecialized,
                e::NoSmemWarpSpecialized>::Gemm,
           true, true>("warp-specialised, K-major");
#ifndef ONE_KIND
    shapes<Kind<Column, Row, Shape<_64, _128, _64>, One, g::KernelTmaWarpSpecializedPingpong,
                e::TmaWarpSpecialized>::Gemm,
           false, false>("ping-pong, MN-major, TMA store");
    shapes<Kind<Row, Row, Shape<_128, _96, _32>, One, g::KernelTmaWarpSpecializedCooperative,
                e::TmaWarpSpecializedCooperative>::Gemm,
           true, false>("cooperative, mixed, TMA store");
#endif
    return failed != 0;
}
