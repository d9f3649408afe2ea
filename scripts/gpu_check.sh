#!/usr/bin/env bash
# Everything that only a GPU can say, in one command and less than eight minutes:
#
#   scripts/gpu_check.sh [OUT_DIR]             on a machine with a GPU, in a tree where `make all tests benches` was run
#   scripts/gpu_check.sh --pack FOLDER         copies what that needs into FOLDER: programs, their libraries, a small
#                                              corpus. Carry it to a machine that has the driver and nothing else, and run
#                                              FOLDER/scripts/gpu_check.sh there
#   scripts/gpu_check.sh --dry-run [OUT_DIR]   the same steps over softgpu, each once: shows that the script works, and
#                                              nothing about a GPU
#
# Runs the op, plug-in and model tests on the device (REQUIRE_CUDA=1); compute-sanitizer on op tests, where it is
# installed; NCCL at one rank, and at two where there are two GPUs; times of ops, of a training step and of generation;
# and PyTorch's beside them where python3 has torch (TORCH_PYTHON=python names another). OUT_DIR (default: gpu_check) gets
# report.md and the JSON lines that it is made of. Ends 'N passed, M failed'; what is missing is "not run".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${O:-build}
bin=$build/bin variant=$build/release
mode=run
case ${1:-} in
--pack | --dry-run) mode=${1#--} && shift ;;
-h | --help)
    sed -n '2,17s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac

pack() { # FOLDER
    local to=$1 file library
    [ -n "$to" ] || { echo "gpu_check.sh: --pack needs a folder" >&2 && exit 2; }
    mkdir -p "$to/lib" "$to/$bin" || exit 1
    corpus
    cp -r scripts configs "$to/"
    cp -r "$build/gpu_check.h5" "$to/$build/"
    mkdir -p "$to/infer"
    cp -r infer/pretrained "$to/infer/"
    cp "$bin"/{motet,motet-train,motet-data,libmotet_cuda.so,bench_device,bench_train,bench_generate} "$to/$bin/"
    [ ! -e "$bin/libmotet_mpi.so" ] || cp "$bin/libmotet_mpi.so" "$to/$bin/"
    for file in $(tests_of_device); do
        mkdir -p "$to/$(dirname "$file")" "$to/$variant/$(dirname "$file")"
        cp "$file" "$to/$file"
        [ "${file%.c}" = "$file" ] || cp "$variant/${file%.c}" "$to/$variant/${file%.c}"
    done
    # All but the C library, which is the machine's.
    find "$to/$build" -type f -exec ldd {} + 2>/dev/null | awk '/=> \// {print $3}' | sort -u |
        grep -vE '/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^/]*)\.so' |
        while read -r library; do cp -L "$library" "$to/lib/"; done
    echo "$to: $(du -sh "$to" | cut -f1)"
}
tests_of_device() {
    find tests/kernels tests/device tests/infer/test_*_cuda.c tests/train/test_*_cuda.c -type f |
        grep -E '/test_[a-z0-9_]+\.(c|sh)$'
}
corpus() { # something to train on, from what comes with the repository: a few pieces of the bundled model
    [ ! -e "$build/gpu_check.h5" ] || return 0
    local songs seed
    songs=$(mktemp -d)
    for seed in 1 2 3 4 5 6 7 8; do
        "$bin/motet" --device cpu --seed "$seed" --bars 16 -o "$songs/$seed.mid" "a tune in D major" >/dev/null || exit 1
    done
    "$bin/motet-data" build --jobs 1 -o "$build/gpu_check.h5" "$songs" >/dev/null || exit 1
    rm -rf "$songs"
}
if [ "$mode" = pack ]; then
    pack "${1:-}"
    exit
fi

out=${1:-gpu_check}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
report=$out/report.md
[ ! -d lib ] || export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export MOTET_MODEL=$PWD/infer/pretrained/motet-mini.safetensors
once=()
if [ "$mode" = dry-run ]; then
    once=(--once rmsnorm_forward attention_self)
    MOTET_CUDA_DRIVER=$(realpath "$variant/tests/softgpu/libcuda.so.1") || exit 1
    export MOTET_CUDA_DRIVER SOFTGPU_CHECK=bounds OMP_NUM_THREADS=1
