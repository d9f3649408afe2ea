#!/usr/bin/env bash
# Referees of softgpu: kernels that are not ours, unmodified. run.sh NVCC SOFTGPU_OBJECTS FOLDER
# CUTLASS's headers come from PyPI into FOLDER, CUB's are the toolkit's. Prints TAP lines; ends "N passed, M failed".
set -euo pipefail
cd "$(dirname "$0")/../../.."
nvcc=$1 objects=$2 folder=$3
version=4.2.0.0 sha256=f9599ada45c7bcb6bf53f7d3f0a7d154183e53451c01bfa59eecd37dd4a693f6
mkdir -p "$folder"
wheel=$folder/nvidia_cutlass-$version-py3-none-any.whl
include=$folder/cutlass/cutlass_library/source/include util=$folder/cutlass/cutlass_library/source/tools/util/include
if ! [ -d "$include" ] || ! [ -d "$util" ]; then
    python3 -m pip download -q --no-deps -d "$folder" "nvidia-cutlass==$version"
    echo "$sha256  $wheel" | sha256sum --check --status || {
        echo "run.sh: $wheel is not the file that it should be" >&2
        exit 1
    }
    unzip -q -o "$wheel" 'cutlass_library/source/include/*' 'cutlass_library/source/tools/util/include/*' -d "$folder/cutlass"
fi
gcc -std=c11 -O2 -D_GNU_SOURCE -I. -isystem "$(dirname "$nvcc")/../include" -c tests/softgpu/peers/cudart.c -o "$folder/cudart.o"
own=()
for object in "$objects"/*.o; do
    case $object in */test_*.o | */harness*.o) ;; *) own+=("$object") ;; esac
done
passed=0 failed=0
for source in tests/softgpu/peers/*.cu; do
    name=$(basename "$source" .cu) arch=80
    case $name in *hopper*) arch=90a ;; esac
    "$nvcc" -cudart none -std=c++17 -O3 -lineinfo -w -gencode "arch=compute_$arch,code=compute_$arch" -I"$include" -I"$util" \
        -c "$source" -o "$folder/$name.o"
    g++ -fopenmp "$folder/$name.o" "$folder/cudart.o" "${own[@]}" -lzstd -lm -o "$folder/$name"
    status=0
    SOFTGPU_ARCH=${arch%a} "$folder/$name" >"$folder/$name.out" || status=$?
    cat "$folder/$name.out"
    good=$(grep -c '^ok' "$folder/$name.out" || true)
    bad=$(grep -c '^not ok' "$folder/$name.out" || true)
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
