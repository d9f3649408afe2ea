#!/usr/bin/env bash
# What happens to a run of several ranks when one of them dies, hangs, never comes, or is another run's: who is named,
# and how soon. The times are limits of motet's, measured from the event to the sentence: 5 s, 30 s, 60 s. With
# MOTET_SOAK=1 hangs and absences take motet's own time-outs; otherwise they are set to 2 and 3 s. Prints TAP lines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/scripts/training.sh
need_mpi
MOTET_MPI_PLUGIN=$(dirname "$train")/libmotet_mpi.so
export MOTET_MPI_PLUGIN
export OMPI_MCA_odls_base_sigkill_timeout=2 # time to say who has died
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
hang=--train.timeout=2 absent=--train.start_timeout=3
[ "${MOTET_SOAK:-0}" = 0 ] || hang=--quiet absent=--quiet

corpus() { # NAME VELOCITY: what differs has no word in a caption
    mkdir "$1"
    /usr/bin/python3 - "$1" "$2" <<'PY'
import mido, sys
for n in range(12):
    song = mido.MidiFile(ticks_per_beat=96)
    track = mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(80 + 10 * n)))
    for i in range(160):
        pitch = 55 + n + (0, 2, 4, 5, 7, 9, 11, 12)[i * (1 + n % 3) % 8]
        track.append(mido.Message("note_on", note=pitch, velocity=int(sys.argv[2]) + i % 40))
        track.append(mido.Message("note_off", note=pitch, time=96))
    song.save(f"{sys.argv[1]}/{n}.mid")
PY
    "$data" build --valid-percent 20 -o "$1.h5" "$1" >"$1.txt" 2>&1
}
corpus songs 60 && corpus others 61
[ -e others.h5 ] || result 1 "two corpora"

# A run of two in run/NAME; each rank first runs setup.sh, which may know its OMPI_COMM_WORLD_RANK. Ranks speak to
# NAME.txt themselves: mpirun keeps what they say until it has ended all.
cat >rank.sh <<'E2'
#!/bin/sh
echo $$ >"pid.$OMPI_COMM_WORLD_RANK"
. ./setup.sh
exec "$program" "$@" 2>>"$said"
E2
chmod +x rank.sh
run() { # NAME ARGUMENTS...
    local name=$1
    shift
    : >"$name.txt"
    said=$name.txt program=$train ASAN_OPTIONS=detect_leaks=0 timeout -k 5 150 \
        mpirun -n 2 --oversubscribe --bind-to none ./rank.sh --config "$config" \
        --data.corpus=songs.h5 --run.dir="run/$name" --train.device=cpu --train.accumulate=2 --train.rows=64 \
        --train.log_every=1 --train.eval_every=0 --train.save_every=5 "$@" >"$name.mpi" 2>&1
}
check() { # NAME STATUS FILE: shows what was said if it fails
    [ "$2" = 0 ] || tail -n 6 "$3" | sed 's/^/# /'
    result "$2" "$1"
}
await() { # SECONDS COMMAND...
    local stop=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $stop ] || return 1
        sleep 0.05
    done
}
# Does SIGNAL to rank 1 of a long run after some steps; the sentence must come within LIMIT seconds.
happens() { # NAME SIGNAL LIMIT SENTENCE ARGUMENTS...
    local name=$1 start
    rm -f pid.*
    run "$name" --train.steps=100000 "${@:5}" &
    local job=$!
    await 60 grep -qs '"kind":"save"' "run/$name/log.jsonl"
    kill "-$2" "$(cat pid.1)"
    start=$(date +%s%N)
    await 60 grep -q "motet-train: rank 1 (process $(cat pid.1) on .*) $4" "$name.txt"
    local said=$? took=$((($(date +%s%N) - start) / 1000000))
    wait $job
    [ $? != 0 ] && [ $said = 0 ] && [ $took -lt $(($3 * 1000)) ]
    check "a rank that gets SIG$2 is named within $3 s" $? "$name.txt"
    echo "# after $took ms"
}
: >setup.sh
happens killed KILL 5 "has died"
happens stopped STOP 30 "is stopped: no word from it for" $hang

# All of it dies: the next start goes on, with the bits of a run that nothing happened to.
run whole --train.steps=20 --resume auto
check "an undisturbed run" $? whole.txt
rm -f pid.*
run dies --train.steps=20 --resume auto &
job=$!
await 60 grep -qs '"kind":"save","step":5' run/dies/log.jsonl
kill -KILL "$(cat pid.0)" "$(cat pid.1)"
wait $job
run dies --train.steps=20 --resume auto
check "a run whose ranks were all killed goes on by itself" $? dies.txt
/usr/bin/python3 - <<'PY'
import json
tensors = []
for run in "run/whole", "run/dies":
    raw = open(f"{run}/step-20/state.safetensors", "rb").read()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__")
    tensors.append({k: raw[start + v["data_offsets"][0]:start + v["data_offsets"][1]] for k, v in header.items()})
assert len(tensors[0]) > 100 and tensors[0] == tensors[1]
PY
check "with the same bits" $? dies.txt

# A signal to one rank is every rank's.
rm -f pid.*
run asked --train.steps=100000 --train.save_every=0 &
job=$!
await 60 grep -qs '"kind":"train","step":3' run/asked/log.jsonl
kill -USR1 "$(cat pid.1)"
await 60 grep -qs '"kind":"save"' run/asked/log.jsonl
saved=$?
kill -TERM "$(cat pid.1)"
wait $job
[ $? = 0 ] && [ $saved = 0 ] && grep -q "stopped at step" asked.txt
check "SIGUSR1 to one rank saves, SIGTERM to one saves and ends all with 0" $? asked.txt

echo '[ "$OMPI_COMM_WORLD_RANK" != 1 ] || exec sleep 100' >setup.sh
start=$(date +%s%N)
run absent --train.steps=1 "$absent"
code=$? took=$((($(date +%s%N) - start) / 1000000))
[ $code = 4 ] && grep -q "motet-train: rank 0 of 2 .*not all ranks have come within" absent.txt && [ $took -lt 60000 ]
check "a rank that never comes: exit code 4 within 60 s" $? absent.txt
echo "# after $took ms"

echo '[ "$OMPI_COMM_WORLD_RANK" != 1 ] || set -- "$@" --data.corpus=others.h5' >setup.sh
run corpora --train.steps=1
[ $? = 2 ] && grep -q 'motet-train: rank 1: this rank has "corpus SHA-256 .*rank 0 has "corpus SHA-256' corpora.txt &&
    [ ! -e run/corpora/latest ]
check "a rank with another corpus is refused before step 0" $? corpora.txt

cp "$train" other-train && echo >>other-train
echo '[ "$OMPI_COMM_WORLD_RANK" != 1 ] || program=$PWD/other-train' >setup.sh
run programs --train.steps=1
[ $? = 2 ] && grep -q 'motet-train: rank 1: this rank has "program SHA-256 .*rank 0 has "program SHA-256' programs.txt
check "a rank with another program is refused before step 0" $? programs.txt
echo "1..$number"
exit $failed
