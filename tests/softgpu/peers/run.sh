#!/usr/bin/env bash
# Referees of softgpu: kernels that are not ours, unmodified. run.sh NVCC SOFTGPU_OBJECTS FOLDER BIN
# CUTLASS's and FlashAttention's sources come from PyPI into FOLDER, CUB's are the toolkit's; BIN has our profile_kernels.
# Prints TAP lines and what attention counts beside ours (table.py); ends "N passed, M failed".
set -euo pipefail
cd "$(dirname "$0")/../../.."
nvcc=$1 objects=$2 folder=$3 bin=$4
version=4.2.0.0 sha256=f9599ada45c7bcb6bf53f7d3f0a7d154183e53451c01bfa59eecd37dd4a693f6
mkdir -p "$folder"
wheel=$folder/nvidia_cutlass-$version-py3-none-any.whl
include=$folder/cutlass/cutlass_library/source/include util=$folder/cutlass/cutlass_library/source/tools/util/include
fmha=$folder/cutlass/cutlass_library/source/examples/88_hopper_fmha
if ! [ -d "$include" ] || ! [ -d "$util" ] || ! [ -d "$fmha" ]; then
    python3 -m pip download -q --no-deps -d "$folder" "nvidia-cutlass==$version"
    echo "$sha256  $wheel" | sha256sum --check --status || {
        echo "run.sh: $wheel is not the file that it should be" >&2
        exit 1
    }
    unzip -q -o "$wheel" 'cutlass_library/source/include/*' 'cutlass_library/source/tools/util/include/*' \
        'cutlass_library/source/examples/88_hopper_fmha/*' -d "$folder/cutlass"
fi
# FlashAttention is part of xformers's sources. pip asks them for their metadata, for which their build wants torch: a backend
# that reads PKG-INFO answers instead. Without torch, too, its headers find torch_shim.cuh in the place of torch's.
xformers=0.0.31 xformers_sha256=3fccb159c6327c13fc1b08f8b963c2779ca526e2e50755dee9bcc1bac67d20c6
sources=$folder/xformers-$xformers.tar.gz flash=$folder/flash_attention shim=$folder/shim
if ! [ -d "$flash/csrc/flash_attn/src" ]; then
    mkdir -p "$folder/backend/setuptools" "$flash"
    : >"$folder/backend/setuptools/__init__.py"
    cp tests/softgpu/peers/metadata.py "$folder/backend/setuptools/build_meta.py"
    PYTHONPATH=$folder/backend python3 -m pip download -q --no-deps --no-binary :all: --no-build-isolation -d "$folder" "xformers==$xformers"
    echo "$xformers_sha256  $sources" | sha256sum --check --status || {
        echo "run.sh: $sources is not the file that it should be" >&2
        exit 1
    }
    tar -xzf "$sources" -C "$flash" --strip-components=3 --wildcards '*/third_party/flash-attention/csrc/flash_attn/src/*.h' \
        '*/third_party/flash-attention/csrc/flash_attn/src/*.cuh'
fi
for header in ATen/cuda/CUDAGeneratorImpl.h ATen/cuda/detail/UnpackRaw.cuh c10/cuda/CUDAException.h; do
    mkdir -p "$(dirname "$shim/$header")"
    echo '#include "tests/softgpu/peers/torch_shim.cuh"' >"$shim/$header"
done
gcc -std=c11 -O2 -D_GNU_SOURCE -I. -isystem "$(dirname "$nvcc")/../include" -c tests/softgpu/peers/cudart.c -o "$folder/cudart.o"
own=()
for object in "$objects"/*.o; do
    case $object in */test_*.o | */harness*.o) ;; *) own+=("$object") ;; esac
done
passed=0 failed=0
count() { # FILE STATUS: prints what a program said, adds up its TAP lines
    local good bad
    cat "$1"
    good=$(grep -c '^ok' "$1" || true)
    bad=$(grep -c '^not ok' "$1" || true)
    if [ "$2" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad))
}
for source in tests/softgpu/peers/*.cu; do
    name=$(basename "$source" .cu) arch=80
    case $name in *hopper*) arch=90a ;; esac
    more=()
    case $name in # the flags that their own builds give
    flash_attention*) more=(--use_fast_math --expt-relaxed-constexpr --expt-extended-lambda -I. -I"$shim" -I"$flash/csrc/flash_attn/src") ;;
    cutlass_fmha*) more=(--use_fast_math --expt-relaxed-constexpr -I. -I"$fmha") ;;
    esac
    "$nvcc" -cudart none -std=c++17 -O3 -lineinfo -w -gencode "arch=compute_$arch,code=compute_$arch" "${more[@]}" \
        -I"$include" -I"$util" -c "$source" -o "$folder/$name.o"
    g++ -fopenmp "$folder/$name.o" "$folder/cudart.o" "${own[@]}" -lzstd -lm -o "$folder/$name"
    status=0
    rm -f "$folder/$name.profile"
    SOFTGPU_ARCH=${arch%a} SOFTGPU_PROFILE=$folder/$name.profile "$folder/$name" >"$folder/$name.out" || status=$?
    count "$folder/$name.out" "$status"
done
for arch in 80 90; do
    case=attention_self_both profile=$folder/ours_$arch.profile
    if [ "$arch" = 90 ]; then case=attention_self_both_hopper; fi
    rm -f "$profile"
    MOTET_CUDA_DRIVER=$(realpath "$objects")/libcuda.so.1 SOFTGPU_CHECK=bounds SOFTGPU_ARCH=$arch SOFTGPU_PROFILE=$profile \
        "$bin/profile_kernels" "$case" >/dev/null
done
status=0
python3 -B tests/softgpu/peers/table.py "$folder" >"$folder/table.out" || status=$?
count "$folder/table.out" "$status"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
