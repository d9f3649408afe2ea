#!/usr/bin/env bash
# Makes a labelled MIDI corpus from packages alone: songs on mma's grooves, the folk tunes and the
# Bach chorales of music21's corpus, and any folder with a manifest that is added by --more.
#
#   scripts/demo_corpus.sh [--more DIR]... [--songs N] [--seed S] [--jobs J] OUT_DIR
#
# Writes OUT_DIR/**.mid and OUT_DIR/MANIFEST.tsv: file source licence title composer kind genre mood
# group tempo metre key programs (empty where unknown). `group` is held out as a whole: a style file
# of mma, a composer, a family of tunes. Tempo is in quarters a minute. The same seed gives the same
# bytes. OUT_DIR appears when all is done; if it is there already, from the same settings and
# scripts, nothing is done. The music21 wheel is kept under ${MOTET_CACHE:-~/.cache/motet}.
set -euo pipefail

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0"
}
fail() {
    echo "demo_corpus: $*" >&2
    exit 2
}
number() {
    [[ $2 =~ ^[0-9]+$ ]] || fail "$1 wants a number, not '$2'"
}

here=$(cd "$(dirname "$0")" && pwd)
cache=${MOTET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/motet}
music21_version=10.5.1
songs=2500 seed=1 jobs=2 out="" more=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --more | --songs | --seed | --jobs) [[ $# -ge 2 ]] || fail "$1 wants a value" ;;&
        --more) more+=("$2"); shift 2 ;;
        --songs) number "$1" "$2"; songs=$2; shift 2 ;;
        --seed) number "$1" "$2"; seed=$2; shift 2 ;;
        --jobs) number "$1" "$2"; jobs=$2; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        -*) fail "unknown option $1; the options are --more --songs --seed --jobs" ;;
        *) [[ -z $out ]] || fail "one output folder, please: '$out' or '$1'?"; out=$1; shift ;;
    esac
done
[[ -n $out ]] || { usage >&2; exit 2; }
[[ $jobs -ge 1 ]] || fail "--jobs must be at least 1"
for dir in "${more[@]}"; do
    [[ -f $dir/MANIFEST.tsv ]] || fail "$dir has no MANIFEST.tsv"
done

missing=()
command -v mma >/dev/null || missing+=(mma)
command -v abc2midi >/dev/null || missing+=(abcmidi)
command -v python3 >/dev/null || missing+=(python3)
command -v unzip >/dev/null || missing+=(unzip)
[[ ${#missing[@]} -eq 0 ]] || fail "missing: ${missing[*]}; apt-get install ${missing[*]}"

# What was asked for, and by which scripts: the same words mean that the corpus is there already.
asked=$(
    echo "songs=$songs seed=$seed music21=$music21_version"
    for dir in "${more[@]}"; do sha256sum <"$dir/MANIFEST.tsv"; done
    cat "$here"/corpus/*.py "$0" | sha256sum
)
if [[ -e $out ]]; then
    if [[ -f $out/MANIFEST.tsv && -f $out/SETTINGS && $(cat "$out/SETTINGS") == "$asked" ]]; then
        echo "demo_corpus: $out is up to date: $(($(wc -l <"$out/MANIFEST.tsv") - 1)) files"
        exit 0
    fi
    [[ -f $out/MANIFEST.tsv || -z $(ls -A "$out") ]] ||
        fail "$out is there and is no corpus; name another folder"
fi

# Folk tunes and chorales: the folders of a music21 wheel. A --more folder that holds the same
# collection takes its place.
has_more() {
    local dir
    for dir in "${more[@]}"; do [[ -d $dir/$1 ]] && { echo "$dir/$1"; return 0; }; done
    return 1
}
fetch_music21() {
    local folder=$cache/music21-$music21_version
    if [[ ! -d $folder ]]; then
        mkdir -p "$cache"
        rm -rf "$folder.tmp"
        python3 -m pip download --quiet --no-deps --dest "$folder.tmp" \
            "music21==$music21_version" >&2 ||
            fail "cannot download music21 $music21_version from PyPI: python3 with pip and a" \
                "network are needed (apt-get install python3-pip), or put the wheel's folders" \
                "oneills1850, airdsAirs and bach under $folder/music21/corpus"
        unzip -q "$folder.tmp"/music21-*.whl 'music21/corpus/oneills1850/*' \
            'music21/corpus/airdsAirs/*' 'music21/corpus/bach/*' -d "$folder.tmp"
        rm -f "$folder.tmp"/*.whl
        mv "$folder.tmp" "$folder"
    fi
    echo "$folder/music21/corpus"
}

work=$(mktemp -d "$(dirname "$out")/.$(basename "$out").XXXXXX")
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0

abc=()
for name in oneills1850 airdsAirs; do
    if folder=$(has_more "abc/$name"); then
        abc+=("$name=$folder")
    else
        abc+=("$name=$(fetch_music21)/$name")
    fi
done
python3 "$here/corpus/abc_tunes.py" "$work" --seed "$seed" "${abc[@]}"
if ! has_more chorales >/dev/null; then
    python3 "$here/corpus/chorales.py" "$work" "$(fetch_music21)/bach" --seed "$seed"
fi
for dir in "${more[@]}"; do
    python3 "$here/corpus/more_scores.py" "$work" "$dir" --seed "$seed"
done
if [[ $songs -gt 0 ]]; then
    python3 "$here/corpus/mma_songs.py" catalogue "$work/catalogue.json"
    python3 "$here/corpus/mma_songs.py" songs "$work/catalogue.json" "$work" \
        --songs "$songs" --seed "$seed" --jobs "$jobs"
    rm "$work/catalogue.json"
fi

{
    printf 'file\tsource\tlicence\ttitle\tcomposer\tkind\tgenre\tmood\tgroup\ttempo\tmetre\tkey\tprograms\n'
    cat "$work"/*.tsv | LC_ALL=C sort
} >"$work/manifest"
rm "$work"/*.tsv
mv "$work/manifest" "$work/MANIFEST.tsv"
printf '%s\n' "$asked" >"$work/SETTINGS"
chmod 755 "$work"
if [[ -e $out ]]; then
    rm -rf "$out.old"
    mv "$out" "$out.old"
fi
mv "$work" "$out"
rm -rf "$out.old"
trap - EXIT
echo "demo_corpus: $(($(wc -l <"$out/MANIFEST.tsv") - 1)) files in $out"
