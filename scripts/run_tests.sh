#!/usr/bin/env bash
# Runs every test program and test script; ends "N passed, M failed". run_tests.sh VARIANT_FOLDER BIN_FOLDER [WORD]
# With WORD, only those whose path has it. What they print is shown where something failed.
# With DEVICE=softgpu, those that know the CUDA back-end, over softgpu, once for each schedule of SEEDS="1 2 3"; with
# DEVICE=cuda, the same on the machine's GPU, once.
# tests/slow/ is left out unless WORD is slow/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
variant=$1 bin=$2 word=${3:-}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export results variant
export OMP_WAIT_POLICY=passive CMOCKA_MESSAGE_OUTPUT=TAP PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
unset MOTET_MODEL
case $(realpath -m "$bin") in
"$PWD"/*) ;; # motet finds the bundled model from where it stands
*) export MOTET_MODEL=$PWD/infer/pretrained/motet-mini.safetensors ;;
esac
export MOTET_BIN=$bin/motet MOTET_DATA_BIN=$bin/motet-data MOTET_TRAIN_BIN=$bin/motet-train
if [ -e "$bin/libmotet_cuda.so" ]; then # programs of tests are not beside it
    MOTET_CUDA_PLUGIN=$(realpath "$bin/libmotet_cuda.so")
    export MOTET_CUDA_PLUGIN
fi
device=${DEVICE:-cpu} seeds=('')
if [ "$device" = cuda ]; then
    export MOTET_TEST_DEVICE=cuda
elif [ "$device" = softgpu ]; then
    MOTET_CUDA_DRIVER=$(realpath "$variant/tests/softgpu/libcuda.so.1")
    export MOTET_CUDA_DRIVER MOTET_TEST_DEVICE=cuda OMP_NUM_THREADS=1
    read -ra seeds <<<"${SEEDS:-1 2 3}"
    seeds=("${seeds[@]/#/@}")
fi

# One test, named by its source and perhaps @SEED: its output and exit status. A test that hangs is one that failed.
run_one() {
    local test=${1%@*} file=$results/${1//\//+} start limit command
    [ "$test" = "$1" ] || export SOFTGPU_SEED=${1#*@}
    case $test in
    *.py) command=(/usr/bin/python3 -B "$test") ;;
    *.sh) command=(bash "$test") ;;
    *.c) command=("$variant/${test%.c}") ;;
    esac
    case $test in
    tests/slow/*) limit=7200 ;; # a quarter of an hour of one core, which may be busy
    *) limit=900 ;;
    esac
    start=$(date +%s%N)
    timeout -k 10 "$limit" "${command[@]}" >"$file.out" 2>"$file.err" </dev/null
    echo $? >"$file.status"
    printf '%6d ms  %s\n' $((($(date +%s%N) - start) / 1000000)) "$1" | tee "$file.time"
}
export -f run_one

# The longest of the last time first, so that no core waits at the end; new ones before all others.
mkdir -p "$variant"
times=$variant/test_times_$device
if [ "$word" = slow/ ]; then
    find tests/slow -type f
elif [ "$device" != cpu ]; then
    find tests/kernels tests/device tests/infer/test_*_cuda.c tests/train/test_*_cuda.c -type f
else
    missing=()
    [ -e "$variant/tests/nccl/libnccl.so.2" ] || missing=(-not -path 'tests/nccl/*') # no nccl.h
    find tests -type f -not -path 'tests/slow/*' "${missing[@]}"
fi | grep -E '/test_[a-z0-9_]+\.(c|sh|py)$' | grep -F -- "$word" | sort |
    while read -r test; do printf "$test%s\n" "${seeds[@]}"; done |
    awk -v times="$times" 'BEGIN {while ((getline line < times) > 0) {split(line, part); took[part[3]] = part[1]}}
        {print ($1 in took ? took[$1] : 999999), $1}' | sort -k1,1nr -k2 | cut -d' ' -f2 >"$results/tests"
# nproc counts OpenMP's threads where it finds their number.
xargs -a "$results/tests" -P "$(env -u OMP_NUM_THREADS nproc)" -I{} bash -c 'run_one {}'
[ -n "$word" ] || cat "$results"/*.time >"$times"

passed=0 failed=0 skipped=0
while read -r test; do
    file=$results/${test//\//+}
    status=$(cat "$file.status" 2>/dev/null || echo none)
    skip=$(grep -ciE '^(not )?ok .*# skip' "$file.out")
    good=$(($(grep -cE '^ok ' "$file.out") - $(grep -ciE '^ok .*# skip' "$file.out")))
    bad=$(($(grep -cE '^not ok ' "$file.out") - $(grep -ciE '^not ok .*# skip' "$file.out")))
    planned=$(sed -nE 's/^1\.\.([0-9]+)$/\1/p' "$file.out" | paste -sd+ | sed 's/^$/0/')
    # A crash, a leak, a time-out or a plan cut short fails the program even if each test passed until then.
    if [ "$bad" = 0 ]; then
        if [ "$status" != 0 ] || [ $((good + skip)) = 0 ] || [ $((good + skip)) -lt $((planned)) ]; then bad=1; fi
    fi
    passed=$((passed + good)) skipped=$((skipped + skip)) failed=$((failed + bad))
    if [ "$skip" != 0 ]; then
        echo "skipped in $test:"
        grep -iE '^(not )?ok .*# skip' "$file.out" | sed -E 's/^(not )?/    /'
        grep -hE '^ *not run:' "$file.out" "$file.err" | sort -u | sed 's/^/    /'
    fi
    if [ "$bad" != 0 ]; then
        echo "failed: $test (exit status $status)"
        grep -vE '^ok ' "$file.out" | tail -40
        tail -40 "$file.err"
    fi
done <"$results/tests"
if [ "$device" = softgpu ]; then
    echo "run on softgpu, not on a GPU"
elif [ "${MOTET_TEST_DEVICE:-cpu}" = cpu ]; then
    echo "not run: no device (the kernels' own tests: make test-softgpu; on a GPU: MOTET_TEST_DEVICE=cuda make test)"
    if [ "${REQUIRE_CUDA:-0}" = 1 ]; then
        echo "failed: REQUIRE_CUDA=1, and nothing ran on a device"
        failed=$((failed + 1))
    fi
fi
if [ "$skipped" = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ]
