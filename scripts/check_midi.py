#!/usr/bin/env python3
"""check_midi: does motet read MIDI files as python3-mido does?

    scripts/check_midi.py ORIGINAL RENDITION [ORIGINAL RENDITION ...]
    scripts/check_midi.py --render 'COMMAND {in} {out}' ORIGINAL ...
    scripts/check_midi.py --tables ORIGINAL RENDITION ...

A rendition is what motet makes of an original: read onto its grid and written again without
rounding to event tables. Both are read by mido alone (python3-mido, no code of ours), the original
is put on the grid of 24 ticks a quarter by the rules of data/midi_read.h, and then the lists of
notes (start, duration, program, pitch, velocity), the tempos and the key must agree. Whole bars of
silence in front may have gone and silence for a pickup may have come: one shift, the same for all
notes. With --tables the rendition went through a corpus, so durations and velocities are those of the
event tables (data/events.h) and the tempo is that of each bar. Prints a line for each file that differs, ends 'N agree, M differ', exits 1 if any differs.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict, deque

import mido

GRID = 24
DRUMS = 128
PEDAL_QUARTERS = 16


def on_grid(time, division):
    return (2 * time * GRID + division) // (2 * division)


def read_events(path):
    """All messages of a file as (time, track, place, message), in order."""
    midi = mido.MidiFile(path, charset="latin1", clip=True)
    if midi.type == 2:
        sys.exit(f"{path}: format 2 is not one piece of music")
    events = []
    for number, track in enumerate(midi.tracks):
        time = 0
        for place, message in enumerate(track):
            time += message.time
            events.append((time, number, place, message))
    events.sort(key=lambda event: event[:3])
    return events, midi.ticks_per_beat


def read_notes(events, division):
    """Notes [start, end, program, pitch, velocity] in the file's ticks."""
    notes = []
    sounding = defaultdict(deque)  # (track, channel, pitch): notes begun
    held = defaultdict(list)  # (channel, pitch): notes that the pedal holds
    pedal = defaultdict(bool)
    own, common = {}, defaultdict(int)  # programs by (track, channel), by channel
    track_end = defaultdict(int)

    def release(channel, pitch, time):
        for note in held.pop((channel, pitch), []):
            note[1] = max(note[1], min(time, note[0] + PEDAL_QUARTERS * division))

    def off(key, time):
        if sounding[key]:
            note = sounding[key].popleft()
            note[1] = time
            if pedal[key[1]]:
                held[key[1:]].append(note)

    ahead = 0
    for time, track, _, message in events:
        while ahead < len(events) and events[ahead][0] <= time:
            if events[ahead][3].type == "program_change":
                common[events[ahead][3].channel] = events[ahead][3].program
            ahead += 1
        if message.type == "program_change":
            own[track, message.channel] = message.program
        elif message.type == "note_on" and message.velocity > 0:
            release(message.channel, message.note, time)
            program = own.get((track, message.channel), common[message.channel])
            if message.channel == 9:
                program = DRUMS
            note = [time, time, program, message.note, message.velocity]
            notes.append(note)
            sounding[track, message.channel, message.note].append(note)
        elif message.type in ("note_on", "note_off"):
            off((track, message.channel, message.note), time)
        elif message.type == "control_change" and message.control in (120, 123):
            for pitch in range(128):
                while sounding[track, message.channel, pitch]:
                    off((track, message.channel, pitch), time)
                if message.control == 120:
                    release(message.channel, pitch, time)
        elif message.type == "control_change" and message.control == 64 and message.channel != 9:
            pedal[message.channel] = message.value >= 64
            if not pedal[message.channel]:
                for pitch in range(128):
                    release(message.channel, pitch, time)
        if message.type in ("note_on", "note_off", "program_change") or (
            message.type == "control_change" and message.control in (64, 120, 123)
        ):
            track_end[track] = time
    for (track, _, _), queue in sounding.items():
        for note in queue:
            note[1] = max(track_end[track], note[0] + division)
    last = max(track_end.values(), default=0)
    for channel, pitch in list(held):
        release(channel, pitch, last)
    return notes


def grid_notes(notes, division):
    """The sorted list of grid notes: equal ones merged, overlapping ones of a pitch cut."""
    merged = {}
    for start, end, program, pitch, velocity in notes:
        first = on_grid(start, division)
        length = max(1, on_grid(end, division) - first)
        old = merged.get((first, program, pitch), (0, 0))
        merged[first, program, pitch] = (max(length, old[0]), max(velocity, old[1]))
    result, following = [], {}
    for start, program, pitch in sorted(merged, reverse=True):
        length, velocity = merged[start, program, pitch]
        if (program, pitch) in following:
            length = min(length, following[program, pitch] - start)
        following[program, pitch] = start
        result.append((start, length, program, pitch, velocity))
    return result[::-1]


