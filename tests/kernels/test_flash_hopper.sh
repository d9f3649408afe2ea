#!/usr/bin/env bash
# Attention on a software GPU that says it is a Hopper: the kernels for sm_90a. And that gradients have the same bits
# on every schedule, on both architectures. Prints TAP lines. On a GPU the other tests have what it has.
set -uo pipefail
tests=${variant:?}/tests/kernels
if [ "${MOTET_TEST_DEVICE:-cpu}" = cpu ] || [ -z "${MOTET_CUDA_DRIVER:-}" ]; then
    echo "ok 1 # SKIP not run: no software GPU"
    exit 0
fi
failed=0
for test in test_flash test_flash_bits test_flash_edges; do
    SOFTGPU_ARCH=90 "$tests/$test" hopper || failed=1
done
digest() { # ARCHITECTURE SCHEDULE
    SOFTGPU_ARCH=$1 SOFTGPU_SEED=$2 "$tests/test_flash_bits" digest 2>&1 | grep '^digest '
}
for arch in 80 90; do
    one=$(digest "$arch" "${SOFTGPU_SEED:-1}") two=$(digest "$arch" $((${SOFTGPU_SEED:-1} + 10)))
    if [ -n "$one" ] && [ "$one" = "$two" ]; then
        echo "ok - sm_$arch: the same bits on another schedule"
    else
        echo "not ok - sm_$arch: $one on one schedule, $two on another"
        failed=1
    fi
done
exit $failed
