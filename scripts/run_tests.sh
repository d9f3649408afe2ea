#!/usr/bin/env bash
# Runs every test program and test script; ends "N passed, M failed". run_tests.sh VARIANT_FOLDER BIN_FOLDER
set -uo pipefail
cd "$(dirname "$0")/.."
variant=$1 bin=$2
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export OMP_WAIT_POLICY=passive CMOCKA_MESSAGE_OUTPUT=TAP PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS="suppressions=$PWD/tests/leaks.supp:print_suppressions=0"
export MOTET_BIN=$bin/motet MOTET_DATA_BIN=$bin/motet-data MOTET_TRAIN_BIN=$bin/motet-train

# One program: its output and exit status under its name. A test that hangs is a test that failed.
run_one() {
    name=${1##*/}
    start=$(date +%s%N)
    case $1 in
    *.py) set -- /usr/bin/python3 -B "$1" ;;
    *.sh) set -- bash "$1" ;;
    esac
    timeout 900 "$@" >"$results/$name.out" 2>"$results/$name.err" </dev/null
    echo $? >"$results/$name.status"
    printf '%6d ms  %s\n' $((($(date +%s%N) - start) / 1000000)) "$name"
}
export -f run_one
export results

programs=$(find "$variant/tests" -type f -name 'test_*' -perm -u+x | sort)
scripts=$(find tests -name 'test_*.sh' -o -name 'test_*.py' | sort)
printf '%s\n' $programs $scripts | xargs -P "$(nproc)" -I{} bash -c 'run_one {}'

passed=0 failed=0 skipped=0
for status in "$results"/*.status; do
    name=$(basename "$status" .status)
    out=$results/$name.out
    good=$(grep -cE '^ok ' "$out")
    skip=$(grep -ciE '^(not )?ok .*# skip' "$out")
    bad=$(grep -cE '^not ok ' "$out")
    # A crash, a leak or a time-out fails the program even if each of its tests passed until then.
    if [ "$(cat "$status")" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    if [ $((good + bad)) = 0 ]; then bad=1; fi
    passed=$((passed + good - skip)) skipped=$((skipped + skip)) failed=$((failed + bad))
    if [ "$skip" != 0 ]; then
        echo "not run in $name:"
        grep -iE '^(not )?ok .*# skip' "$out" | sed 's/^/    /'
        grep -h 'not run:' "$out" "$results/$name.err" | sort -u | sed 's/^/    /'
    fi
    if [ "$bad" != 0 ]; then
        echo "failed: $name (exit status $(cat "$status"))"
        grep -vE '^ok ' "$out" | tail -40
        tail -40 "$results/$name.err"
    fi
done
echo "not run: no device (kernels have their CPU twins only, so far)"
if [ "$skipped" = 0 ]; then
    echo "$passed passed, $failed failed"
else
    echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" = 0 ]