def tempo_at(events, division):
    """Microseconds a quarter by grid tick: the last of a tick holds."""
    tempos = {0: 500000}
    for time, _, _, message in events:
        if message.type == "set_tempo" and message.tempo > 0:
            tempos[on_grid(time, division)] = message.tempo
    return sorted(tempos.items())


def tempos_heard(notes, tempos):
    """The tempo in force at the start of each note, 4..1000 bpm."""
    heard, place = [], 0
    for note in notes:
        while place + 1 < len(tempos) and tempos[place + 1][0] <= note[0]:
            place += 1
        heard.append(max(60000, min(15000000, tempos[place][1])))
    return heard


def first_key(events):
    return next((m.key for _, _, _, m in events if m.type == "key_signature"), None)


SAME_KEY = {"Db": "C#", "Gb": "F#", "Cb": "B", "Ebm": "D#m", "Abm": "G#m", "Bbm": "A#m"}


DURATIONS = [*range(1, 25), *range(26, 49, 2), *range(52, 97, 4), *range(104, 193, 8), 240, 288, 336, 384]


def last_bar_line(events, division):
    """The grid tick of the last bar line that is not after the end of the file."""
    end = on_grid(max(time for time, *_ in events), division)
    changes = {0: 4 * GRID}
    for time, _, _, message in events:
        if message.type == "time_signature":
            changes[on_grid(time, division)] = 4 * GRID * message.numerator // message.denominator
    line, length = 0, 4 * GRID
    while line + changes.get(line, length) <= end:
        length = changes.get(line, length)
        line += length
    return line


def in_tables(notes, end):
    """Grid notes as events spell them: nearest duration (ties to the shorter, never up into the next note of the pitch or
    half a beat past the end), middle of the velocity's bin."""
    result, following = [], {}
    for start, length, program, pitch, velocity in reversed(notes):
        room = min(following.get((program, pitch), 1 << 30), end + GRID // 2) - start
        rounded = min(DURATIONS, key=lambda d: (abs(d - length), d))
        if rounded > room >= length:
            rounded = max(d for d in DURATIONS if d <= room)
        following[program, pitch] = start
        result.append((start, rounded, program, pitch, 4 * (velocity // 4) + 2))
    return result[::-1]


def compare(original, rendition, tables=False):
    """A sentence about the first difference, or None."""
    events, division = read_events(original)
    expected = grid_notes(read_notes(events, division), division)
    ours_events, ours_division = read_events(rendition)
    ours = grid_notes(read_notes(ours_events, ours_division), ours_division)
    if len(expected) != len(ours):
        return f"{len(expected)} notes, rendition {len(ours)}"
    if not expected:
        return "no notes"
    shift = ours[0][0] - expected[0][0]
    if tables:
        expected = in_tables(expected, last_bar_line(ours_events, ours_division) - shift)
    for want, got in zip(expected, ours):
        if (want[0] + shift,) + want[1:] != got:
            return f"note {want} (shift {shift}) is {got} in the rendition"
    if tables:
        return None
    heard = tempos_heard(expected, tempo_at(events, division))
    ours_heard = tempos_heard(ours, tempo_at(ours_events, ours_division))
    for note, want, got in zip(expected, heard, ours_heard):
        if want != got:
            return f"tempo at note {note}: {want} us, rendition {got} us"
    want, got = first_key(events), first_key(ours_events)
    if SAME_KEY.get(want, want) != SAME_KEY.get(got, got):
        return f"key {want}, rendition {got}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--render", metavar="COMMAND", help="makes {out} from {in}")
    parser.add_argument("--tables", action="store_true", help="renditions went through a corpus")
    parser.add_argument("files", nargs="+", metavar="FILE")
    options = parser.parse_args()
    if not options.render and len(options.files) % 2:
        parser.error("without --render, files come in pairs: ORIGINAL RENDITION")
    agree = differ = 0
    with tempfile.TemporaryDirectory() as folder:
        if options.render:
            pairs = [(name, os.path.join(folder, "out.mid")) for name in options.files]
        else:
            pairs = list(zip(options.files[::2], options.files[1::2]))
        for original, rendition in pairs:
            if options.render:
                words = options.render.split()
                words = [w.replace("{in}", original).replace("{out}", rendition) for w in words]
                subprocess.run(words, check=True)
            difference = compare(original, rendition, options.tables)
            if difference:
                differ += 1
                print(f"{original}: {difference}")
            else:
                agree += 1
    print(f"{agree} agree, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
