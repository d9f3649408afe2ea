#!/usr/bin/env bash
# motet --device cuda, from prompt to file: a valid MIDI file, the CPU's bytes when it decodes greedily. Prints TAP lines.
set -uo pipefail
case ${MOTET_TEST_DEVICE:-cpu} in
cuda*) ;;
*)
    echo "ok 1 # SKIP not run: no device"
    exit 0
    ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SOFTGPU_CHECK=bounds # what is checked in full, test_generation_cuda does
failed=0
result() { # STATUS NUMBER NAME
    if [ "$1" = 0 ]; then echo "ok $2 - $3"; else echo "not ok $2 - $3" && failed=1; fi
}
write() { # DEVICE NAME OPTION...: a short piece
    "$MOTET_BIN" "a short waltz in C major for flute" --bars 2 --seed 3 --quiet "${@:3}" \
        --device "$1" --output "$work/$2.mid"
}
write "$MOTET_TEST_DEVICE" "$MOTET_TEST_DEVICE" --temperature 0 && write cpu cpu --temperature 0
result $? 1 "both write a file"
/usr/bin/python3 -B -c 'import mido, sys; f = mido.MidiFile(sys.argv[1]); sys.exit(not any(m.type == "note_on" for m in f))' \
    "$work/$MOTET_TEST_DEVICE.mid"
result $? 2 "python3-mido reads the device's file and finds notes"
cmp "$work/$MOTET_TEST_DEVICE.mid" "$work/cpu.mid"
result $? 3 "greedy decoding of the bundled model: the same bytes"
write "$MOTET_TEST_DEVICE" drawn --guidance 1 && write cpu drawn-cpu --guidance 1 && cmp "$work/drawn.mid" "$work/drawn-cpu.mid"
result $? 4 "drawn with this seed: the same bytes"
exit $failed
