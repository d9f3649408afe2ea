#!/usr/bin/env python3
"""scripts/music_figures.py and evaluate_model.py: figures of pieces whose figures are known, and one evaluation."""
import json
import os
import subprocess
import sys
import tempfile

import mido

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import evaluate_model  # noqa: E402
import music_figures  # noqa: E402

PPQ = 480
done = failed = 0


def check(name, found, wanted):
    global done, failed
    done += 1
    same = abs(found - wanted) < 1e-9 if isinstance(wanted, float) and found is not None else found == wanted
    failed += not same
    print(f"{'ok' if same else 'not ok'} {done} - {name}" + ("" if same else f": {found}, not {wanted}"))


def write(path, notes, program=0, metre=(4, 4), channel=0, end=None):
    """notes: (start, end, pitch) in quarters."""
    song = mido.MidiFile(ticks_per_beat=PPQ)
    track = mido.MidiTrack([mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1]),
                            mido.Message("program_change", program=program, channel=channel)])
    moments = sorted([(e, 0, p) for s, e, p in notes] + [(s, 80, p) for s, e, p in notes])
    now = 0
    for time, velocity, pitch in moments:
        ticks = round(time * PPQ)
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, channel=channel, time=ticks - now))
        now = ticks
    track.append(mido.MetaMessage("end_of_track", time=round((end or now / PPQ) * PPQ) - now))
    song.tracks.append(track)
    song.save(path)


def test_figures(folder):
    path = os.path.join(folder, "scale.mid")
    # A C major scale in crotchets, its first bar three times, a silent bar, then a bar with an F sharp and the tonic.
    bar = [60, 62, 64, 65]
    notes = [(4 * k + i, 4 * k + i + 1, p) for k in range(3) for i, p in enumerate(bar)]
    notes += [(16, 17, 66), (17, 18, 67), (18, 20, 60)]
    write(path, notes)
    figures = music_figures.figures(path, "C major")
    for name, wanted in (("notes a bar, median", 4), ("most notes in a bar", 4), ("silent bars", 0.2),
                         ("notes sounding at once", 0.8), ("notes on a quarter", 1.0), ("bars heard before", 0.5),
                         ("bars like the one just before", 0.5), ("longest run of one bar", 3), ("distinct pitches", 6),
                         ("sounding time out of key", 1 / 16), ("range of an instrument, semitones", 7.0),
                         ("onsets that clash by a semitone", 0.0), ("ends on the tonic in the bass", 1.0),
                         ("ends on notes of the tonic triad", 1.0), ("top line, leaps over an octave", 0.0),
                         ("bars over 120 notes", 0)):
        check("scale: " + name, figures[name], wanted)
    check("scale in D: ends on the tonic", music_figures.figures(path, "D major")["ends on the tonic in the bass"], 0.0)
    check("scale without a key", music_figures.figures(path, "no key")["sounding time out of key"], None)

    path = os.path.join(folder, "clash.mid")
    write(path, [(0, 2, 60), (1, 2, 61), (2.3, 3, 75)], metre=(3, 4), end=6)
    figures = music_figures.figures(path, "C major")
    check("clash: one onset of three", figures["onsets that clash by a semitone"], 1 / 3)
    check("clash: off the grid", figures["notes off the 16th and triplet grid"], 1 / 3)
    check("clash: a leap of 14", figures["top line, leaps over an octave"], 0.5)
    check("clash: a silent bar at the end", figures["silent bars"], 0.5)

    path = os.path.join(folder, "drums.mid")
    write(path, [(i / 2, i / 2 + 0.25, 42) for i in range(8)], channel=9)
    figures = music_figures.figures(path, "C major")
    check("drums have no key", figures["sounding time out of key"], None)
    check("drums have no pitches", figures["distinct pitches"], 0)
    check("drums: eight notes", figures["most notes in a bar"], 8)

    path = os.path.join(folder, "empty.mid")
    write(path, [], end=4)
    check("an empty piece is silent", music_figures.figures(path, "C major")["silent bars"], 1.0)
    rows = [{"a": 1, "b": None}, {"a": 3, "b": 5}]
    check("means leave out what has no meaning", music_figures.mean_figures(rows), {"a": 2.0, "b": 5.0})


