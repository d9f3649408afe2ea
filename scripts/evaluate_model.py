#!/usr/bin/env python3
"""Does a model do what it is asked, and does it sound like its corpus? Prints the tables of the model card.

  evaluate_model.py --corpus CORPUS.h5 [--model FILE] [--count 200] [--jobs J] [--json OUT.json] [-- MOTET FLAGS]

For `count` captions of held-out pieces, and as many plain prompts made from the pieces' facts, one piece is generated
free (--free: the model alone) and one as users have it (what the prompt states is held). What they are is measured by
motet-data inspect, from the MIDI file alone. Chance is the same measure with prompts and pieces shuffled.
"""
import argparse
import collections
import concurrent.futures
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile

import mido


def facts_prompt(piece, names, rng):
    """A plain prompt that states the piece's facts."""
    mood = rng.choice(["lively", "calm", "simple", "beautiful", "folk", "classical"])
    players = " and ".join(names[p] for p in piece["programs"][:4])
    return (f"a {mood} piece in {piece['key']} for {players}, {piece['metre']}, "
            f"{round(piece['tempo_bpm'])} bpm, 16 bars")


def notes_of(path):
    """Sorted (start, end, program, pitch) in quarters, and the bar length in quarters."""
    song, notes, bar = mido.MidiFile(path), [], 4.0
    for track in song.tracks:
        time, program, sounding = 0, 0, {}
        for message in track:
            time += message.time
            if message.type == "time_signature" and time == 0:
                bar = 4.0 * message.numerator / message.denominator
            if message.type == "program_change":
                program = message.program
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = (time, 128 if message.channel == 9 else program)
            elif message.type in ("note_on", "note_off") and message.note in sounding:
                start, player = sounding.pop(message.note)
                notes.append((start / song.ticks_per_beat, time / song.ticks_per_beat, player, message.note))
    return sorted(notes), bar


def music_figures(path):
    """What a piece is like, from its notes alone."""
    notes, bar = notes_of(path)
    bars = collections.defaultdict(list)
    for start, end, program, pitch in notes:
        bars[int(start / bar + 1e-6)].append((round((start % bar) * 24), program, pitch))
    total = max(bars) + 1 if bars else 1
    counts = [len(bars.get(i, ())) for i in range(total)]
    heard = [frozenset(bars[i]) for i in sorted(bars)]
    same = sum(1 for i, bar_notes in enumerate(heard) if bar_notes in heard[:i])
    weights, melodic = [0.0] * 12, [n for n in notes if n[2] != 128]
    for start, end, _, pitch in melodic:
        weights[pitch % 12] += end - start
    scale = {0, 2, 4, 5, 7, 9, 11}
    inside = max(sum(w for i, w in enumerate(weights) if (i - shift) % 12 in scale) for shift in range(12))
    return {"notes a bar": statistics.mean(counts), "most notes in a bar": max(counts),
            "bars over 120 notes": sum(c > 120 for c in counts), "silent bars": counts.count(0) / total,
            "bars that were heard before": same / total,
            "time outside the best scale": 1 - inside / sum(weights) if sum(weights) else 0,
            "distinct pitches": len({n[3] for n in melodic}),
            "mean note length, quarters": statistics.mean(e - s for s, e, _, _ in notes) if notes else 0,
            "notes on a beat": sum(abs(s - round(s)) < 0.02 for s, *_ in notes) / max(1, len(notes))}


def generate(number, prompt, extra, options, folder):
    """The piece as motet tells it and as motet-data hears it."""
    path = os.path.join(folder, f"{number}.mid")
    command = [options.motet, prompt, "--seed", str(1000 + number), "--json", "-o", path] + extra + options.flags
    if options.model:
        command += ["--model", options.model]
    told = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    if told.returncode:
        raise RuntimeError(f"{' '.join(command)}: {told.stderr}")
    heard = subprocess.run([options.motet_data, "inspect", "--json", path], capture_output=True, text=True, check=True)
    return {"told": json.loads(told.stdout), "heard": json.loads(heard.stdout), "music": music_figures(path)}


def signature(key):
    """The number of semitones of a key's relative major: keys of one signature share it."""
    names = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    if not key or key == "no key":
        return None
    tonic = names[key[0]] + {"#": 1, "b": -1}.get(key[1], 0)
    return (tonic + (3 if "minor" in key else 0)) % 12


