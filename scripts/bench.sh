#!/usr/bin/env bash
# Speed of kernels, training and generation; with TORCH_PYTHON=python, PyTorch's on the same model, batch and machine,
# ours and theirs in turn. bench.sh BIN_FOLDER. Ends with a table of medians and ratios. THREADS=2 STEPS=5 change it.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1 threads=${THREADS:-$(nproc)} steps=${STEPS:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=$threads OMP_WAIT_POLICY=passive

scripts/fetch_encoder.sh >/dev/null
"$bin/motet-data" build --jobs 1 -o "$work/bench.h5" /usr/share/games/openttd/baseset/openmsx >/dev/null
train() {
    "$bin/bench_train" configs/mini.ini "$steps" "${@:2}" data.corpus="$work/bench.h5" train.device=cpu train.dtype="$1" \
        run.encoder=build/encoder/model.safetensors run.vocab=build/encoder/vocab.txt
}
ours() {
    train bf16 "$work/dump.safetensors"
    train f32
    "$bin/bench_generate" infer/pretrained/motet-mini.safetensors 7 1 "$threads"
    "$bin/bench_generate" infer/pretrained/motet-mini.safetensors 7 2 "$threads"
}
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $threads threads, $(date +%F)"
"$bin/bench_kernels" "" "$threads" 2>/dev/null || "$bin/bench_kernels"
ours >"$work/ours"
if [ -n "${TORCH_PYTHON:-}" ]; then
    "$TORCH_PYTHON" -B scripts/bench_torch.py "$work/dump.safetensors" --threads "$threads" --steps "$steps" >"$work/theirs"
    ours >>"$work/ours"
    "$TORCH_PYTHON" -B scripts/bench_torch.py "$work/dump.safetensors" --threads "$threads" --steps "$steps" >>"$work/theirs"
else
    echo "PyTorch: not run (TORCH_PYTHON=/path/to/python with torch and safetensors)"
    : >"$work/theirs"
fi
python3 -B - "$work/ours" "$work/theirs" <<'PY'
import json
import sys


def read(path):
    rows = {}
    for line in open(path):
        row = json.loads(line)
        rows.setdefault((row["what"], row.get("dtype", f"guidance {row.get('guidance')}")), []).append(row["events_per_s"])
    return {key: sorted(values)[len(values) // 2] for key, values in rows.items()}


ours, theirs = read(sys.argv[1]), read(sys.argv[2])
print("\n| | motet, events/s | PyTorch, events/s | ratio |\n|---|---|---|---|")
for key, rate in ours.items():
    peer = theirs.get(key)
    print(f"| {key[0]}, {key[1]} | {rate:,.0f} | {f'{peer:,.0f}' if peer else '-'} | {f'{rate / peer:.2f}' if peer else '-'} |")
PY
