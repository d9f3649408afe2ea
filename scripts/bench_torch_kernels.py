#!/usr/bin/env python3
"""PyTorch's kernels on a GPU at the shapes of bench_device, beside ours:
bench_torch_kernels.py OURS.jsonl [--json FILE]

OURS is what `bench_device --json` wrote on the same machine. Attention is scaled_dot_product_attention with one back-end
pinned at a time (FlashAttention, cuDNN, memory-efficient); sampling is the eager pipeline (guidance, temperature, top-k,
top-p, min-p, draw); products are torch.matmul. Each is recorded into a CUDA graph twenty times, as ours are; medians.
Prints a Markdown table: a ratio above 1 means that ours is faster.
"""
import argparse
import json
import pathlib
import statistics
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

N, D, FFN, HEADS, WINDOW, SYMBOLS = 4096, 256, 640, 4, 512, 258  # the mini model's, as in kernel_cases.c
REPEATS = 20
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION,
            "efficient": SDPBackend.EFFICIENT_ATTENTION}


def microseconds(work):
    """Median of one call."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(REPEATS):
            work()
    times = []
    for _ in range(50):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e3 / REPEATS)
    return statistics.median(times)


def random(*shape, dtype=torch.bfloat16, grad=False):
    return torch.randn(*shape, dtype=dtype, device="cuda").requires_grad_(grad)


def attention(batch, queries, keys, causal, backward=False):
    q, k, v = (random(batch, HEADS, rows, D // HEADS, grad=backward) for rows in (queries, keys, keys))

    def work():
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        if backward:
            torch.autograd.grad(out, (q, k, v), out)

    found = {}
    for name, backend in BACKENDS.items():
        try:
            with sdpa_kernel(backend):
                found[name] = microseconds(work)
        except RuntimeError as error:
            print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
    return found


def sampling(rows, symbols):
    with_text, without = random(rows, symbols, dtype=torch.float32), random(rows, symbols, dtype=torch.float32)

    def work():
        logits = without + 2 * (with_text - without)
        logits = logits.masked_fill(logits < logits.topk(40).values[:, -1:], -torch.inf)
        probabilities, order = torch.softmax(logits, -1).sort(descending=True)
        probabilities = probabilities.masked_fill(probabilities.cumsum(-1) - probabilities > 0.95, 0)
        probabilities = probabilities.masked_fill(probabilities < 0.01 * probabilities[:, :1], 0)
        drawn = (probabilities / torch.empty_like(probabilities).exponential_()).argmax(-1, keepdim=True)
        order.gather(1, drawn)

    return {"eager pipeline": microseconds(work)}


def product(m, n, k):
    a, b = random(m, k), random(n, k)
    return {"matmul": microseconds(lambda: F.linear(a, b))}


def norm():
    x, weight = random(N, D, dtype=torch.float32), random(D, dtype=torch.float32)
    return {"rms_norm": microseconds(lambda: F.rms_norm(x, (D,), weight).bfloat16())}


CASES = {
    "attention_self": lambda: attention(N // WINDOW, WINDOW, WINDOW, True),
    "attention_self_both": lambda: attention(N // WINDOW, WINDOW, WINDOW, True, backward=True),
    "attention_cross": lambda: attention(N // WINDOW, WINDOW, 48, False),
    "attention_decode": lambda: attention(2, 1, 512, False),
    "attention_decode_many": lambda: attention(64, 1, 1024, False),
    "sample_one": lambda: sampling(1, SYMBOLS),
    "sample_many": lambda: sampling(256, 1024),
    "matmul_qkv": lambda: product(N, 3 * D, D),
    "matmul_gate_up": lambda: product(N, 2 * FFN, D),
    "rmsnorm_forward": norm,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours")
    parser.add_argument("--json")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench_torch_kernels.py: PyTorch finds no GPU")
    ours = {row["case"]: row["us"] for row in map(json.loads, pathlib.Path(options.ours).read_text().splitlines())
            if "case" in row}
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}\n")
    print("| case | motet us | PyTorch us | best | ratio |\n|---|---|---|---|---|")
    rows = []
    for case, work in CASES.items():
        peers = work()
        if case not in ours or not peers:
            continue
        best = min(peers, key=peers.get)
        rows.append({"case": case, "motet_us": ours[case], "torch_us": peers, "best": best,
                     "ratio": peers[best] / ours[case]})
        print(f"| {case} | {ours[case]:.2f} | {', '.join(f'{name} {us:.2f}' for name, us in peers.items())} | {best} | "
              f"{rows[-1]['ratio']:.2f} |", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"gpu": torch.cuda.get_device_name(),
                                                          "torch": torch.__version__, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
