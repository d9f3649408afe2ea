#!/usr/bin/env bash
# The rules of the house that a machine can check. lint.sh MOTET_BINARY [CHECK...]
# Checks: format tidy layers headers banned lean (all, if none is named). Says what is wrong and where.
set -uo pipefail
cd "$(dirname "$0")/.."
motet=$1
shift
checks=${*:-format layers headers banned lean tidy}
rooms="kernels data configs infer train"
flags="-std=c11 -I. -D_GNU_SOURCE -fopenmp $(pkg-config --cflags smf hdf5)"
failed=0
complain() {
    echo "lint: $*" >&2
    failed=1
}

check_format() {
    git ls-files '*.c' '*.h' '*.inc' | xargs clang-format --dry-run -Werror 2>&1 | grep -E 'error' |
        head -20 | sed 's/^/lint: /' >&2
    [ "${PIPESTATUS[1]}" = 0 ] || failed=1
}

check_tidy() {
    git ls-files 'kernels/*.c' 'data/*.c' 'configs/*.c' 'infer/*.c' 'train/*.c' |
        xargs -P "$(nproc)" -n 4 sh -c 'clang-tidy --quiet "$@" -- '"$flags"' 2>/dev/null' tidy \
            >"${TMPDIR:-/tmp}/motet-tidy.$$" || failed=1
    grep -E '(warning|error):' "${TMPDIR:-/tmp}/motet-tidy.$$" | sort -u | head -60 >&2
    rm -f "${TMPDIR:-/tmp}/motet-tidy.$$"
}

# kernels/core <- kernels, data, configs <- infer <- train
allowed() {
    case "$1" in
    kernels/core) echo "kernels/core" ;;
    kernels) echo "kernels" ;;
    data) echo "data kernels/core" ;;
    configs) echo "configs kernels/core" ;;
    infer) echo "infer configs data kernels" ;;
    train) echo "train infer configs data kernels" ;;
    esac
}
check_layers() {
    local file room include target ok
    for file in $(git ls-files kernels data configs infer train | grep -E '\.(c|h|inc)$'); do
        room=${file%%/*}
        [ "${file#kernels/core/}" != "$file" ] && room=kernels/core
        for include in $(grep -ohE '^#include "[^"]+"' "$file" | cut -d'"' -f2); do
            ok=0
            for target in $(allowed "$room"); do
                [ "${include#"$target"/}" != "$include" ] && ok=1
            done
            [ $ok = 1 ] || complain "$file: $room may not see $include"
        done
    done
    grep -lE '#include <hdf5' -r kernels configs infer train data | grep -vE '^data/(corpus|build|loader)' |
        while read -r file; do echo "lint: $file: HDF5 belongs to data/corpus*" >&2; done | grep . && failed=1
    grep -lE '#include [<"]dnnl' -r kernels configs infer data && complain "oneDNN belongs to train/"
    return 0
}

check_headers() {
    local header
    for header in $(git ls-files $rooms | grep '\.h$'); do
        # shellcheck disable=SC2086
        echo "#include \"$header\"" | gcc $flags -Wall -Werror -fsyntax-only -x c - 2>/dev/null ||
            complain "$header does not stand on its own"
    done
}

# Unsafe calls anywhere; printing and exiting outside programs.
check_banned() {
    local calls='strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|system|popen|alloca|rand|srand|abort|assert'
    grep -nE "(^|[^_a-zA-Z0-9.>])($calls) *\(" $(git ls-files $rooms | grep -E '\.(c|h|inc)$') &&
        complain "these calls are banned: use the bounded ones, motet_fail, motet_rng"
    grep -nE '(^|[^_a-zA-Z0-9])(printf|puts|putchar|exit|perror) *\(|fprintf *\( *(stdout|stderr)' \
        $(git ls-files $rooms | grep '\.c$' | grep -vE '_main\.c$|/command_[a-z_]*\.c$|train/progress\.c$|infer/summary\.c$') &&
        complain "only programs print and exit"
    return 0
}

check_lean() {
    local size stripped
    stripped=$(mktemp)
    ldd "$motet" | grep -E 'hdf5|mpi|nccl|blas|dnnl|stdc\+\+' && complain "$motet links too much"
    strip -o "$stripped" "$motet"
    size=$(wc -c <"$stripped")
    rm -f "$stripped"
    [ "$size" -lt $((2 << 20)) ] || complain "$motet strips to $size bytes, 2 MB are allowed"
    echo "lint: $motet strips to $size bytes"
    git ls-files $rooms | grep -E '\.(c|h|inc)$' | xargs wc -l |
        awk '$2 != "total" && $1 > 450 {print "lint: " $2 " has " $1 " lines: split it"; bad = 1} END {exit bad}' >&2 ||
        failed=1
}

dirty=0
for check in $checks; do
    failed=0
    check_"$check"
    if [ "$failed" = 0 ]; then echo "lint: $check is clean"; else dirty=1; fi
done
exit $dirty
