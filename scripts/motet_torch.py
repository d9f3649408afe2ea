"""The model in PyTorch, written from the headers of infer/ and train/: the referee of our gradients and the peer in our
benches. Weights are a dict of tensors by the names of infer/weights.c, inputs a dict as tests/train/test_golden_model.c
dumps them (packed sequences with offsets, -1 for "absent")."""
import math

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

FIELD_NAMES = ["type", "metre", "tempo", "chord", "section", "echo", "density", "position", "program", "pitch",
               "duration", "velocity"]
ATTRIBUTES = {"tempo": 49, "metre": 26, "key": 24, "bars": 16, "density": 16, "programs": 258}


ATTENTION = "sdpa"  # or "plain": products and a softmax, which can be faster on a CPU


def bag(table, ids):
    """Sum of table rows; ids [N,K], -1 adds nothing."""
    return (F.embedding(ids.clamp(min=0), table) * (ids >= 0).unsqueeze(-1)).sum(1)


def rmsnorm(x, weight, eps=1e-5):
    return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight).to(weight.dtype)


def lengths_of(offsets):
    return [b - a for a, b in zip(offsets, offsets[1:])]


def attention(q, k, v, q_offsets, k_offsets, heads, causal):
    """Packed sequences one after another; q [N, H*W]. Side by side with padding: one call for all of them."""
    q_lengths, k_lengths = lengths_of(q_offsets), lengths_of(k_offsets)

    def side_by_side(x, lengths):
        return pad_sequence(x[:sum(lengths)].split(lengths), batch_first=True).unflatten(2, (heads, -1)).transpose(1, 2)

    q, k, v = side_by_side(q, q_lengths), side_by_side(k, k_lengths), side_by_side(v, k_lengths)
    unseen = None
    if causal:  # what is padded comes last, so no row that counts sees it
        unseen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu(1)
    elif min(k_lengths) < max(k_lengths):
        unseen = (torch.arange(k.shape[2]) >= torch.tensor(k_lengths)[:, None])[:, None, None]
    if ATTENTION == "plain":
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        if unseen is not None:
            scores = scores.masked_fill(unseen, -math.inf)
        out = torch.softmax(scores, -1).to(v.dtype) @ v
    else:
        mask = None if causal or unseen is None else ~unseen
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    out = out.transpose(1, 2).flatten(2)
    return torch.cat([one[:length] for one, length in zip(out.unbind(0), q_lengths)])


def rope(x, angles, heads):
    """angles [N, W]: cos, then sin; halves of a head make the pairs."""
    n, width = angles.shape
    cos, sin = angles[:, None, :width // 2], angles[:, None, width // 2:]
    a, b = x.view(n, heads, width).chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).reshape(n, -1).to(x.dtype)


def text_encoder(w, ids, offsets, heads):
    """BERT: ids [R] of packed texts -> states [R, D]."""
    place = torch.cat([torch.arange(b - a) for a, b in zip(offsets, offsets[1:])])
    x = w["text.embeddings.word_embeddings.weight"][ids] + w["text.embeddings.position_embeddings.weight"][place]
    x = x + w["text.embeddings.token_type_embeddings.weight"][0]
    layer_norm = lambda x, p: F.layer_norm(x, x.shape[-1:], w[p + ".weight"], w[p + ".bias"], 1e-12)
    linear = lambda x, p: F.linear(x, w[p + ".weight"], w[p + ".bias"])
    x = layer_norm(x, "text.embeddings.LayerNorm")
    layer = 0
    while f"text.encoder.layer.{layer}.output.dense.weight" in w:
        p = f"text.encoder.layer.{layer}."
        q, k, v = (linear(x, p + "attention.self." + n) for n in ("query", "key", "value"))
        x = layer_norm(x + linear(attention(q, k, v, offsets, offsets, heads, False), p + "attention.output.dense"),
                       p + "attention.output.LayerNorm")
        hidden = F.gelu(linear(x, p + "intermediate.dense"))
        x = layer_norm(x + linear(hidden, p + "output.dense"), p + "output.LayerNorm")
        layer += 1
    return x


def attribute_losses(w, states, inputs):
    """Sums of the attribute heads' losses over the texts that belong to windows."""
    width = states.shape[1]
    heads, texts = width // (32 if width % 32 == 0 else 16), inputs["sequences"]
    offsets = inputs["text_offsets"][:texts + 1]
    queries = w["attributes.queries"].repeat(texts, 1)
    count = len(ATTRIBUTES)
    pooled = attention(queries, states, states, [count * i for i in range(texts + 1)], offsets, heads, False)
    losses, first = [], 0
    for number, (name, size) in enumerate(ATTRIBUTES.items()):
        logits = F.linear(pooled[number::count], w["attributes.out"][first:first + size],
                          w["attributes.bias"][first:first + size])
        first += size
        if name == "programs":
            losses.append(F.cross_entropy(logits.view(-1, 2).float(), inputs["program_targets"].view(-1).long(),
                                          reduction="sum"))
        else:
            targets = inputs["attribute_targets"].view(texts, count - 1)[:, number].long()
            losses.append(F.cross_entropy(logits.float(), targets, ignore_index=-1, reduction="sum"))
    return torch.stack(losses)