fi
passed=0 failed=0
say() { echo "$@" | tee -a "$report"; }
step() { # NAME COMMAND...: its output goes to the report
    local name=$1 start=$SECONDS status
    shift
    say
    say "## $name"
    say
    "$@" >"$out/step.txt" 2>&1
    status=$?
    cat "$out/step.txt" >>"$report"
    tail -n 25 "$out/step.txt"
    if [ $status = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    say
    say "exit status $status after $((SECONDS - start)) s: $*"
}
not_run() {
    say
    say "## $1"
    say
    say "not run: $2"
}

: >"$report"
say "# gpu_check, $(date -u '+%F %H:%M') UTC"
say
if [ "$mode" = dry-run ]; then
    say "A dry run on softgpu: no figure here says anything about a GPU."
else
    say "$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo 'no nvidia-smi')"
fi
say "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(env -u OMP_NUM_THREADS nproc) threads"

if [ "$mode" = dry-run ]; then
    step "tests" env DEVICE=softgpu SEEDS=1 scripts/run_tests.sh "$variant" "$bin" test_rmsnorm
else
    step "tests" env DEVICE=cuda REQUIRE_CUDA=1 scripts/run_tests.sh "$variant" "$bin"
fi

sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ "$mode" = run ] && [ -x "$sanitizer" ]; then
    for tool in memcheck racecheck; do
        for test in rmsnorm cross_entropy sample flash; do
            step "compute-sanitizer $tool, $test" env MOTET_TEST_DEVICE=cuda MOTET_CUDA_PLUGIN="$(realpath "$bin/libmotet_cuda.so")" \
                timeout 40 "$sanitizer" --tool "$tool" --error-exitcode 9 "$variant/tests/kernels/test_$test"
        done
    done
else
    not_run "compute-sanitizer" "$([ "$mode" = run ] && echo 'it is not installed' || echo 'it needs a GPU')"
fi

corpus
steps=30 pieces=7 config=configs/mini.ini
[ "$mode" = run ] || { steps=1 pieces=1 config=configs/tiny.ini; }
train() { # RANKS
    rm -rf "$out/run"
    scripts/slurm/launch.sh "$1" "$bin/motet-train" --config configs/tiny.ini --data.corpus="$build/gpu_check.h5" \
        --train.device=cuda --train.communicator=nccl --train.rows=64 --train.accumulate=2 --train.steps=3 \
        --run.dir="$out/run" --quiet
}
if [ "$mode" = dry-run ]; then
    not_run "NCCL" "the tests' own library is tested by tests/scripts/test_nccl.sh"
else
    step "NCCL, 1 rank" train 1
    if [ "$(nvidia-smi -L 2>/dev/null | wc -l)" -gt 1 ]; then
        step "NCCL, 2 ranks" train 2
    else
        not_run "NCCL, 2 ranks" "there is one GPU"
    fi
fi

bench_train() { # DTYPE
    "$bin/bench_train" "$config" "$steps" "${@:2}" data.corpus="$build/gpu_check.h5" train.dtype="$1" \
        train.device=cuda | tee -a "$out/model.jsonl"
}
bench_generate() {
    MOTET_BENCH_DEVICE=cuda "$bin/bench_generate" "$MOTET_MODEL" "$pieces" 1 | tee -a "$out/model.jsonl"
}
: >"$out/model.jsonl"
step "ops" "$bin/bench_device" --json "$out/kernels.jsonl" "${once[@]}"
step "training, bf16" bench_train bf16 "$out/dump.safetensors"
step "generation" bench_generate

python=${TORCH_PYTHON:-$(command -v python3 || echo none)}
if [ "$mode" = run ] && "$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    step "PyTorch, kernels" timeout 120 "$python" -B scripts/bench_torch_kernels.py "$out/kernels.jsonl" --json "$out/torch_kernels.json"
    step "PyTorch, model" timeout 240 "$python" -B scripts/bench_torch.py "$out/dump.safetensors" --device cuda --steps 20 --compile
else
    not_run "PyTorch" "$([ "$mode" = run ] && echo "$python has no torch that sees a GPU" || echo 'it needs a GPU')"
fi
rm -rf "$out/step.txt" "$out/run" "$out/dump.safetensors"
say
say "$passed passed, $failed failed; this is in $report"
[ "$failed" = 0 ]
