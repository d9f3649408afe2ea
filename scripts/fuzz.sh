#!/usr/bin/env bash
# Fuzzes the readers of untrusted files with libFuzzer under ASan and UBSan, one after the other, each for its share
# of the time: fuzz.sh VARIANT_FOLDER SECONDS. What was found stays in VARIANT_FOLDER/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1/fuzz seconds=$2
mkdir -p "$folder"
# shellcheck disable=SC2054
flags=(-std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. -D_GNU_SOURCE)
read -ra libraries <<<"$(pkg-config --cflags --libs smf) -ljansson -lutf8proc -lm"
sources=(kernels/core/*.c)
for source in data/*.c; do
    case $source in
    data/corpus* | data/loader* | data/build* | data/command_* | data/data_main.c) ;;
    *) sources+=("$source") ;;
    esac
done
harnesses=(tests/fuzz/fuzz_*.c)
# The arithmetic of the pick-up's harmony compares nothing worth steering by, and tracing it took most of the time.
echo 'fun:add_harmony' >"$folder/untraced"
flags+=("-fsanitize-coverage-ignorelist=$folder/untraced")
declare -A longest=([fuzz_midi]=4096 [fuzz_safetensors]=131072)
share=$((seconds / ${#harnesses[@]}))
builds=()
for harness in "${harnesses[@]}"; do
    name=$(basename "$harness" .c)
    mkdir -p "$folder/$name.corpus"
    clang "${flags[@]}" "$harness" "${sources[@]}" "${libraries[@]}" -o "$folder/$name" &
    builds+=($!)
done
for build in "${builds[@]}"; do wait "$build"; done
# Beginnings are enough to start from: the shorter, the more tries a second.
find /usr/share/games/openttd -name '*.mid' 2>/dev/null | sort | head -20 |
    while read -r song; do head -c 2000 "$song" >"$folder/fuzz_midi.corpus/$(basename "$song")"; done
cp tests/golden/text_tiny.safetensors "$folder/fuzz_safetensors.corpus/"
found=0
for harness in "${harnesses[@]}"; do
    name=$(basename "$harness" .c)
    echo "fuzzing $name for $share s"
    "$folder/$name" -max_len="${longest[$name]:-65536}" -max_total_time="$share" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$folder/$name-" "$folder/$name.corpus" >"$folder/$name.log" 2>&1 || {
        tail -40 "$folder/$name.log"
        echo "fuzz.sh: $name found something; it is in $folder"
        found=$((found + 1))
    }
    grep -E 'number_of_executed_units' "$folder/$name.log" || true
done
echo "$((${#harnesses[@]} - found)) passed, $found failed"
[ $found = 0 ]
