#!/usr/bin/env python3
"""PyTorch's speed on the same model and batch:
bench_torch.py DUMP.safetensors [--device cpu|cuda] [--threads N] [--steps N] [--compile]

The dump is bench_train's: weights and one batch. Trains (forward, backward, clip, update) and generates (batch 1, and 2
for guidance; a cache of keys and values, every field drawn) in each way that could be PyTorch's best: attention fused
(SDPA) or plain, bf16 or f32, AdamW fused or the Muon that motet trains with, eager or, with --compile (minutes),
torch.compile. Prints JSON lines like the C benches; who compares takes the best.
"""
import argparse
import json
import os
import re
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import motet_torch as model  # noqa: E402

MUON = re.compile(r"\.(qkv|attn_out|cross_q|cross_kv|cross_out|gate_up|down|text_proj)$")
TEXT_HEADS, HEADS, WINDOW, EVENTS = 12, 4, 512, 256
DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def device():
    return torch.get_default_device().type


def wait():
    if device() == "cuda":
        torch.cuda.synchronize()


def timed(work, steps, warm):
    for _ in range(warm):
        work()
    times = []
    for _ in range(steps):
        wait()
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


def report(count, seconds, **what):
    print(json.dumps({**what, "device": device(), "threads": torch.get_num_threads(), "events_per_s": round(count / seconds[0]),
                      "best": round(count / seconds[1])}), flush=True)


def optimizers(parameters, name):
    """AdamW, fused; with "muon" the hidden matrices take Muon's step, as in motet."""
    hidden = {n: t for n, t in parameters.items() if name == "muon" and MUON.search(n)}
    rest = [t for n, t in parameters.items() if n not in hidden]
    parts = [torch.optim.AdamW(rest, lr=1e-4, fused=True)]
    return parts + ([torch.optim.Muon(list(hidden.values()), lr=1e-4)] if hidden else [])


def bench_train(path, dtype, attention, optimizer, compiled, steps):
    weights, inputs = model.load(path, device=device())
    parameters = model.parameters_of(weights)
    if dtype == "bf16":  # the frozen encoder need not be converted anew each step
        for name in [n for n in weights if n.startswith("text.") and weights[n].ndim == 2]:
            weights[name] = weights[name].bfloat16()
    updates = optimizers(parameters, optimizer)
    model.ATTENTION = attention
    torch._dynamo.reset()
    run = torch.compile(model.forward) if compiled else model.forward

    def step():
        with torch.autocast(device(), torch.bfloat16, enabled=dtype == "bf16"):
            objective, *_ = run(weights, inputs, HEADS, TEXT_HEADS, 0.1)
        objective.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        for update in updates:
            update.step()
            update.zero_grad(set_to_none=True)

    report(inputs["events"].shape[0], timed(step, steps, 2), what="train", dtype=dtype, optimizer=optimizer,
           how=f"{'compiled' if compiled else 'eager'}, {attention}")


