#!/usr/bin/env python3
"""Random prompts, flags and seeds: every piece must be a valid file that keeps what was stated.

  thousand_pieces.py [--motet BIN] [--motet-data BIN] [--model FILE] [--seed S] [--jobs J] [--tap] N

Each piece is read by python3-mido and by motet-data (libsmf). Checked: both accept it, nothing had to be repaired, no
note hangs, the piece is not empty, and tempo, metre, bars and instruments that were stated hold exactly. A failure is
printed with the command that repeats it. Ends 'N passed, M failed'.
"""
import argparse
import concurrent.futures
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile

import mido

import music_figures

INSTRUMENTS = {"piano": 0, "cello": 42, "flute": 73, "violin": 40, "harp": 46, "trumpet": 56, "drums": 128,
               "clarinet": 71, "organ": 19, "tuba": 58, "banjo": 105, "electric piano": 4, "strings": 48}
METRES = ["4/4", "3/4", "2/4", "6/8", "9/8", "12/8", "2/2", "5/4", "7/8", "3/8", "6/4"]
KEYS = ["C major", "G major", "D minor", "A minor", "Eb major", "F# minor", "Bb major", "B minor"]
MOODS = ["cheerful", "sad", "slow", "lively", "mysterious", "solemn", "gentle", "furious"]
FORMS = ["jig", "waltz", "march", "ballad", "chorale", "air", "bossa nova", "lullaby", "song", "piece"]
ODD = ["", "!", "\u266b\u266b\u266b", "\u97f3\u697d", "Na\u00efve caf\u00e9 \U0001f3b9", "a " * 900, "no no no", "0 bars",
       "9999 bpm in 13/7", "in a minor key", "<svg>&amp;</svg>", "waltz in 4/4 for drums without drums", "-", "--"]


def make_case(rng):
    """A command's arguments and the facts that its piece must show."""
    facts, words, flags = {}, [rng.choice(MOODS), rng.choice(FORMS)], []
    by_flag = rng.random() < 0.5
    if by_flag and rng.random() < 0.3:
        words = [rng.choice(ODD)]

    def state(name, value, in_words, flag):
        facts[name] = value
        if by_flag:
            flags.extend(flag)
        else:
            words.append(in_words)

    if rng.random() < 0.5:
        bpm = rng.randint(40, 240)
        state("tempo", bpm, f"at {bpm} bpm", ["--tempo", str(bpm)])
    if rng.random() < 0.5:
        metre = rng.choice(METRES)
        state("metre", metre, f"in {metre} time", ["--metre", metre])
    if rng.random() < 0.5:
        key = rng.choice(KEYS)
        state("key", key, f"in {key}", ["--key", key])
    if rng.random() < 0.6:
        names = rng.sample(sorted(INSTRUMENTS), rng.randint(1, 4))
        state("programs", sorted(INSTRUMENTS[n] for n in names), "for " + " and ".join(names),
              ["--programs", ",".join(names)])
    bars = rng.choice([1, 2, 3, 4, 4, 8, 8, 12, 16]) if rng.random() < 0.97 else 64
    state("bars", bars, f", {bars} bars" if bars > 1 else ", 1 bar", ["--bars", str(bars)])
    for flag, choices in (("--temperature", ["0", "0.8", "1.2"]), ("--top-p", ["0.8", "1"]),
                          ("--guidance", ["1", "3"]), ("--min-p", ["0", "0.1"])):
        if rng.random() < 0.15:
            flags += [flag, rng.choice(choices)]
    prompt = " ".join(words)
    if prompt.startswith("-"):
        prompt = " " + prompt
    return [prompt, "--seed", str(rng.randrange(1 << 32))] + flags, facts


def check_file(path, facts):
    """What mido finds wrong with a piece, as a list of sentences."""
    song, wrong = mido.MidiFile(path), []
    if song.type != 1 or song.ticks_per_beat != 480:
        wrong.append(f"type {song.type}, {song.ticks_per_beat} ticks a quarter")
    notes, programs = 0, set()
    for track in song.tracks:
        sounding = {}
        for message in track:
            if message.type == "program_change" and message.channel != 9:
                programs.add(message.program)
            if message.type == "note_on" and message.velocity > 0:
                notes += 1
                if message.channel == 9:
                    programs.add(128)
                if sounding.setdefault((message.channel, message.note), 0):
                    wrong.append(f"note {message.note} begins twice")
                sounding[message.channel, message.note] = 1
            elif message.type in ("note_on", "note_off"):
                if not sounding.get((message.channel, message.note)):
                    wrong.append(f"note {message.note} ends without a beginning")
                sounding[message.channel, message.note] = 0
        if any(sounding.values()):
            wrong.append("notes hang")
    if notes == 0:
        wrong.append("no notes")
    tempos = {m.tempo for t in song.tracks for m in t if m.type == "set_tempo"}
    metres = {f"{m.numerator}/{m.denominator}" for t in song.tracks for m in t if m.type == "time_signature"}
    if "tempo" in facts and tempos != {round(60e6 / facts["tempo"])}:
        wrong.append(f"tempo {tempos} microseconds, asked {facts['tempo']} bpm")
    if "metre" in facts and metres != {facts["metre"]}:
        wrong.append(f"metre {metres}, asked {facts['metre']}")
    if "programs" in facts and sorted(programs) != facts["programs"]:
        wrong.append(f"instruments {sorted(programs)}, asked {facts['programs']}")
    starts, end = music_figures.read_notes(path)[1], max(sum(m.time for m in t) for t in song.tracks)
    if len(starts) - 1 != facts["bars"] or starts[-1] * 20 != end:
        wrong.append(f"{end} ticks are not {facts['bars']} bars")
    return wrong


def run_case(number, options, folder):
    """None if the piece is right, else what is wrong and the command."""
    arguments, facts = make_case(random.Random(f"{options.seed}-{number}"))
    path = os.path.join(folder, f"{number}.mid")
    command = [options.motet] + arguments + (["--model", options.model] if options.model else [])
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    told = subprocess.run(command + ["--json", "-o", path], capture_output=True, text=True, env=environment, timeout=300)
    repeat = " ".join(map(shlex.quote, command))
    if told.returncode != 0:
        return f"exit {told.returncode}: {told.stderr.strip()}\n    {repeat}"
    said = json.loads(told.stdout)
    wrong = check_file(path, facts)
    if said["bars"] != facts["bars"]:
        wrong.append(f"{said['bars']} bars, asked {facts['bars']}")
    if "key" in facts and said["key"] != facts["key"]:
        wrong.append(f"key {said['key']}, asked {facts['key']}")
    second = subprocess.run([options.motet_data, "inspect", path], capture_output=True, text=True, timeout=60)
    if second.returncode != 0 or " 0 repaired, 0 bytes skipped" not in second.stdout:
        wrong.append("libsmf: " + (second.stderr.strip() or "something was repaired"))
    os.unlink(path)
    return "; ".join(wrong) + f"\n    {repeat}" if wrong else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--motet", default="build/bin/motet")
    parser.add_argument("--motet-data", default="build/bin/motet-data")
    parser.add_argument("--model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tap", action="store_true", help="one TAP line for each piece")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(run_case, number, options, folder) for number in range(options.count)]
        for number, job in enumerate(jobs):
            trouble = job.result()
            failed += trouble is not None
            if trouble:
                print(f"not ok {number + 1} - piece {number}: {trouble}")
            elif options.tap:
                print(f"ok {number + 1} - piece {number}")
    if not options.tap:
        print(f"{options.count - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
