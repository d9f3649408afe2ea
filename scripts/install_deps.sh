#!/usr/bin/env bash
# Installs the Debian packages that a task needs and that are missing: install_deps.sh run|train|test|fuzz|lint
set -euo pipefail

run="gcc make pkg-config libsmf-dev libjansson-dev libutf8proc-dev"
train="$run libhdf5-dev libdnnl-dev libmicrohttpd-dev"
test="$train openmpi-bin libopenmpi-dev slurm-wlm munge libcmocka-dev libzstd-dev python3 python3-mido python3-matplotlib python3-pip unzip mma abcmidi openttd-openmsx"
case "${1:-run}" in
run) wanted=$run ;;
train) wanted="$train python3 python3-pip unzip mma abcmidi" ;;
test) wanted=$test ;;
fuzz) wanted="$run clang libclang-rt-14-dev" ;;
lint) wanted="$train clang-format clang-tidy libomp-dev libcmocka-dev libzstd-dev binutils" ;;
*)
    echo "install_deps.sh: '$1' is none of run, train, test, fuzz, lint" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "install_deps.sh: this is no Debian system; what is needed is what Debian calls: $wanted" >&2
    exit 0
fi
missing=
for package in $wanted; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
        echo "install_deps.sh: as root, please type:  apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "install_deps.sh: installing$missing"
export DEBIAN_FRONTEND=noninteractive
install() { $as_root apt-get install -y -q --no-install-recommends $missing >/dev/null; }
install 2>/dev/null || { $as_root apt-get update -q >/dev/null && install; }
