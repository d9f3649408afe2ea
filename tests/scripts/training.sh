# shellcheck shell=bash disable=SC2034
# What tests of motet-train share; to be sourced in the repository's root. Says where things are, makes a folder to work
# in, which goes at the end, and enters it.
root=$PWD config=$PWD/configs/tiny.ini scripts=$PWD/tests/scripts
train=$(realpath "${MOTET_TRAIN_BIN:-build/bin/motet-train}")
data=$(realpath "${MOTET_DATA_BIN:-build/bin/motet-data}")
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0 failed=0
result() { # STATUS NAME: a TAP line
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2" && failed=1; fi
}
need_mpi() {
    [ -e "$(dirname "$train")/libmotet_mpi.so" ] && command -v mpirun >/dev/null && return
    echo "ok 1 - several ranks # SKIP not run: no Open MPI, or motet-train was built without it"
    exit 0
}
