#!/usr/bin/env python3
"""Does a model do what it is asked, and does it sound like its corpus? Prints the tables of the model card.

  evaluate_model.py --corpus CORPUS.h5 [--model FILE] [--count 200] [--jobs J] [--split valid] [--json OUT.json]
                    [-- FLAGS OF MOTET]

For `count` captions of held-out pieces, and as many plain prompts made from the pieces' facts, pieces are generated
free (--free: the model alone, only the number of bars is given) and as users have them (what the prompt states is
held). What they are is measured by motet-data inspect and python3-mido, from the MIDI files alone. Chance is the same
measure with prompts and pieces shuffled. A caption counts for a property only where it states it.
"""
import argparse
import concurrent.futures
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile

import music_figures

FREE_BARS = 16
STATES = {  # what a caption says in so many words
    "tempo": re.compile(r"\d\s*(bpm|beats per minute)|\bat (roughly |about |around )?\d", re.I),
    "metre": re.compile(r"\b\d+/\d+\b|\b(two|three|four|five|six|seven|nine|twelve)-(two|four|eight)\b", re.I),
    "key": re.compile(r"\b([A-Gb-g]|(?<=in )a|(?<=of )a)(#|b|-flat|-sharp| flat| sharp)? ?(major|minor|maj|min)\b"
                      r"|\bkey of [A-Ga-g]\b"),
}
SLOW = re.compile(r"\b(slow|slowly|largo|lento|adagio|grave)\b", re.I)
FAST = re.compile(r"\b(fast|quick|allegro|presto|vivace|brisk|rapid)\b", re.I)


def tempo_bin(bpm):
    return round(12 * math.log2(bpm / 16))


def facts_prompt(piece, names, rng):
    """A plain prompt that states the piece's facts, four instruments at most."""
    mood = rng.choice(["lively", "calm", "simple", "beautiful", "folk", "classical"])
    players = " and ".join(names[p] for p in piece["programs"][:4])
    return (f"a {mood} piece in {piece['key']} for {players}, {piece['metre']}, "
            f"{round(piece['tempo_bpm'])} bpm, {FREE_BARS} bars")


def stated(prompt):
    return {name for name, pattern in STATES.items() if pattern.search(prompt)}


def run(command):
    told = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    if told.returncode:
        raise RuntimeError(f"{' '.join(command)}: {told.stderr.strip()}")
    return told.stdout


def generate(name, number, prompt, extra, options, folder):
    """The piece as motet tells it, as motet-data hears it, and its figures."""
    path = os.path.join(folder, f"{name}-{number}.mid".replace(" ", "-").replace(",", ""))
    command = [options.motet, prompt, "--seed", str(1000 + number), "--json", "-o", path] + extra + options.flags
    told = json.loads(run(command + (["--model", options.model] if options.model else [])))
    heard = json.loads(run([options.motet_data, "inspect", "--json", path]))
    bars = len(music_figures.read_notes(path)[1]) - 1
    return {"told": told, "heard": heard, "bars": bars, "prompt": prompt,
            "music": music_figures.figures(path, heard["key"])}


def hits(piece, made, says, programs):
    """Which of the asked properties a piece has, each 0..1; `says` is what the prompt states."""
    heard = made["heard"]
    bins = abs(tempo_bin(heard["tempo_bpm"]) - tempo_bin(piece["tempo_bpm"]))
    asked, got = set(programs), {i["program"] for i in heard["programs"]}
    both = len(asked & got)
    row = {}
    if "tempo" in says:
        row["tempo exactly, in whole bpm"] = round(heard["tempo_bpm"]) == round(piece["tempo_bpm"])
        row["tempo within one bin (12 bins an octave)"] = bins <= 1
        row["tempo within three bins"] = bins <= 3
    if "metre" in says:
        row["metre"] = heard["metre"] == piece["metre"]
    if "key" in says:
        row["key heard: tonic and mode"] = heard["key"] == piece["key"]
        row["key heard: signature"] = music_figures.signature(heard["key"]) == music_figures.signature(piece["key"])
    recall, precision = both / len(asked), both / max(1, len(got))
    row["instruments found (recall)"] = recall
    row["instruments that were asked (precision)"] = precision
    row["instruments, F1"] = 2 * recall * precision / (recall + precision) if both else 0.0
    row["instruments exactly"] = asked == got
    if "bars" in says:
        row["bars"] = made["bars"] == FREE_BARS
    return row


def mean(rows):
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: statistics.mean(float(row[n]) for row in rows if n in row) for n in names}


def asked_of(pieces, made, plain):
    """The mean hits, and the same by chance: the pieces shuffled against the prompts in ten ways."""
    says = [{"tempo", "metre", "key", "bars"} if plain else stated(m["prompt"]) for m in made]
    programs = [p["programs"][:4] if plain else p["programs"] for p in pieces]
    real = mean([hits(p, m, s, i) for p, m, s, i in zip(pieces, made, says, programs)])
    rng, chance = random.Random(11), []
    for _ in range(10):
        order = rng.sample(range(len(pieces)), len(pieces))
        chance += [hits(pieces[a], made[b], says[a], programs[a]) for a, b in enumerate(order)]
    return real, mean(chance)


