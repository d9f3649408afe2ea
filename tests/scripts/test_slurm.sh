#!/usr/bin/env bash
# A Slurm of one node runs scripts/slurm/train.sbatch on two ranks: the job is told that its time is nearly up, saves,
# requeues itself, goes on, and ends with the weights of a run that nobody disturbed. Prints TAP lines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/scripts/slurm_node.sh
. tests/scripts/training.sh
missing=$(slurm_missing || true)
[ -e "$(dirname "$train")/libmotet_mpi.so" ] || missing="motet-train was built without Open MPI"
if [ -n "$missing" ]; then
    echo "ok 1 - Slurm # SKIP not run: $missing"
    exit 0
fi
trap 'slurm_stop; rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive ASAN_OPTIONS=detect_leaks=0
started=$SECONDS
slurm_start "$work/slurm"
result $? "a Slurm of one node"
/usr/bin/python3 -B "$scripts/songs.py" songs
"$data" build --valid-percent 20 -o songs.h5 songs >build.txt 2>&1 || cat build.txt

# Slurm looks for jobs whose time is nearly up twice a minute, from its start on. The job starts shortly before that and
# has work for 20 seconds; if the machine was too slow to be caught at it, once more.
settings=(--config "$config" --data.corpus=songs.h5 --train.device=cpu --train.rows=256 --train.accumulate=2
    --train.save_every=0 --train.eval_every=0 --train.log_every=20 --quiet)
"$train" "${settings[@]}" --train.threads=1 --run.dir=run/probe --train.steps=80 >probe.txt 2>&1 || cat probe.txt >&2
steps=$(/usr/bin/python3 -c 'import json
lines = [json.loads(line) for line in open("run/probe/log.jsonl")]
at = [x["seconds"] for x in lines if x["kind"] == "train"]
step = min(b - a for a, b in zip(at, at[1:])) / 20
print(int(20 / (step / 2)))')
for ((try = 0; try < 3; try++)); do
    rm -rf run/job job.txt
    sleep $(((51 - (SECONDS - started) % 30) % 30))
    sbatch -n2 --nodes=1 --gpus-per-node=0 --ntasks-per-node=2 --cpus-per-task=1 --partition=all --time=1 \
        --signal=B:USR1@59 -o job.txt --export=ALL,MOTET_TRAIN_BIN="$train" "$root/scripts/slurm/train.sbatch" \
        "${settings[@]}" --run.dir=run/job --train.steps="$steps" >sbatch.txt 2>&1 || { cat sbatch.txt && break; }
    # A requeued job waits as long as its credential lives, and may look completed for a moment.
    for ((wait = 0, ended = 0; wait < 300 && ended < 6; wait++)); do
        squeue -h -t all -o %T -j "$(grep -oE '[0-9]+' sbatch.txt)" >state.txt
        if grep -qE 'COMPLETED|FAILED|TIMEOUT|CANCELLED|NODE_FAIL' state.txt; then ended=$((ended + 1)); else ended=0; fi
        sleep 0.5
    done
    if ! grep -qx COMPLETED state.txt || grep -q saving job.txt; then break; fi
done
grep -qx COMPLETED state.txt || { cat sbatch.txt state.txt job.txt; tail -n 20 slurm/*.log; }
grep -qx COMPLETED state.txt
result $? "the job completes"
grep -q 'saving' job.txt && grep -q 'requeued' job.txt
result $? "it was told that its time is nearly up, and requeued itself"
[ "$(grep -c 'attempt 2 on' job.txt)" = 1 ]
result $? "it went on in a second attempt"
tail -n 2 job.txt | grep -q 'run/job is done' || { cat job.txt && false; }
result $? "it says that the run is done"
/usr/bin/python3 - "$steps" <<'PY'
import json, sys
lines = [json.loads(line) for line in open("run/job/log.jsonl")]
ends = [line for line in lines if line["kind"] == "end"]
steps = [line["step"] for line in ends]
assert len(ends) > 1 and [line["stopped"] for line in ends] == [True] * (len(ends) - 1) + [False], ends
assert 0 < steps[0] and steps == sorted(set(steps)) and steps[-1] == int(sys.argv[1]), ends
assert [line["step"] for line in lines if line["kind"] == "resume"] == steps[:-1], lines
assert all(line["ranks"] == 2 for line in lines if line["kind"] in ("start", "resume"))
PY
result $? "two ranks stopped at a step and resumed from it"
slurm_stop

"$train" "${settings[@]}" --train.threads=1 --run.dir=run/alone --train.steps="$steps" >alone.txt 2>&1
result $? "the same run, undisturbed"
/usr/bin/python3 -B "$scripts/same_state.py" run/job run/alone
result $? "its weights and moments are the same, bit for bit"

mkdir -p run/switch
touch run/switch/SAVE run/switch/STOP
"$train" "${settings[@]}" --run.dir=run/switch --train.steps=50 >switch.txt 2>&1 &&
    [ "$(cat run/switch/latest)" = step-1 ] && [ ! -e run/switch/SAVE ] && [ -e run/switch/STOP ] || { cat switch.txt && false; }
result $? "files SAVE and STOP in the run directory save and end a run"

launch=$root/scripts/slurm/launch.sh
[ "$(NODES=2 NODE=1 "$launch" 2 sh -c 'echo "$RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT"' | sort)" = \
    "2 of 4, 0 of 2 at 127.0.0.1:29500
3 of 4, 1 of 2 at 127.0.0.1:29500" ]
result $? "launch.sh says to each rank which it is"
start=$SECONDS
"$launch" 3 sh -c '[ "$RANK" != 1 ] || exit 7; exec sleep 60'
[ $? = 7 ] && [ $((SECONDS - start)) -lt 50 ]
result $? "launch.sh ends with the status of the rank that failed, and ends the others"
echo "1..$number"
exit $failed