def memory_of(w, states, inputs):
    text = F.linear(states, w["memory.text_proj"])
    rows, controls = inputs["memory_text"].long(), inputs["memory_controls"].long()
    memory = text[rows.clamp(min=0)] * (rows >= 0).unsqueeze(-1) + bag(w["memory.controls"], controls.unsqueeze(-1))
    return rmsnorm(memory, w["memory.norm"])


def score_decoder(w, inputs, memory, heads):
    x = bag(w["score.events"], inputs["events"].long()) + bag(w["score.context"], inputs["context"].long())
    offsets, memory_offsets, layer = inputs["offsets"], inputs["memory_offsets"], 0
    width = x.shape[1]
    while f"score.{layer}.qkv" in w:
        p = f"score.{layer}."
        q, k, v = F.linear(rmsnorm(x, w[p + "attn_norm"]), w[p + "qkv"]).split(width, dim=1)
        q, k = rope(q, inputs["angles"], heads), rope(k, inputs["angles"], heads)
        x = x + F.linear(attention(q, k, v, offsets, offsets, heads, True), w[p + "attn_out"])
        q = F.linear(rmsnorm(x, w[p + "cross_norm"]), w[p + "cross_q"])
        k, v = F.linear(memory, w[p + "cross_kv"]).split(width, dim=1)
        x = x + F.linear(attention(q, k, v, offsets, memory_offsets, heads, False), w[p + "cross_out"])
        gate, up = F.linear(rmsnorm(x, w[p + "ffn_norm"]), w[p + "gate_up"]).chunk(2, dim=1)
        x = x + F.linear(F.silu(gate) * up, w[p + "down"])
        layer += 1
    return rmsnorm(x, w["score.state_norm"])


def field_logits(w, name, states, values):
    """Logits of one field; values [R, earlier fields] rows of fields.values."""
    p = f"fields.{name}."
    u = states + bag(w["fields.values"], values) if values.shape[1] else states
    gate, up = F.linear(rmsnorm(u, w[p + "norm"]), w[p + "gate_up"]).chunk(2, dim=1)
    y = u + F.linear(F.silu(gate) * up, w[p + "down"])
    return F.linear(rmsnorm(y, w[p + "out_norm"]), w[p + "out"], w[p + "bias"])


def field_losses(w, states, inputs):
    losses = []
    for number, name in enumerate(FIELD_NAMES):
        rows, targets = inputs[f"field_rows.{number}"].long(), inputs[f"field_targets.{number}"].long()
        values = inputs[f"field_values.{number}"].long()
        logits = field_logits(w, name, states[rows.clamp(min=0)], values)
        losses.append(F.cross_entropy(logits.float() if logits.dtype != torch.float64 else logits, targets,
                                      ignore_index=-1, reduction="sum"))
    return torch.stack(losses)


def forward(w, inputs, heads, text_heads, attribute_weight):
    """(objective, field losses, attribute losses, states)."""
    with torch.no_grad():
        text = text_encoder(w, inputs["text_ids"].long(), inputs["text_offsets"], text_heads)
    attributes = attribute_losses(w, text, inputs)
    states = score_decoder(w, inputs, memory_of(w, text, inputs), heads)
    fields = field_losses(w, states, inputs)
    return fields.sum() + attribute_weight * attributes.sum(), fields, attributes, states


def load(path, dtype=torch.float32, device="cpu"):
    """Weights and inputs of a dump (safetensors); offsets become lists."""
    from safetensors import safe_open
    weights, inputs = {}, {}
    with safe_open(path, "pt", device=device) as dump:
        for name in dump.keys():
            if name.startswith("__fill"):
                continue
            tensor = dump.get_tensor(name)
            if name.startswith("input."):
                name = name[len("input."):]
                inputs[name] = tensor.tolist() if "offsets" in name else tensor.to(dtype) if name == "angles" else tensor
            else:
                weights[name] = tensor.to(dtype)
    inputs["sequences"] = len(inputs["offsets"]) - 1
    return weights, inputs


def parameters_of(weights):
    """The trained ones: all but the text encoder."""
    return {n: t.requires_grad_(True) for n, t in weights.items() if not n.startswith("text.")}


assert math.isclose(sum(ATTRIBUTES.values()), 389)