class Generator:
    """One event a step for `rows` sequences that share what was written, as guidance needs."""

    def __init__(self, weights, inputs, rows, dtype, compiled):
        self.w = {n: t.to(dtype) for n, t in weights.items() if not n.startswith("text.")}
        self.inputs, self.rows, self.compiled = inputs, rows, compiled
        self.layers = sum(name.endswith(".qkv") for name in weights)
        self.width = weights["score.0.attn_out"].shape[0]
        memory = torch.randn(rows, 40, self.width).to(dtype)
        self.cross = [F.linear(memory, self.w[f"score.{i}.cross_kv"]).split(self.width, dim=2)
                      for i in range(self.layers)]
        self.k, self.v = ([torch.zeros(rows, WINDOW, self.width, dtype=dtype) for _ in range(self.layers)]
                          for _ in range(2))
        # On a GPU with CUDA graphs: an event is too short for its launches.
        mode = "reduce-overhead" if device() == "cuda" else None
        self.run = torch.compile(self.event, dynamic=False, mode=mode) if compiled else self.event

    def attend(self, q, k, v, mask=None):
        q, k, v = (x.view(self.rows, -1, HEADS, self.width // HEADS).transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).reshape(self.rows, self.width)

    def seen(self, i, k, v, position):
        """Adds this event's k and v; what there is so far. Compiled: the whole window under a mask, for one shape."""
        if not self.compiled:  # position is a number: no wait for the device
            self.k[i][:, position], self.v[i][:, position] = k, v
            return self.k[i][:, :position + 1], self.v[i][:, :position + 1], None
        self.k[i].index_copy_(1, position, k[:, None])
        self.v[i].index_copy_(1, position, v[:, None])
        return self.k[i], self.v[i], (torch.arange(WINDOW) <= position)[None, None, None]

    def event(self, events, context, angles, position):
        w = self.w
        x = model.bag(w["score.events"], events) + model.bag(w["score.context"], context)
        x, angles = x.expand(self.rows, -1), angles.expand(self.rows, -1)
        for i in range(self.layers):
            p = f"score.{i}."
            q, k, v = F.linear(model.rmsnorm(x, w[p + "attn_norm"]), w[p + "qkv"]).split(self.width, dim=1)
            q, k = model.rope(q, angles, HEADS), model.rope(k, angles, HEADS)
            x = x + F.linear(self.attend(q, *self.seen(i, k, v, position)), w[p + "attn_out"])
            q = F.linear(model.rmsnorm(x, w[p + "cross_norm"]), w[p + "cross_q"])
            x = x + F.linear(self.attend(q, *self.cross[i]), w[p + "cross_out"])
            gate, up = F.linear(model.rmsnorm(x, w[p + "ffn_norm"]), w[p + "gate_up"]).chunk(2, dim=1)
            x = x + F.linear(F.silu(gate) * up, w[p + "down"])
        return self.fields(model.rmsnorm(x, w["score.state_norm"]))

    def fields(self, states):
        """A note: its type, then field after field, each from the state and the fields before it."""
        kind = self.draw(model.field_logits(self.w, "type", states, states.new_zeros(self.rows, 0, dtype=torch.long)))
        values = torch.zeros(self.rows, 0, dtype=torch.long)
        for name in ["position", "program", "pitch", "duration", "velocity"]:
            drawn = self.draw(model.field_logits(self.w, name, states, values))
            values = torch.cat([values, drawn.expand(self.rows, 1)], dim=1)
        return kind, values

    def draw(self, logits):
        """One of the most probable that hold 97 %; two rows are guided."""
        logits = logits.float()
        if self.rows == 2:
            logits = (logits[1] + 2 * (logits[0] - logits[1])).unsqueeze(0)
        probabilities, order = torch.softmax(logits, -1).sort(descending=True)
        kept = probabilities.masked_fill(probabilities.cumsum(-1) - probabilities > 0.97, 0)
        return order[0].take((kept[0] / torch.empty_like(kept[0]).exponential_()).argmax())

    def piece(self):
        for at in range(EVENTS):
            row = slice(at, at + 1)
            self.run(self.inputs["events"][row].long(), self.inputs["context"][row].long(), self.inputs["angles"][row],
                     torch.tensor([at]) if self.compiled else at)


def bench_generate(path, rows, dtype, compiled, steps):
    weights, inputs = model.load(path, device=device())
    torch._dynamo.reset()
    with torch.inference_mode():
        generator = Generator(weights, inputs, rows, DTYPES[dtype], compiled)
        seconds = timed(generator.piece, steps, 1)
    report(EVENTS, seconds, what="generate", guidance=rows, dtype=dtype, how="compiled" if compiled else "eager")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile, too: minutes")
    parser.add_argument("--only", choices=["train", "generate"], help="one half")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)
    for dtype in DTYPES:
        for rows in (1, 2) if options.only != "train" else ():
            for compiled in [False] + [True] * options.compile:
                bench_generate(options.dump, rows, dtype, compiled, max(3, options.steps // 2))
        if options.only == "generate":
            continue
        for attention in ("sdpa", "plain"):
            bench_train(options.dump, dtype, attention, "adamw", False, options.steps)
            if options.compile:
                bench_train(options.dump, dtype, attention, "adamw", True, options.steps)
        bench_train(options.dump, dtype, "sdpa", "muon", False, options.steps)


if __name__ == "__main__":
    main()