def test_hits():
    check("E minor has G major's signature", music_figures.signature("E minor"), music_figures.signature("G major"))
    check("Eb is not E", music_figures.signature("Eb major"), 3)
    check("a caption that states all", evaluate_model.stated("A waltz in Bb major, 3/4, at 90 bpm"),
          {"tempo", "metre", "key"})
    check("a caption that states nothing", evaluate_model.stated("A piece for flute and a minor role"), set())
    piece = {"tempo_bpm": 120.0, "metre": "3/4", "key": "A minor", "programs": [0, 40]}
    heard = {"tempo_bpm": 127.1, "metre": "3/4", "key": "C major", "programs": [{"program": 0}, {"program": 73}]}
    row = evaluate_model.hits(piece, {"heard": heard, "bars": 16}, {"tempo", "metre", "key", "bars"}, [0, 40])
    check("hits", row, {"tempo exactly, in whole bpm": False, "tempo within one bin (12 bins an octave)": True,
                        "tempo within three bins": True, "metre": True, "key heard: tonic and mode": False,
                        "key heard: signature": True, "instruments found (recall)": 0.5,
                        "instruments that were asked (precision)": 0.5, "instruments, F1": 0.5,
                        "instruments exactly": False, "bars": True})
    check("what is not stated is not counted",
          "metre" in evaluate_model.hits(piece, {"heard": heard, "bars": 8}, {"key"}, [0]), False)


def test_evaluation(folder):
    """The whole script over a corpus of three pieces."""
    global done
    model = os.path.join(ROOT, "infer/pretrained/motet-mini.safetensors")
    if not os.path.exists(model):
        done += 1
        print(f"ok {done} - an evaluation # SKIP not run: there is no bundled model")
        return
    data = os.environ.get("MOTET_DATA_BIN", os.path.join(ROOT, "build/bin/motet-data"))
    motet = os.environ.get("MOTET_BIN", os.path.join(ROOT, "build/bin/motet"))
    songs = os.path.join(folder, "songs")
    os.mkdir(songs)
    for number, tonic in enumerate((60, 62, 65)):
        notes = [(i, i + 1, tonic + (0, 4, 7, 12, 11, 7, 5, 2)[i * (number + 3) % 8]) for i in range(31)]
        write(os.path.join(songs, f"{number}.mid"), notes + [(31, 32, tonic)], program=40)
    corpus, told = os.path.join(folder, "three.h5"), os.path.join(folder, "told.json")
    subprocess.run([data, "build", "--jobs", "1", "-o", corpus, songs], check=True, capture_output=True)
    out = subprocess.run([sys.executable, "-B", os.path.join(ROOT, "scripts/evaluate_model.py"), "--corpus", corpus,
                          "--model", model, "--motet", motet, "--motet-data", data, "--split",
                          "all", "--count", "3", "--jobs", "2",
                          "--json", told], capture_output=True, text=True)
    check("an evaluation ends well", out.returncode, 0)
    if out.returncode:
        print(out.stderr, file=sys.stderr)
        return
    with open(told, encoding="utf-8") as stream:
        found = json.load(stream)
    held = found["asked"]["plain, held"]
    for promise in ("tempo exactly, in whole bpm", "metre", "instruments exactly", "bars"):
        check("held: " + promise, held[promise], 1.0)
    check("tables are printed", out.stdout.count("|---|"), 4)


with tempfile.TemporaryDirectory() as scratch:
    test_figures(scratch)
    test_hits()
    test_evaluation(scratch)
print(f"1..{done}")
sys.exit(failed != 0)
