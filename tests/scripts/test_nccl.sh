#!/usr/bin/env bash
# Training between GPUs that are softgpu's, over a libnccl.so.2 of the tests: two and four processes do what one does,
# with and without ZeRO-1; what goes wrong ends with the rank named, in time. Prints TAP lines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
variant=$(realpath "${variant:-build/release}")
. tests/scripts/training.sh
export MOTET_CUDA_DRIVER=$variant/tests/softgpu/libcuda.so.1 MOTET_NCCL=$variant/tests/nccl/libnccl.so.2
if [ ! -e "$MOTET_CUDA_DRIVER" ] || [ ! -e "$MOTET_NCCL" ] || [ ! -e "$(dirname "$train")/libmotet_cuda.so" ]; then
    echo "ok 1 - ranks on GPUs # SKIP not run: no CUDA toolkit, or none with nccl.h"
    exit 0
fi
export SOFTGPU_CHECK=bounds SOFTGPU_DEVICES=4 MOTET_TEST_NCCL_FOLDER=$work
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
# Leaks of the programs themselves are the other tests' affair; softgpu's memory confuses the search for them.
export ASAN_OPTIONS=detect_leaks=0

/usr/bin/python3 "$scripts/songs.py" songs
"$data" build --valid-percent 20 -o songs.h5 songs >build.txt 2>&1 || { cat build.txt; result 1 "a corpus"; exit 1; }

settings=(--data.corpus=songs.h5 --train.device=cuda --train.communicator=nccl --train.dtype=bf16 --model.layers=1
    --model.window=16 --train.rows=16 --train.accumulate=4 --train.steps=2 --train.log_every=1 --train.save_every=0
    --train.eval_every=0 --train.eval_batches=1)
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Starts NAME's RANKS processes; pid.R are theirs, NAME.R.txt what they say. More arguments are motet-train's.
start() { # NAME RANKS ARGUMENTS...
    local name=$1 ranks=$2 port r
    shift 2
    port=$(free_port)
    for ((r = 0; r < ranks; r++)); do
        local launcher=(RANK="$r" WORLD_SIZE="$ranks" LOCAL_RANK="$r" LOCAL_WORLD_SIZE="$ranks"
            MASTER_ADDR=127.0.0.1 MASTER_PORT="$port")
        [ "$ranks" != 1 ] || launcher=()
        env "${launcher[@]}" "$train" --config "$config" "${settings[@]}" --run.dir="run/$name" "$@" >"$name.$r.txt" 2>&1 &
        pids[r]=$!
    done
}
pids=() ended=()
# Waits for all, in the order in which they end, two minutes at most; ended[R] is the exit status of each.
finish() {
    local r deadline=$((SECONDS + 120))
    ended=()
    while [ ${#ended[@]} -lt ${#pids[@]} ]; do
        for r in "${!pids[@]}"; do
            [ -z "${ended[r]:-}" ] || continue
            [ $SECONDS -lt $deadline ] || kill -KILL "${pids[r]}"
            kill -0 "${pids[r]}" 2>/dev/null && [ $SECONDS -lt $deadline ] && continue
            wait "${pids[r]}" 2>/dev/null
            ended[r]=$?
        done
        sleep 0.05
    done
    pids=()
}
run() {
    start "$@"
    finish
    [ -z "$(printf '%s' "${ended[@]}" | tr -d 0)" ]
}
check() { # NAME COMMAND...: shows what was said if it fails
    local name=$1 status
    shift
    "$@"
    status=$?
    [ $status = 0 ] || tail -v -n 5 $(ls -t ./*.[0-9].txt | head -2) | sed 's/^/# /'
    result $status "$name"
}
losses() { grep -oE '"(loss|grad_norm)": *[-+.0-9e]+' "run/$1/log.jsonl"; }
# shellcheck disable=SC2317
same() { # the same weights and moments, losses and norms
    /usr/bin/python3 "$scripts/same_state.py" run/one "run/$1" && [ "$(losses one | wc -l)" -gt 10 ] &&
        cmp <(losses one) <(losses "$1")
}

check "one process" run one 1
[ $failed = 0 ] || exit 1 # nothing to compare with
check "two ranks" run zero2 2 --train.bucket_mb=0.02
check "have the bits of one" same zero2
check "four ranks" run zero4 4
check "have the bits of one" same zero4
check "two ranks without ZeRO, whose gradients wait" run plain2 2 --train.shard=0 --train.overlap=0
check "have the bits of one" same plain2

if [ -e "$(dirname "$train")/libmotet_mpi.so" ] && command -v mpirun >/dev/null; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    started_by_mpirun() {
        timeout -k 5 180 mpirun -n 2 --oversubscribe --bind-to none "$train" --config "$config" "${settings[@]}" \
            --run.dir=run/mpi2 >mpi2.0.txt 2>&1 && ! grep -q warning mpi2.0.txt
    }
    check "two ranks that mpirun starts" started_by_mpirun
    check "have the bits of one" same mpi2
fi
run twins 2 --train.device=cuda:0
[ "${ended[0]}" = 4 ] && [ "${ended[1]}" = 4 ] && grep -q "NCCL on rank [01]: .*Duplicate GPU" twins.*.txt
check "two ranks on one GPU are refused" test $? = 0

# A fault in the midst of a group of rank $2; seconds from its end, or its timeout, to the end of the others.
struck() { # FAULT RANK OTHER GROUP
    local name=$1$2 began
    rm -rf "run/$name"
    export MOTET_TEST_NCCL_FAULT=$1:$2:$4
    start "$name" 2 --train.timeout=3 --train.steps=1000000
    unset MOTET_TEST_NCCL_FAULT
    began=$SECONDS
    if [ "$1" = stop ]; then
        until grep -qs '^State:.T' "/proc/${pids[$2]}/status" || [ $((SECONDS - began)) -gt 120 ]; do sleep 0.05; done
        began=$SECONDS
        until ! kill -0 "${pids[$3]}" 2>/dev/null || [ $((SECONDS - began)) -gt 30 ]; do sleep 0.05; done
        kill -KILL "${pids[$2]}"
    else
        wait -n "${pids[@]}" 2>/dev/null
        began=$SECONDS
    fi
    took=$((SECONDS - began))
    finish
    [ "$1" = stop ] || took=$((SECONDS - began))
}
struck die 1 0 12
[ "${ended[1]}" = 137 ] && [ "${ended[0]}" = 4 ] && [ $took -le 5 ] && grep -q "rank 1 has died" die1.0.txt
check "rank 1 dies: rank 0 names it within 5 seconds" test $? = 0
struck die 0 1 14
[ "${ended[0]}" = 137 ] && [ "${ended[1]}" = 4 ] && [ $took -le 5 ] && grep -q "rank 0 has died" die0.1.txt
check "rank 0 dies: rank 1 names it within 5 seconds" test $? = 0
struck stop 1 0 12
[ "${ended[0]}" = 4 ] && [ $took -le 8 ] && grep -q "rank 1 keeps the others waiting" stop1.0.txt
check "rank 1 is stopped: rank 0 names it after train.timeout" test $? = 0
struck error 1 0 12
[ "${ended[1]}" = 4 ] && [ "${ended[0]}" = 4 ] && [ $took -le 5 ] && grep -q "NCCL on rank 1: .*system error" error1.1.txt &&
    grep -q "rank 1 has given up" error1.0.txt
check "NCCL fails on rank 1: it says so, and rank 0 names it" test $? = 0
[ -z "$(find . -maxdepth 1 -name 'nccl-*')" ]
check "nothing stays in shared memory" test $? = 0
echo "1..$number"
exit $failed
