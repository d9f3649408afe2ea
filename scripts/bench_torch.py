#!/usr/bin/env python3
"""PyTorch's speed on the same model and batch: bench_torch.py DUMP.safetensors [--threads N] [--steps N] [--compile]

The dump is bench_train's: weights and one batch. Trains (forward, backward, fused AdamW; bf16 autocast and f32) and
generates (batch 1 and 2, a cache of keys and values, every field drawn), prints JSON lines like the C benches.
"""
import argparse
import json
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import motet_torch as model  # noqa: E402


def timed(work, steps, warm=2):
    for _ in range(warm):
        work()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


def bench_train(path, dtype, options):
    weights, inputs = model.load(path)
    parameters = model.parameters_of(weights)
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-4, fused=True)
    run = torch.compile(model.forward) if options.compile else model.forward

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            objective, *_ = run(weights, inputs, 4, 12, 0.1)
        objective.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()

    median, best = timed(step, options.steps)
    events = inputs["events"].shape[0]
    print(json.dumps({"what": "train", "dtype": dtype, "threads": torch.get_num_threads(),
                      "compiled": options.compile, "events_per_s": round(events / median),
                      "best": round(events / best)}), flush=True)


class Generator:
    """One event a step for `rows` sequences that share what was written, as guidance needs."""

    def __init__(self, weights, inputs, rows, window=512, heads=4):
        self.w, self.inputs, self.rows, self.heads = weights, inputs, rows, heads
        self.layers = sum(name.endswith(".qkv") for name in weights)
        self.width = weights["score.0.attn_out"].shape[0]
        memory = torch.randn(rows, 40, self.width)
        self.cross = [F.linear(memory, weights[f"score.{i}.cross_kv"]).split(self.width, dim=2) for i in range(self.layers)]
        shape = (rows, window, self.width)
        self.k, self.v = ([torch.zeros(shape) for _ in range(self.layers)] for _ in range(2))

    def heads_of(self, x):
        return x.view(self.rows, -1, self.heads, self.width // self.heads).transpose(1, 2)

    def attend(self, q, k, v):
        out = F.scaled_dot_product_attention(self.heads_of(q), self.heads_of(k), self.heads_of(v))
        return out.transpose(1, 2).reshape(self.rows, self.width)

    def step(self, position):
        w, row = self.w, slice(position, position + 1)
        x = model.bag(w["score.events"], self.inputs["events"][row].long()) + \
            model.bag(w["score.context"], self.inputs["context"][row].long())
        x, angles = x.expand(self.rows, -1), self.inputs["angles"][row].expand(self.rows, -1)
        for i in range(self.layers):
            p = f"score.{i}."
            q, k, v = F.linear(model.rmsnorm(x, w[p + "attn_norm"]), w[p + "qkv"]).split(self.width, dim=1)
            self.k[i][:, position] = model.rope(k, angles, self.heads)
            self.v[i][:, position] = v
            q = model.rope(q, angles, self.heads)
            seen = slice(0, position + 1)
            x = x + F.linear(self.attend(q, self.k[i][:, seen], self.v[i][:, seen]), w[p + "attn_out"])
            q = F.linear(model.rmsnorm(x, w[p + "cross_norm"]), w[p + "cross_q"])
            x = x + F.linear(self.attend(q, *self.cross[i]), w[p + "cross_out"])
            gate, up = F.linear(model.rmsnorm(x, w[p + "ffn_norm"]), w[p + "gate_up"]).chunk(2, dim=1)
            x = x + F.linear(F.silu(gate) * up, w[p + "down"])
        states = model.rmsnorm(x, w["score.state_norm"])
        values = torch.zeros(self.rows, 0, dtype=torch.long)
        for name in ["type", "position", "program", "pitch", "duration", "velocity"]:
            earlier = values if name not in ("type", "position") else values[:, :0]
            logits = model.field_logits(w, name, states, earlier)
            if self.rows == 2:
                logits = (logits[1] + 2 * (logits[0] - logits[1])).unsqueeze(0)
            probabilities, order = torch.softmax(logits[:1], -1).sort(descending=True)
            probabilities[probabilities.cumsum(-1) - probabilities > 0.97] = 0
            drawn = order[0, torch.multinomial(probabilities[0], 1)]
            values = torch.cat([values if name != "position" else values[:, :0], drawn.expand(self.rows, 1)], dim=1)


def bench_generate(path, rows, options):
    weights, inputs = model.load(path)
    with torch.inference_mode():
        generator = Generator(weights, inputs, rows)

        def piece():
            for position in range(256):
                generator.step(position)

        median, best = timed(piece, max(3, options.steps // 2), warm=1)
    print(json.dumps({"what": "generate", "guidance": 2 if rows == 2 else 1, "threads": torch.get_num_threads(),
                      "events_per_s": round(256 / median), "best": round(256 / best)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for dtype in ("bf16", "f32"):
        bench_train(options.dump, dtype, options)
    for rows in (1, 2):
        bench_generate(options.dump, rows, options)


if __name__ == "__main__":
    main()
