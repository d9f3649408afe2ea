#!/usr/bin/env bash
# The whole path in about two minutes: songs by mma, a corpus, a tiny model, pieces written by it, and the
# check that each is music on paper. train_and_generate.sh BIN_FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive

scripts/demo_corpus.sh --songs 60 --seed 3 --jobs "$(nproc)" "$work/songs" | tail -3
"$bin/motet-data" build --valid-percent 20 -o "$work/songs.h5" "$work/songs" | head -2
"$bin/motet-train" --config configs/tiny.ini --data.corpus="$work/songs.h5" --run.dir="$work/run" \
    --train.steps=150 --train.log_every=50 --train.eval_every=75 | tail -6
model=$(ls "$work"/run/best/model.safetensors)
for seed in 1 2 3 4 5; do
    "$bin/motet" "a waltz for piano and flute in D major" --model "$model" --seed $seed --bars 8 \
        --metre 3/4 --quiet -o "$work/$seed.mid"
    "$bin/motet-data" inspect "$work/$seed.mid" >"$work/$seed.txt"
    grep -q ' 0 repaired, 0 bytes skipped' "$work/$seed.txt"
done
/usr/bin/python3 - "$work"/*.mid <<'PY'
import sys
import mido
for path in sys.argv[1:]:
    song = mido.MidiFile(path)
    on = sum(m.type == "note_on" and m.velocity > 0 for t in song.tracks for m in t)
    off = sum(m.type == "note_off" or m.type == "note_on" and m.velocity == 0 for t in song.tracks for m in t)
    assert on > 0 and on == off, f"{path}: {on} notes begin, {off} end"
print(len(sys.argv) - 1, "pieces are whole")
PY
