#!/usr/bin/env python3
"""Golden vectors for the text encoder: what Hugging Face's BertModel answers.

    python3 -m venv VENV && VENV/bin/pip install torch transformers safetensors numpy
    scripts/fetch_encoder.sh build/encoder
    VENV/bin/python scripts/golden_text.py build/encoder tests/golden

Writes two files, read by tests/infer/test_text_encoder.c:

text_tiny.safetensors    a random BERT, 2 layers, 32 wide, with its weights under Hugging Face's names
                         ("bert.encoder..."), token ids, offsets and all of last_hidden_state
text_minilm.safetensors  all-MiniLM-L6-v2 on the prompts below: token ids, offsets, and of each row of
                         last_hidden_state the first 8 columns and the Euclidean norm; the prompts and
                         the versions used are in the metadata

f32 on the CPU. Each text is run alone, without padding.
"""

import sys

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

PROMPTS = [
    "a slow waltz in D minor for piano and cello",
    "a cheerful jig in D major for flute and guitar",
    "jazz",
    "120 bpm, 7/8, B-flat minor, 16 bars",
    "Bossa nova with nylon guitar, upright bass and brushed drums; relaxed and warm.",
    "dark ambient drone for strings, no drums, very sparse",
    "épic orchestral battle music — fast, loud, in C♯ minor!",
    "",
    "An art song for voice and piano, after Schubert: melancholy, andante, F major, with a middle "
    "section in the relative minor and a return of the first theme at the end.",
    "8-bit chiptune loop, arpeggios, 160 BPM",
    "walzer für klavier, heiter, 3/4-takt",
    "A country ballad in G with steel guitar, fiddle and piano. It has 24 bars. The tempo is slow "
    "(66 bpm). The texture is thin at first, then every instrument joins, and the drums play a "
    "plain backbeat until the last bar, which is silent but for one long chord of the piano.",
]


def bert(config):
    model = BertModel(config, add_pooling_layer=False)
    return model.eval()


def run(model, texts):
    """Rows of last_hidden_state of all texts, one after another."""
    with torch.no_grad():
        return torch.cat([model(torch.tensor([t])).last_hidden_state[0] for t in texts])


def offsets_of(texts):
    offsets = [0]
    for text in texts:
        offsets.append(offsets[-1] + len(text))
    return torch.tensor(offsets, dtype=torch.int32)


def versions():
    return f"torch {torch.__version__}, transformers {transformers.__version__}"


def tiny(path):
    config = BertConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=24)
    torch.manual_seed(7)
    model = bert(config)
    weights = {}
    with torch.no_grad():
        for name, value in model.named_parameters():
            # Wide enough that attention is sharp, GELU bends and every bias counts.
            mean = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            value.copy_(mean + 0.35 * torch.randn_like(value))
            weights["bert." + name] = value.detach().clone().contiguous()
    texts = [torch.randint(0, 64, (n,)).tolist() for n in (1, 5, 24, 2, 17)]
    weights["ids"] = torch.tensor(sum(texts, []), dtype=torch.int32)
    weights["offsets"] = offsets_of(texts)
    weights["states"] = run(model, texts)
    save_file(weights, path, metadata={"versions": versions()})


def minilm(folder, path):
    config = BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6,
                        num_attention_heads=12, intermediate_size=1536)
    model = bert(config)
    weights = load_file(folder + "/model.safetensors")
    weights = {k: v for k, v in weights.items() if "pooler" not in k and "position_ids" not in k}
    model.load_state_dict(weights)
    tokenizer = tokenizers.BertWordPieceTokenizer(folder + "/vocab.txt", lowercase=True)
    texts = [tokenizer.encode(prompt).ids for prompt in PROMPTS]
    states = run(model, texts)
    save_file({"ids": torch.tensor(sum(texts, []), dtype=torch.int32),
               "offsets": offsets_of(texts),
               "first_columns": states[:, :8].contiguous(),
               "norms": states.double().norm(dim=1).float()},
              path, metadata={"versions": versions(), "prompts": "\n".join(PROMPTS)})


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    tiny(sys.argv[2] + "/text_tiny.safetensors")
    minilm(sys.argv[1], sys.argv[2] + "/text_minilm.safetensors")


if __name__ == "__main__":
    main()
