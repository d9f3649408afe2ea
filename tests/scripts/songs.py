#!/usr/bin/env python3
"""songs.py FOLDER: 24 songs as MIDI files, scales in a few keys, metres and tempos: a corpus for training tests."""
import pathlib
import sys

import mido

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for n in range(24):
    song = mido.MidiFile(ticks_per_beat=96)
    track = mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(80 + 10 * (n % 8))))
    track.append(mido.MetaMessage("time_signature", numerator=3 + n % 2, denominator=4))
    track.append(mido.Message("program_change", program=(0, 24, 40, 73)[n % 4]))
    for i in range(64 * (3 + n % 2)):
        pitch = 55 + n % 12 + (0, 2, 4, 5, 7, 9, 11, 12)[i * (1 + n % 3) % 8]
        track.append(mido.Message("note_on", note=pitch, velocity=60 + i % 40))
        track.append(mido.Message("note_off", note=pitch, time=96))
    song.save(folder / f"{n}.mid")
