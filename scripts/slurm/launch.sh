#!/usr/bin/env bash
# Starts N ranks on this host, one for each GPU, without MPI and Slurm, as torchrun does:
#   scripts/slurm/launch.sh N build/bin/motet-train --config configs/base.ini --resume auto ...
# On several hosts, on each of them:
#   NODES=2 NODE=0 MASTER_ADDR=first-host scripts/slurm/launch.sh 8 ...    (NODE=1 on the second)
# torchrun itself will do, too:   torchrun --no-python --nproc-per-node 8 build/bin/motet-train ...
# The first rank that fails ends the others of this host; the ranks of other hosts find out by themselves.
set -uo pipefail
count=${1:-}
if ! [[ $count =~ ^[1-9][0-9]*$ ]] || [ $# -lt 2 ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
shift
export MASTER_ADDR=${MASTER_ADDR:-127.0.0.1} MASTER_PORT=${MASTER_PORT:-29500}
export WORLD_SIZE=$((count * ${NODES:-1})) LOCAL_WORLD_SIZE=$count
ranks=()
tell() { kill -"$1" "${ranks[@]}" 2>/dev/null; }
trap 'tell TERM' TERM INT # each rank saves and ends
trap 'tell USR1' USR1     # each rank saves
for ((local = 0; local < count; local++)); do
    RANK=$((${NODE:-0} * count + local)) LOCAL_RANK=$local "$@" &
    ranks+=($!)
done
status=0
for ((left = count; left > 0; )); do
    wait -n
    code=$?
    alive=0
    for rank in "${ranks[@]}"; do kill -0 "$rank" 2>/dev/null && alive=$((alive + 1)); done
    [ "$alive" -lt "$left" ] || continue # a signal, not an end
    left=$alive
    if [ "$code" != 0 ] && [ "$status" = 0 ]; then
        status=$code
        sleep 5 # the others may know more to say
        tell KILL
    fi
done
exit "$status"
