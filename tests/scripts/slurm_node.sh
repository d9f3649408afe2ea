# shellcheck shell=bash
# A Slurm of one node, this machine: source it, then slurm_start FOLDER and slurm_stop. Needs root, for slurmd does, and
# the packages slurm-wlm and munge. SLURM_CONF is set for sbatch, squeue and their kin. No ports but its own are used.
slurm_missing() { # says what is missing; false if nothing
    [ "$(id -u)" = 0 ] || { echo "slurmd runs as root only" && return 0; }
    local program
    for program in munged slurmctld slurmd sbatch srun; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || { echo "no $program" && return 0; }
    done
    return 1
}

slurm_start() {
    local folder=$1 host port
    host=$(hostname -s)
    port=$((20000 + $$ % 20000))
    slurm_folder=$folder
    mkdir -p "$folder/state" "$folder/spool" "$folder/munge"
    chmod 755 "$folder" "$folder/munge"
    chmod 700 "$folder/state"
    head -c 1024 /dev/urandom >"$folder/munge/key"
    chmod 600 "$folder/munge/key"
    chown -R munge "$folder/munge"
    cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=pmix
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
    export SLURM_CONF=$folder/slurm.conf PATH=$PATH:/usr/sbin
    su -s /bin/sh munge -c "exec /usr/sbin/munged --force --key-file='$folder/munge/key' \
        --socket='$folder/munge/socket' --pid-file='$folder/munge/pid' --log-file='$folder/munge/log' \
        --seed-file='$folder/munge/seed'" || return 1
    slurmctld -i -f "$SLURM_CONF" >"$folder/slurmctld.txt" 2>&1 || return 1
    slurmd -f "$SLURM_CONF" -N "$host" >"$folder/slurmd.txt" 2>&1 || return 1
    for ((try = 0; try < 100; try++)); do
        sinfo -h -o %T 2>/dev/null | grep -qE 'idle|mix|alloc' && return 0
        sleep 0.3
    done
    tail -5 "$folder"/slurm*.log
    return 1
}

slurm_stop() {
    [ -n "${slurm_folder:-}" ] || return 0
    scancel --full -s KILL -u "$(id -un)" 2>/dev/null
    local pid
    for pid in slurmctld.pid slurmd.pid munge/pid; do
        pid=$(cat "$slurm_folder/$pid" 2>/dev/null) && kill "$pid" 2>/dev/null
    done
    pkill -f "slurmstepd.*" 2>/dev/null
    return 0
}