def guesses(pieces, made):
    """How often the attribute heads name a property for certain, and are then right; captions, free."""
    table = {}
    for name, said, right in (
            ("tempo, within one bin", lambda c: c["tempo_bin"] >= 0,
             lambda c, p: abs(c["tempo_bin"] - tempo_bin(p["tempo_bpm"])) <= 1),
            ("key", lambda c: True, lambda c, p: c["key"] == p["key"]),
            ("instruments (F1)", lambda c: True, lambda c, p: 2 * len(set(c["programs"]) & set(p["programs"])) /
             (len(set(c["programs"])) + len(p["programs"])))):
        rows = [(m["told"]["controls"], p) for p, m in zip(pieces, made)]
        sure = [float(right(c, p)) for c, p in rows if said(c)]
        table[name] = (len(sure) / len(rows), statistics.mean(sure) if sure else 0)
    return table


def figure(value):
    if value is None:
        return ""
    return f"{value:.3g}" if value >= 10 else f"{value:.2f}" if value >= 1 or value == 0 else f"{value:.3f}"


def print_table(title, columns, rows):
    """columns: {name: {row: value}}; a row that a column lacks is left empty."""
    print(f"\n{title}\n\n| | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for row in rows:
        values = [columns[c].get(row) for c in columns]
        print(f"| {row} | " + " | ".join(map(figure, values)) + " |")


def tempo_words(runs):
    """The median tempo of the pieces whose prompt says slow, fast, or neither."""
    tempos = {"slow": [], "fast": [], "neither": []}
    for made in (m for name, made in runs.items() if name.startswith("captions") for m in made):
        word = "slow" if SLOW.search(made["prompt"]) else "fast" if FAST.search(made["prompt"]) else "neither"
        tempos[word].append(made["heard"]["tempo_bpm"])
    return ", ".join(f"{word} {statistics.median(found):.0f} bpm ({len(found)} pieces)"
                     for word, found in tempos.items() if found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model")
    parser.add_argument("--motet", default="build/bin/motet")
    parser.add_argument("--motet-data", default="build/bin/motet-data")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--split", default="valid", help="train, valid or all")
    parser.add_argument("--keep", help="a folder for the pieces; without it they are deleted")
    parser.add_argument("--json")
    parser.add_argument("flags", nargs="*", help="more flags for motet, after --")
    options = parser.parse_args()
    pieces = [json.loads(line) for line in
              run([options.motet_data, "pieces", options.corpus, "--split", options.split]).splitlines()]
    pieces = [p for p in pieces if p["key"] != "no key" and p["captions"]]
    if not pieces:
        parser.exit(1, f"{options.corpus}: the split '{options.split}' has no piece in a key\n")
    rng = random.Random(7)
    rng.shuffle(pieces)
    pieces = [pieces[i % len(pieces)] for i in range(options.count)]

    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        if options.keep:
            os.makedirs(options.keep, exist_ok=True)
            folder = options.keep

        def render(piece):
            path = os.path.join(folder, f"real-{piece['index']}.mid")
            run([options.motet_data, "render", options.corpus, "--index", str(piece["index"]), "-o", path])
            heard = json.loads(run([options.motet_data, "inspect", "--json", path]))
            return heard["programs"], music_figures.figures(path, heard["key"])

        rendered = list(pool.map(render, pieces))
        real = [music for _, music in rendered]
        names = {i["program"]: i["name"].lower() for programs, _ in rendered for i in programs}
        captions = [rng.choice(p["captions"]) for p in pieces]
        plain = [facts_prompt(p, names, rng) for p in pieces]
        runs = {}
        for name, prompts, extra in (("captions, free", captions, ["--free", "--bars", str(FREE_BARS)]),
                                     ("captions, held", captions, ["--bars", str(FREE_BARS)]),
                                     ("plain, free", plain, ["--free", "--bars", str(FREE_BARS)]),
                                     ("plain, held", plain, [])):
            runs[name] = list(pool.map(lambda job: generate(name, job[0], job[1], extra, options, folder),
                                       enumerate(prompts)))

    asked = {}
    for name, made in runs.items():
        asked[name], chance = asked_of(pieces, made, name.startswith("plain"))
        if name.endswith("free"):
            asked[name.replace("free", "chance")] = chance
    print_table(f"Asked and got, {len(pieces)} pieces a column", asked, asked["plain, free"])
    print("\nTempo words in captions: " + tempo_words(runs))
    heads = guesses(pieces, runs["captions, free"])
    print_table("Guessed from a caption by the attribute heads",
                {"guessed": {n: v[0] for n, v in heads.items()}, "right, of those": {n: v[1] for n, v in heads.items()}},
                heads)
    music = {"held-out pieces": music_figures.mean_figures(real),
             **{n: music_figures.mean_figures([m["music"] for m in made]) for n, made in runs.items()}}
    print_table("What the music is like, means over pieces", music, music["held-out pieces"])
    drawn = {}
    for name, made in runs.items():
        drawing = [m["told"]["drawing"] for m in made]
        events = sum(d["events"] for d in drawing)
        drawn[name] = {"events drawn again, of each kept": sum(d["events_rejected"] for d in drawing) / events,
                       "events forced": sum(d["events_forced"] for d in drawing) / events,
                       "mass the promises leave": statistics.mean(d["legal_mass"] for d in drawing),
                       "events a second": events / sum(d["generate_seconds"] for d in drawing)}
    print_table("How it was drawn", drawn, drawn["plain, free"])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump({"asked": asked, "heads": heads, "music": music, "drawing": drawn}, out, indent=1)


if __name__ == "__main__":
    sys.exit(main())
