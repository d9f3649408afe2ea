#!/usr/bin/env bash
# The house's own scripts can fail: run_tests.sh counts crashes, lint.sh finds what breaks the rules. Prints TAP lines.
set -uo pipefail
root=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0 failed=0
result() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2" && failed=1; fi
}

mkdir -p scripts tests/kernels
cp "$root/scripts/run_tests.sh" "$root/scripts/lint.sh" scripts
plant() { # NAME LINE...: a test script that runs these lines
    printf '%s\n' "${@:2}" >"tests/kernels/test_$1.sh"
}
counts() { # NAME LINE STATUS: how run_tests.sh must end with the tests planted since, and its exit status
    local said status
    said=$(env -u REQUIRE_CUDA bash scripts/run_tests.sh variant bin 2>&1)
    status=$?
    [ "$(tail -1 <<<"$said")" = "$2" ] && [ $status = "$3" ]
    local right=$?
    # Indented, and so counted by nobody.
    [ $right = 0 ] || echo "#   ${said//$'\n'/$'\n'#   }"
    result $right "run_tests: $1"
    rm -f tests/kernels/*
}
plant a 'echo ok 1; echo ok 2'
plant b 'echo 1..1; echo ok 1 - one'
counts "what passes is counted" "3 passed, 0 failed" 0
plant a 'echo ok 1; echo not ok 2; exit 1'
counts "what fails is counted" "1 passed, 1 failed" 1
plant a 'echo ok 1; kill -SEGV $$'
counts "a crash is a failure" "1 passed, 1 failed" 1
plant a 'echo ok 1; exit 3'
counts "an exit status is a failure" "1 passed, 1 failed" 1
plant a 'echo 1..3; echo ok 1'
counts "a plan cut short is a failure" "1 passed, 1 failed" 1
plant a 'true'
counts "silence is a failure" "0 passed, 1 failed" 1
plant a 'echo ok 1; echo "not ok 2 # SKIP two"; echo "ok 3 - three # SKIP why"'
counts "what is skipped has not passed, and has not failed" "1 passed, 0 failed, 2 skipped" 0
plant a 'echo ok 1'
: >tests/kernels/test_b.c
counts "a test that was not built is a failure" "1 passed, 1 failed" 1
plant a 'echo ok 1'
said=$(REQUIRE_CUDA=1 bash scripts/run_tests.sh variant bin)
[ $? = 1 ] && [ "$(tail -1 <<<"$said")" = "1 passed, 1 failed" ]
result $? "run_tests: REQUIRE_CUDA=1 without a device is a failure"
rm -f tests/kernels/*

finds() { # CHECK FILE LINE...: with these lines, the check fails and names the file
    local said status
    mkdir -p kernels/core kernels/cuda data configs infer train
    printf '%s\n' "${@:3}" >"$2"
    said=$(bash scripts/lint.sh none "$1" 2>&1)
    status=$?
    [ $status = 1 ] && grep -q "lint: .*$2" <<<"$said"
    local right=$?
    [ $right = 0 ] || echo "#   ${said//$'\n'/$'\n'#   }"
    result $right "lint $1: $3 in $2"
    rm -f "$2"
}
finds layers kernels/core/x.h '#include "kernels/x.h"'
finds layers kernels/x.c '#include "data/x.h"'
finds layers data/x.c '#include "infer/x.h"'
finds layers data/x.c '#include "kernels/x.h"'
finds layers configs/x.c '#include "data/x.h"'
finds layers infer/x.inc '#include "train/x.h"'
finds layers train/x.c '#include "tests/x.h"'
finds layers data/score.c '#include <hdf5.h>'
finds layers infer/x.c '#include <oneapi/dnnl/dnnl.h>'
finds layers kernels/cuda/x.cuh '#include "data/x.h"'
finds banned data/x.c 'void f(char *a) { strcpy(a, "b"); }'
finds banned data/x.c '/* why' 'not */ void f(char *a) { g("/*"); strcpy(a, "b"); }'
finds banned kernels/cuda/x.cu '__global__ void f() { printf("no"); }'
finds banned infer/x.inc 'int f(int a) { assert(a > 0); return a; }'
finds banned infer/x.c 'void f(void) { exit(1); }'
finds banned data/x.c 'void f(void) { fprintf(stderr, "no"); }'
finds headers kernels/x.h 'size_t f(void);'
seq 451 >train/x.c
said=$(bash scripts/lint.sh "$(command -v true)" lean 2>&1)
[ $? = 1 ] && grep -q "lint: longer than 450 lines.*train/x.c" <<<"$said"
result $? "lint lean: 451 lines in train/x.c"

echo '#include "infer/x.h"' >train/x.c
echo '#include <hdf5.h>' >data/corpus.c
echo 'int main(void) { printf("yes"); }' >infer/motet_main.c
printf '%s\n' '/* What a run gets (auto),' ' * and when it may exit (never). */' 'int f(int a) { return g("rand (%d)", a); }' >infer/x.c
bash scripts/lint.sh none layers banned headers >/dev/null 2>&1
result $? "lint: what is allowed is not found"
echo '#include <cuda.h>' >kernels/cuda/driver.h
echo '#include "kernels/cuda/driver.h"' >kernels/cuda/device.h
NVCC='' bash scripts/lint.sh none headers >/dev/null 2>&1
result $? "lint headers: what needs the toolkit is left out without it"
exit $failed
