#!/usr/bin/env bash
# The program motet from outside: what it says, writes and refuses. Prints TAP lines.
set -uo pipefail
cd "$(dirname "$0")/../.."
motet=$(realpath "${MOTET_BIN:-build/bin/motet}")
data=$(realpath "${MOTET_DATA_BIN:-build/bin/motet-data}")
model=$PWD/infer/pretrained/motet-mini.safetensors
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0 failed=0
result() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2" && failed=1; fi
}
# The program fails with this exit status, says this, and leaves no file behind.
refuses() { # NAME STATUS PATTERN ARGUMENTS...
    local name=$1 status=$2 pattern=$3 said
    shift 3
    said=$("$motet" "$@" 2>&1 >/dev/null </dev/null)
    local got=$?
    [ $got = "$status" ] && [ "$(echo "$said" | wc -l)" = 1 ] && echo "$said" | grep -qE "$pattern" && [ -z "$(ls)" ]
    local right=$?
    [ $right = 0 ] || echo "# exit $got, said: $said, files: $(ls)"
    result $right "$name"
}

refuses "no prompt" 2 "what shall it be"
refuses "no bars" 2 "nearest is 1" "a jig" --bars 0
refuses "too many bars" 2 "nearest is 512" "a jig" --bars 100000
refuses "impossible tempo" 2 "nearest possible is 256" "a jig" --tempo 9999
refuses "tempo that is no number" 2 "takes a number" "a jig" --tempo fast
refuses "unknown instrument" 2 "nearest is 'piano'" "a jig" --programs pianno
refuses "impossible metre" 2 "nearest is" "a jig" --metre 13/7
refuses "unknown key" 2 "is no key" "a jig" --key "H minor"
refuses "misspelt flag" 2 "nearest is --tempo" "a jig" --tempoo 90
refuses "two prompts" 2 "two prompts" a jig
refuses "flag without value" 2 "needs a value" "a jig" --bars
refuses "sampling out of range" 2 "out of range" "a jig" --temperature -1
refuses "prompt that is not UTF-8" 2 "not UTF-8 at byte 2" "$(printf 'a \xff jig')"
refuses "prompt of 64 kB" 2 "at most 4096" "$(head -c 65536 /dev/zero | tr '\0' a)"
refuses "device that is not there" 6 "CUDA|cuda" "a jig" --device cuda:99
refuses "device that is none" 2 "is no device" "a jig" --device gpu
refuses "model that is not there" 4 "nowhere.safetensors" "a jig" --model nowhere.safetensors
refuses "model that is none" 3 "passwd" "a jig" --model /etc/passwd
"$motet" --help | grep -q "exit codes"
result $? "help"

if [ ! -e "$model" ]; then
    echo "ok $((number + 1)) - pieces # SKIP not run: there is no bundled model"
    exit $failed
fi
head -c 1000000 "$model" >"$work/cut.safetensors"
said=$("$motet" "a jig" --model cut.safetensors 2>&1)
[ $? = 3 ] && echo "$said" | grep -q "cut.safetensors" && [ "$(ls)" = cut.safetensors ]
result $? "a truncated model is named and refused"
rm cut.safetensors

"$motet" "a cheerful jig in D major for flute and guitar" --seed 7 --bars 4 >summary
[ -s a-cheerful-jig-in-d-major-for-flute-and-guitar.mid ] && grep -q "seed  *7" summary && grep -q "D major" summary
result $? "a piece is named by its prompt"
"$motet" "a cheerful jig in D major for flute and guitar" --seed 7 --bars 4 --quiet
cmp -s a-cheerful-jig-in-d-major-for-flute-and-guitar.mid a-cheerful-jig-in-d-major-for-flute-and-guitar-2.mid
result $? "same seed, same bytes; no file is overwritten unasked"
"$motet" "a cheerful jig in D major for flute and guitar" --seed 7 --bars 4 --threads 1 -o - 2>/dev/null |
    cmp -s - a-cheerful-jig-in-d-major-for-flute-and-guitar.mid
result $? "standard output carries the same bytes, with one thread too"
"$data" inspect a-cheerful-jig-in-d-major-for-flute-and-guitar.mid | grep -q " 0 repaired, 0 bytes skipped"
result $? "nothing has to be repaired in it"
echo "a sad song" | "$motet" - --bars 2 --quiet -o in.mid && [ -s in.mid ]
result $? "the prompt may come from standard input"
"$motet" "" --bars 2 --quiet -o empty.mid && [ -s empty.mid ]
result $? "an empty prompt is a free choice"
"$motet" 'drums & <bass> "loud"' --bars 2 --seed 1 --quiet -o x.mid --svg x.svg &&
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse("x.svg")'
result $? "the piano roll is well-formed SVG"
cp in.mid old.mid
said=$( (ulimit -f 0; exec "$motet" "a jig" --bars 2 --quiet -o in.mid) 2>&1)
[ $? = 4 ] && cmp -s in.mid old.mid && [ "$(echo "$said" | wc -l)" = 1 ]
result $? "a full disk leaves the old file and says so"
"$motet" "a jig" --bars 2 --quiet -o w.mid --wav w.wav 2>said
status=$?
{ [ $status = 0 ] && [ -s w.wav ]; } || { [ $status = 6 ] && grep -q "apt install" said && [ -s w.mid ]; }
result $? "sound, or the sentence that says what is missing"
"$motet" "a jig" --bars 2 --json --seed 3 -o j.mid | python3 -c 'import json, sys; said = json.load(sys.stdin); assert said["bars"] == 2'
result $? "JSON is JSON"
said=$("$motet" "a jig" --bars 2 --json -o nowhere/j.mid 2>/dev/null)
[ $? = 4 ] && [ -z "$said" ]
result $? "nothing is said to be written that is not"
"$motet" --bars 2 --quiet -o dash.mid -- "-a jig" && [ -s dash.mid ]
result $? "behind -- a prompt may begin with a dash"
"$motet" "a jig" --seed 5 --bars 3 --tempo 90.5 --metre 6/8 --key "F# minor" --programs "flute,drums" --quiet -o f.mid
flags=$(strings -n 8 f.mid | sed -n 's/.*flags: //p')
echo "$flags" | grep -q -- "--bars 3 --tempo 90.5 --metre 6/8 --key 'F# minor' --programs 'flute,drums'" &&
    eval "\"$motet\" 'a jig' --seed 5 $flags --quiet -o again.mid" && cmp -s f.mid again.mid
result $? "the file says how to make it again"
"$motet" "a jig" --bars 2 --quiet -o w.mid --wav nowhere/w.wav --soundfont /etc/passwd 2>said
[ $? = 3 ] && grep -q "passwd is no soundfont" said && [ -s w.mid ]
result $? "what is no soundfont is named"
exit $failed
