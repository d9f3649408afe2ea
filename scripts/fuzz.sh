#!/usr/bin/env bash
# Fuzzes the readers of untrusted files with libFuzzer under ASan and UBSan: fuzz.sh VARIANT_FOLDER SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1/fuzz seconds=$2
mkdir -p "$folder"
flags="-std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. -D_GNU_SOURCE"
libraries="$(pkg-config --cflags --libs smf) -ljansson -lutf8proc -lm"
sources=$(ls data/*.c kernels/core/*.c | grep -vE 'data/(corpus|loader|build|command_|data_main)')
harnesses=(tests/fuzz/fuzz_*.c)
share=$((seconds / ${#harnesses[@]}))
for harness in "${harnesses[@]}"; do
    name=$(basename "$harness" .c)
    # shellcheck disable=SC2086
    clang $flags "$harness" $sources $libraries -o "$folder/$name"
    mkdir -p "$folder/$name.corpus"
done
find /usr/share/games/openttd -name '*.mid' -size -20k 2>/dev/null | head -20 |
    xargs -r -I{} cp {} "$folder/fuzz_midi.corpus/" || true
cp tests/golden/text_tiny.safetensors "$folder/fuzz_safetensors.corpus/" 2>/dev/null || true
for harness in "${harnesses[@]}"; do
    name=$(basename "$harness" .c)
    echo "fuzzing $name for $share s"
    "$folder/$name" -max_total_time="$share" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$folder/$name-" "$folder/$name.corpus" >"$folder/$name.log" 2>&1 ||
        { tail -40 "$folder/$name.log"; echo "fuzz.sh: $name found something: $folder"; exit 1; }
    grep -E 'number_of_executed_units' "$folder/$name.log"
done