def hits(piece, made):
    """Which of the asked properties a piece has, each 0..1."""
    told = made["told"]
    bins = abs(12 * math.log2(told["tempo_bpm"] / piece["tempo_bpm"]))
    asked, got = set(piece["programs"]), {i["program"] for i in told["instruments"]}
    both = len(asked & got)
    return {"tempo within one bin (6 %)": bins <= 1.5, "tempo within three bins (19 %)": bins <= 3.5,
            "metre": told["metre"] == piece["metre"],
            "key, tonic and mode": told["key_heard"] == piece["key"],
            "key signature": signature(told["key_heard"]) == signature(piece["key"]),
            "instruments found (recall)": both / len(asked),
            "instruments that were asked (precision)": both / len(got),
            "instruments exactly": asked == got}


def mean(rows):
    return {name: statistics.mean(float(row[name]) for row in rows) for name in rows[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model")
    parser.add_argument("--motet", default="build/bin/motet")
    parser.add_argument("--motet-data", default="build/bin/motet-data")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--json")
    parser.add_argument("flags", nargs="*", help="more flags for motet, after --")
    options = parser.parse_args()
    listed = subprocess.run([options.motet_data, "pieces", options.corpus, "--split", "valid"], capture_output=True,
                            text=True, check=True).stdout
    pieces = [json.loads(line) for line in listed.splitlines()]
    rng = random.Random(7)
    rng.shuffle(pieces)
    pieces = [p for p in pieces if p["key"] != "no key"]
    pieces = [pieces[i % len(pieces)] for i in range(options.count)]

    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        names, real = {}, []
        for number, piece in enumerate(pieces):
            path = os.path.join(folder, f"real{number}.mid")
            subprocess.run([options.motet_data, "render", options.corpus, "--index", str(piece["index"]), "-o", path],
                           check=True, capture_output=True)
            real.append(music_figures(path))
            for instrument in json.loads(subprocess.run([options.motet_data, "inspect", "--json", path], check=True,
                                                        capture_output=True, text=True).stdout)["programs"]:
                names[instrument["program"]] = instrument["name"].lower()
        captions = [rng.choice(p["captions"]) for p in pieces]
        plain = [facts_prompt(p, names, rng) for p in pieces]
        named = [dict(p, programs=p["programs"][:4]) for p in pieces]  # as many as the plain prompts name
        runs = {}
        for name, prompts, extra in (("captions, free", captions, ["--free", "--bars", "16"]),
                                     ("plain prompts, free", plain, ["--free", "--bars", "16"]),
                                     ("plain prompts, held", plain, [])):
            jobs = [pool.submit(generate, i, prompt, extra, options, folder) for i, prompt in enumerate(prompts)]
            runs[name] = [job.result() for job in jobs]

    table = {name: mean([hits(p, m) for p, m in zip(pieces if name.startswith("captions") else named, made)])
             for name, made in runs.items()}
    others = named[1:] + named[:1]
    table["chance"] = mean([hits(p, m) for p, m in zip(others, runs["plain prompts, free"])])
    columns = list(runs) + ["chance"]
    print(f"Asked and got, {options.count} pieces each\n")
    print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for row in table["chance"]:
        print(f"| {row} | " + " | ".join(f"{table[c][row]:.2f}" for c in columns) + " |")
    music = {"held-out pieces": mean(real), **{n: mean([m["music"] for m in made]) for n, made in runs.items()}}
    print("\nWhat the music is like, means over pieces\n")
    print("| | " + " | ".join(music) + " |\n|---|" + "---|" * len(music))
    for row in music["held-out pieces"]:
        print(f"| {row} | " + " | ".join(f"{music[c][row]:.3g}" for c in music) + " |")
    print("\nHow it was drawn\n")
    for name, made in runs.items():
        drawing = [m["told"]["drawing"] for m in made]
        events = sum(d["events"] for d in drawing)
        print(f"- {name}: {sum(d['events_rejected'] for d in drawing) / events:.3f} events drawn again for each one kept, "
              f"{sum(d['events_forced'] for d in drawing) / events:.4f} forced, "
              f"{statistics.mean(d['legal_mass'] for d in drawing):.4f} of the mass left by the promises, "
              f"{events / sum(d['generate_seconds'] for d in drawing):.0f} events/s")
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"asked": table, "music": music}, out, indent=1)


if __name__ == "__main__":
    sys.exit(main())
