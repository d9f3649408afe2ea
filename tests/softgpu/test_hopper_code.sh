#!/usr/bin/env bash
# What ptxas made of the kernels for Hopper: they have its tensor cores' and TMA's instructions, wait for neither
# where the source does not, and spill nothing. Prints TAP lines. The disassembler is the toolkit's; where that has
# none, it comes from PyPI, once.
set -uo pipefail
cuda=$(realpath -m "${variant:?}/../cuda") kernels=(kernels/cuda/*_hopper.cu)
kernels=("${kernels[@]##*/}")
kernels=("${kernels[@]%.cu}")
if ! [ -e "$cuda/${kernels[0]}.fatbin" ]; then
    echo "ok 1 # SKIP not run: no nvcc, so no kernels"
    exit 0
fi
failed=0
result() { # STATUS NUMBER NAME
    if [ "$1" = 0 ]; then echo "ok $2 - $3"; else echo "not ok $2 - $3" && failed=1; fi
}

silent() { # PATTERN: ptxas says nothing of the kind
    ! grep -E "$1" "${kernels[@]/#/$cuda/}" >&2
}
kernels=("${kernels[@]/%/.ptxas.txt}")
silent '[1-9][0-9]* bytes (stack frame|spill)'
result $? 1 "no registers are spilled"
silent 'serialized|warpgroup\.(arrive|wait) is injected'
result $? 2 "ptxas leaves the matrix instructions as they are"

version=13.5.37 fetched=$(realpath -m "$variant/../peers/disassembler")
PATH=$PATH:$(dirname "$(realpath "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")"):$fetched
if ! command -v cuobjdump >/dev/null || ! command -v nvdisasm >/dev/null; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$fetched"
    python3 -m pip download -q --no-deps -d "$work" "nvidia-cuda-cuobjdump==$version" "nvidia-cuda-nvdisasm==$version" >&2 &&
        (cd "$work" && sha256sum --check --status <<'END' && for wheel in *.whl; do unzip -q -o -j "$wheel" 'nvidia/*/bin/*' -d "$fetched"; done
38780fee50863252a0b8926357faa91615ca1c8346490563f33a06100cd73f58  nvidia_cuda_cuobjdump-13.5.37-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
d3fdbdd49fa53e2e4aacd3db8259d052bd2b049ececdcb69e92e083c6728e7ca  nvidia_cuda_nvdisasm-13.5.37-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
END
        ) && chmod +x "$fetched"/*
fi
if ! command -v cuobjdump >/dev/null || ! command -v nvdisasm >/dev/null; then
    echo "ok 3 # SKIP not run: no cuobjdump, and PyPI's was not to be had"
    exit $failed
fi
number=3
for kernel in "${kernels[@]%.ptxas.txt}"; do
    said=$(cuobjdump -sass "$cuda/$kernel.fatbin" | awk '
        /Function :/ {name = $3; names[name]}
        /HGMMA/ {products[name]++}
        /UTMALDG/ {loads[name]++}
        /STL|LDL/ {spills[name]++}
        END {
            for (name in names) {
                print name ":", products[name] + 0, "HGMMA,", loads[name] + 0, "UTMALDG,", spills[name] + 0, "to the stack"
                bad += !products[name] || !loads[name] || spills[name]
            }
            exit bad || !length(names)
        }')
    result $? $number "$kernel: HGMMA and UTMALDG in every kernel"
    echo "$said" >&2
    number=$((number + 1))
done
exit $failed
