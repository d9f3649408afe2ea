#!/usr/bin/env bash
# Training on several ranks that speak MPI: the losses and weights of one rank, with and without ZeRO-1; a
# checkpoint goes on at another number of ranks; what is refused. (Who is named: test_crash_ranks.sh.) Prints TAP lines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/scripts/training.sh
need_mpi
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

/usr/bin/python3 -B "$scripts/songs.py" songs
"$data" build --valid-percent 20 -o songs.h5 songs >build.txt 2>&1 || { cat build.txt; result 1 "a corpus"; exit 1; }

# Trains in run/NAME on RANKS; more arguments are motet-train's. What it says is in NAME.txt.
run() { # NAME RANKS ARGUMENTS...
    local name=$1 ranks=$2 mpi=()
    shift 2
    # Open MPI itself leaks.
    [ "$ranks" = 1 ] || mpi=(env ASAN_OPTIONS=detect_leaks=0 mpirun -n "$ranks" --oversubscribe --bind-to none)
    timeout -k 5 120 "${mpi[@]}" "$train" --run.dir="run/$name" "$@" >"$name.txt" 2>&1
}
fresh() { # NAME RANKS ARGUMENTS...
    run "$1" "$2" --config "$config" --data.corpus=songs.h5 --train.device=cpu --train.accumulate=4 --train.rows=64 \
        --train.steps=6 --train.log_every=1 --train.save_every=3 --train.eval_every=3 --train.eval_batches=3 "${@:3}"
}
# The newest checkpoints hold the same tensors, and the logs the same losses and norms from step $3 on.
same() { # NAME NAME [STEP]
    /usr/bin/python3 - "run/$1" "run/$2" "${3:-0}" <<'PY'
import json, sys
tensors, losses = [], []
for run in sys.argv[1:3]:
    latest = open(f"{run}/latest").read().strip()
    raw = open(f"{run}/{latest}/state.safetensors", "rb").read()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__")
    tensors.append({k: raw[start + v["data_offsets"][0]:start + v["data_offsets"][1]] for k, v in header.items()})
    lines = [json.loads(line) for line in open(f"{run}/log.jsonl")]
    losses.append([(x["kind"], x["step"], x["loss"], x.get("grad_norm")) for x in lines
                   if x["kind"] in ("train", "eval") and x["step"] >= int(sys.argv[3])])
assert tensors[0].keys() == tensors[1].keys() and len(tensors[0]) > 100
differ = [k for k in tensors[0] if tensors[0][k] != tensors[1][k]]
assert not differ, f"{len(differ)} tensors differ, the first is {differ[0]}"
assert losses[0] and losses[0] == losses[1], f"{losses[0]}\n{losses[1]}"
PY
}
check() { # NAME COMMAND...: shows what was said if it fails
    local name=$1
    shift
    "$@"
    local status=$?
    [ $status = 0 ] || tail -v -n 5 "$(ls -t ./*.txt | head -1)" | sed 's/^/# /'
    result $status "$name"
}

check "one rank" fresh one 1
for ranks in 2 4; do
    check "$ranks ranks" fresh "zero$ranks" $ranks
    check "$ranks ranks have the bits of one" same one "zero$ranks"
    check "$ranks ranks without ZeRO" fresh "plain$ranks" $ranks --train.shard=0
    check "ZeRO is plain data parallel on $ranks" same "plain$ranks" "zero$ranks"
done
check "bf16 on one rank" fresh bf1 1 --train.dtype=bf16
check "bf16 on two" fresh bf2 2 --train.dtype=bf16
check "bf16 on two ranks has the bits of one" same bf1 bf2
[ "$(grep -c '"kind": *"save"' run/zero4/log.jsonl)" = 2 ] && grep -q '"ranks": *4' run/zero4/step-6/manifest.json
result $? "one rank writes, and says how many there were"

check "one rank goes on" run one 1 --resume --train.steps=9
cp -r run/one run/from1 && rm -rf run/from1/step-9 && echo step-6 >run/from1/latest && rm run/from1/log.jsonl
check "two go on where one stopped" run from1 2 --resume --train.steps=9
check "with the same bits" same one from1 7
check "one goes on where four stopped" run zero4 1 --resume --train.steps=9
check "with the same bits" same one zero4 7
check "four go on where two stopped" run zero2 4 --resume --train.steps=9
check "with the same bits" same one zero2 7

fresh odd 3
[ $? = 2 ] && [ "$(grep -c motet-train: odd.txt)" = 1 ] && grep -q "train.accumulate = 4.*3 ranks" odd.txt
check "a batch that cannot be shared is refused once" test $? = 0
# Rank 1 with another setting.
cat >uneven.sh <<E2
#!/bin/sh
[ "\$OMPI_COMM_WORLD_RANK" != 1 ] || set -- "\$@" --train.muon_lr=0.003
exec "$train" "\$@"
E2
chmod +x uneven.sh
own=$train train=$PWD/uneven.sh
fresh uneven 2
[ $? = 2 ] && grep -q 'rank 1: this rank has "muon_lr = 0.003.*in \[train\], rank 0 has "muon_lr = 0.004' uneven.txt &&
    [ ! -e run/uneven/latest ]
check "a rank with another setting is refused, with both values" test $? = 0
train=$own
RANK=0 WORLD_SIZE=2 "$train" --config "$config" --data.corpus=songs.h5 --train.accumulate=2 >none.txt 2>&1
[ $? = 2 ] && grep -q "no MPI launcher" none.txt
check "ranks without a launcher" test $? = 0
WORLD_SIZE=2 "$train" --config "$config" --data.corpus=songs.h5 >half.txt 2>&1
[ $? = 2 ] && grep -q "WORLD_SIZE is 2, but RANK is missing" half.txt
check "half of what a launcher says" test $? = 0
echo "1..$number"
exit $failed
