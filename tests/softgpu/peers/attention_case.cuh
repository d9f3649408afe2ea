/* The profile's attention for other people's kernels: B = 8 causal sequences of T = 512, H = 4
 * heads of width W = 64, rows [B, T, H, W] of a 16-bit type. Inputs, the naive loops in double, the
 * comparison. */
#ifndef PEERS_ATTENTION_CASE_H
#define PEERS_ATTENTION_CASE_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <cuda_runtime.h>

namespace attention_case {

constexpr int B = 8, T = 512, H = 4, W = 64;
constexpr size_t rows = size_t(B) * T * H, elements = rows * W;

/* Even numbers in [-1, 1), the same for every type that holds 8 bits of mantissa. */
template <class E> std::vector<E> inputs(uint32_t seed) {
    std::vector<E> values(elements);
    for (auto &value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = E(float(int(seed >> 24) - 128) / 128.0f);
    }
    return values;
}

template <class E> E *on_device(const std::vector<E> &values) {
    void *pointer = nullptr;
    cudaMalloc(&pointer, values.size() * sizeof(E));
    cudaMemcpy(pointer, values.data(), values.size() * sizeof(E), cudaMemcpyHostToDevice);
    return static_cast<E *>(pointer);
}

template <class E> E *room(size_t count) {
    void *pointer = nullptr;
    cudaMalloc(&pointer, count * sizeof(E));
    return static_cast<E *>(pointer);
}

template <class E> std::vector<E> from_device(const E *pointer, size_t count) {
    std::vector<E> values(count);
    cudaMemcpy(values.data(), pointer, count * sizeof(E), cudaMemcpyDeviceToHost);
    return values;
}

struct Reference {
    std::vector<double> out, lse, dq, dk, dv; /* lse: [B, H, T], natural logarithm */
};

/* dout empty: the forward pass only. */
template <class E>
Reference reference(const std::vector<E> &q, const std::vector<E> &k, const std::vector<E> &v,
                    const std::vector<E> &dout) {
    Reference r;
    r.out.resize(elements), r.lse.resize(rows);
    if (!dout.empty()) r.dq.resize(elements), r.dk.resize(elements), r.dv.resize(elements);
    const double scale = 1.0 / std::sqrt(double(W));
    std::vector<double> weights(T);
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int i = 0; i < T; i++) {
                const auto at = [&](int row) { return ((size_t(b) * T + row) * H + h) * W; };
                const size_t own = at(i);
                double most = -INFINITY, sum = 0;
                for (int j = 0; j <= i; j++) {
                    double dot = 0;
                    for (int c = 0; c < W; c++)
                        dot += double(float(q[own + c])) * double(float(k[at(j) + c]));
                    weights[j] = dot * scale;
                    most = std::fmax(most, weights[j]);
                }
                for (int j = 0; j <= i; j++)
                    sum += weights[j] = std::exp(weights[j] - most);
                for (int j = 0; j <= i; j++) {
                    weights[j] /= sum;
                    for (int c = 0; c < W; c++)
                        r.out[own + c] += weights[j] * double(float(v[at(j) + c]));
                }
                r.lse[(size_t(b) * H + h) * T + i] = most + std::log(sum);
                if (dout.empty()) continue;
                double delta = 0;
                for (int c = 0; c < W; c++)
                    delta += r.out[own + c] * double(float(dout[own + c]));
                for (int j = 0; j <= i; j++) {
                    double dweight = 0;
                    for (int c = 0; c < W; c++)
                        dweight += double(float(dout[own + c])) * double(float(v[at(j) + c]));
                    const double dscore = weights[j] * (dweight - delta) * scale;
                    for (int c = 0; c < W; c++) {
                        r.dv[at(j) + c] += weights[j] * double(float(dout[own + c]));
                        r.dq[own + c] += dscore * double(float(k[at(j) + c]));
                        r.dk[at(j) + c] += dscore * double(float(q[own + c]));
                    }
                }
            }
    return r;
}

/* Squared error over squared size is at most bound; NaN is wrong. Bounds as for our own kernels. */
template <class E>
bool near(const char *what, const std::vector<E> &got, const std::vector<double> &want,
          double bound) {
    double error = 0, size = 0;
    for (size_t i = 0; i < want.size(); i++) {
        const double difference = double(float(got[i])) - want[i];
        error += difference * difference, size += want[i] * want[i];
    }
    const bool right = error <= bound * size;
    std::printf("# %s: NMSE %.2e, at most %.0e\n", what, error / size, bound);
    return right;
}

inline bool say(int number, bool right, const char *what) {
    std::printf("%sok %d - %s, causal, %d x %d x %d x %d\n", right ? "" : "not ", number, what, B,
                T, H, W);
    std::fflush(stdout);
    return right;
}

} // namespace attention_case

#endif
