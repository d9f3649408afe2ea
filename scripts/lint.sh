#!/usr/bin/env bash
# The rules of the house that a machine can check. lint.sh MOTET_BINARY [CHECK...]
# Checks: format tidy layers headers banned lean (all, if none is named). Says what is wrong and where;
# ends "N passed, M failed", in checks.
# shellcheck disable=SC2317
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
motet=$1
shift
[ $# -gt 0 ] || set -- format layers headers banned lean tidy
rooms=(kernels data configs infer train)
code='c|h|inc' device_code='cu|cuh'
# shellcheck disable=SC2207
flags=(-std=c11 -I. -D_GNU_SOURCE -fopenmp $(pkg-config --cflags smf hdf5))
# What may be missing, and where its headers are if not: the CUDA toolkit (as in cuda.mk) and MPI.
nvcc=$(realpath -q "$(command -v "${NVCC-nvcc}" || echo "${NVCC-/usr/local/cuda/bin/nvcc}")")
flags+=(-isystem "${nvcc%/bin/nvcc}/include")
for flag in $(pkg-config --cflags-only-I ompi-c 2>/dev/null); do flags+=(-isystem "${flag#-I}"); done
declare -A needs=([cuda.h]='cuda\.h|(kernels/cuda|tests/softgpu)/driver\.h' [mpi.h]='mpi\.h' [nccl.h]='nccl\.h|tests/nccl/')
for header in "${!needs[@]}"; do
    echo "#include <$header>" | gcc "${flags[@]}" -fsyntax-only -x c - 2>/dev/null && unset "needs[$header]"
done
failed=0
complain() {
    echo "lint: $*" >&2
    failed=1
}
# Says each line that it reads as a complaint; nothing to read, nothing to say.
complain_of_lines() {
    local line
    while read -r line; do complain "$1$line"; done
}
sources() { # PATTERN FOLDER...: the files whose name the pattern describes
    local pattern=$1
    shift
    find "$@" -type f -regextype posix-extended -regex ".*\.($pattern)" | sort
}

# Of the files named on its input, those that can be compiled here; says how many cannot, and why.
compilable() {
    local files header without=()
    mapfile -t files
    for header in "${!needs[@]}"; do
        mapfile -t without < <(printf '%s\n' "${files[@]}" |
            xargs -r grep -lE "# *include *[<\"](${needs[$header]})" /dev/null)
        [ ${#without[@]} = 0 ] && continue
        echo "lint: there is no $header: ${#without[@]} files that need it are left out" >&2
        mapfile -t files < <(printf '%s\n' "${files[@]}" | grep -vxF -f <(printf '%s\n' "${without[@]}"))
    done
    [ ${#files[@]} = 0 ] || printf '%s\n' "${files[@]}"
}

# FILE:LINE:CODE of each line of the files named on its input, without comments and what stands in quotes.
bare() {
    xargs -r awk 'FNR == 1 {inside = 0}
        {
            text = $0
            bare = ""
            while (text != "") {
                if (inside) {
                    end = index(text, "*/")
                    inside = !end
                    text = end ? substr(text, end + 2) : ""
                } else if (match(text, /"([^"\\]|\\.)*"|\047(\\.|[^\047\\])+\047|\/\*|\/\/.*/)) {
                    bare = bare substr(text, 1, RSTART - 1) " "
                    inside = substr(text, RSTART, 2) == "/*"
                    text = substr(text, RSTART + RLENGTH)
                } else {
                    bare = bare text
                    text = ""
                }
            }
            print FILENAME ":" FNR ":" bare
        }'
}

check_format() {
    complain_of_lines "" < <(sources "$code|$device_code" "${rooms[@]}" tests |
        xargs -r clang-format --dry-run -Werror 2>&1 | grep -E 'error' | head -20)
}

check_tidy() {
    local said
    said=$(sources c "${rooms[@]}" | compilable |
        xargs -r -P "$(nproc)" -n 2 sh -c 'clang-tidy --quiet "$@" -- '"${flags[*]}"' 2>/dev/null' tidy) || failed=1
    complain_of_lines "" < <(grep -E '(warning|error):' <<<"$said" | sort -u | head -60)
}

# kernels/core <- kernels, data, configs <- infer <- train: the folders a file may include from, as a pattern.
allowed() {
    case "$1" in
    kernels/core/*) echo 'kernels/core' ;;
    kernels/*) echo 'kernels' ;;
    data/*) echo 'data|kernels/core' ;;
    configs/*) echo 'configs|kernels/core' ;;
    infer/*) echo 'infer|configs|data|kernels' ;;
    train/*) echo 'train|infer|configs|data|kernels' ;;
    esac
}
check_layers() {
    local file
    while read -r file; do
        complain_of_lines "$file may not see " < <(
            sed -nE 's/^ *# *include *"([^"]+)".*/\1/p' "$file" | grep -vE "^($(allowed "$file"))/"
        )
    done < <(sources "$code|$device_code" "${rooms[@]}")
    complain_of_lines "HDF5 belongs to the corpus of data/, not to " < <(
        sources "$code" "${rooms[@]}" | grep -vE '^data/(corpus|build|loader)' | xargs -r grep -lE '# *include *[<"]hdf5'
    )
    complain_of_lines "oneDNN belongs to train/, not to " < <(
        sources "$code" kernels data configs infer | xargs -r grep -lE '# *include *[<"][a-z/_]*dnnl'
    )
}

check_headers() {
    complain_of_lines "does not stand on its own: " < <(
        sources h "${rooms[@]}" tests | compilable | xargs -P "$(nproc)" -I{} sh -c \
            'echo "#include \"{}\"" | gcc '"${flags[*]}"' -Wall -Werror -fsyntax-only -x c - 2>/dev/null || echo {}'
    )
}

# Unsafe calls anywhere; printing and exiting outside programs and the files that are parts of programs.
check_banned() {
    local calls='strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|system|popen|alloca|rand|srand|abort|assert'
    local parts='_main\.c$|/command_[a-z_]*\.c$|^train/progress\.c$|^infer/summary\.c$'
    complain_of_lines "banned (use the bounded ones, MOTET_FAIL, motet_rng): " < <(
        sources "$code|$device_code" "${rooms[@]}" | bare | grep -E "[^_a-zA-Z0-9.>]($calls) *\("
    )
    complain_of_lines "only programs print and exit: " < <(
        sources "c|inc|$device_code" "${rooms[@]}" | grep -vE "$parts" | bare |
            grep -E '[^_a-zA-Z0-9](printf|puts|putchar|exit|perror) *\(|v?fprintf *\( *(stdout|stderr)'
    )
}

check_lean() {
    local size stripped
    complain_of_lines "longer than 450 lines, split it: " < <(
        sources "$code|$device_code" "${rooms[@]}" | xargs -r wc -l | awk '$2 != "total" && $1 > 450 {print $2, $1}'
    )
    if [ ! -x "$motet" ]; then
        complain "there is no $motet: make it first"
        return
    fi
    complain_of_lines "$motet links " < <(ldd "$motet" | grep -iE 'hdf5|mpi|nccl|blas|dnnl|cuda|stdc\+\+')
    stripped=$(mktemp)
    strip -o "$stripped" "$motet"
    size=$(wc -c <"$stripped")
    rm -f "$stripped"
    [ "$size" -lt $((2 << 20)) ] || complain "$motet strips to $size bytes, 2 MB are allowed"
    echo "lint: $motet strips to $size bytes"
}

clean=0 dirty=0
for check in "$@"; do
    case $check in
    format | tidy | layers | headers | banned | lean) ;;
    *)
        echo "lint.sh: '$check' is none of format, tidy, layers, headers, banned, lean" >&2
        exit 2
        ;;
    esac
    failed=0
    "check_$check"
    if [ "$failed" = 0 ]; then
        echo "lint: $check is clean"
        clean=$((clean + 1))
    else
        dirty=$((dirty + 1))
    fi
done
echo "$clean passed, $dirty failed"
[ $dirty = 0 ]
