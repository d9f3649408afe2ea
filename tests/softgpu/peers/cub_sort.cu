/* CUB's radix sort and scan, unmodified, as a referee of softgpu. Prints TAP lines. */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>

template <class Call> static bool with_scratch(Call call) {
    void *scratch = nullptr;
    size_t bytes = 0;
    if (call(scratch, bytes) != cudaSuccess || cudaMalloc(&scratch, bytes) != cudaSuccess)
        return false;
    bool ran = call(scratch, bytes) == cudaSuccess && cudaDeviceSynchronize() == cudaSuccess;
    cudaFree(scratch);
    return ran;
}

static std::vector<uint32_t> numbers(int count) {
    std::vector<uint32_t> keys(count);
    uint64_t state = 1;
    for (auto &key : keys)
        key = uint32_t((state = state * 6364136223846793005u + 1442695040888963407u) >> 33);
    return keys;
}

template <class Run>
static std::vector<uint32_t> on_device(const std::vector<uint32_t> &in, bool *ran, Run run) {
    uint32_t *from, *to;
    std::vector<uint32_t> out(in.size());
    cudaMalloc(&from, in.size() * 4), cudaMalloc(&to, in.size() * 4);
    cudaMemcpy(from, in.data(), in.size() * 4, cudaMemcpyHostToDevice);
    *ran =
        with_scratch([&](void *scratch, size_t &bytes) { return run(scratch, bytes, from, to); });
    cudaMemcpy(out.data(), to, out.size() * 4, cudaMemcpyDeviceToHost);
    cudaFree(from), cudaFree(to);
    return out;
}

static bool sorts(int count) {
    auto keys = numbers(count);
    bool ran;
    auto got = on_device(keys, &ran, [&](void *s, size_t &b, uint32_t *from, uint32_t *to) {
        return cub::DeviceRadixSort::SortKeys(s, b, from, to, count);
    });
    std::sort(keys.begin(), keys.end());
    return ran && got == keys;
}

static bool scans(int count) {
    auto in = numbers(count);
    bool ran;
    auto got = on_device(in, &ran, [&](void *s, size_t &b, uint32_t *from, uint32_t *to) {
        return cub::DeviceScan::ExclusiveSum(s, b, from, to, count);
    });
    uint32_t sum = 0;
    for (int i = 0; i < count && ran; sum += in[i++])
        ran = got[i] == sum;
    return ran;
}

int main() {
    int number = 0, failed = 0;
    for (int count : {1, 1000, 20000}) {
        bool sorted = sorts(count), scanned = scans(count);
        failed += !sorted + !scanned;
        std::printf("%sok %d - CUB radix sort of %d keys\n", sorted ? "" : "not ", ++number, count);
        std::printf("%sok %d - CUB scan of %d numbers\n", scanned ? "" : "not ", ++number, count);
    }
    return failed != 0;
}
