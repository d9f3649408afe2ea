"""Songs on mma's grooves: a groove, a chord chart, a melody, an ensemble, a key, a tempo, a metre.

mma makes the accompaniment from the chart; this script writes the chart and the melody, chooses who
plays, repairs what grooves say of their metre, and writes a MIDI file whose labels are exact.
The same seed gives the same bytes. Standard library only.

    mma_songs.py catalogue OUT.json            what grooves there are (once, 20 s)
    mma_songs.py songs CATALOGUE OUT_DIR --songs N --seed S --jobs J
"""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import ensemble
import melody
import smf
import styles
import theory

LIBRARY = "/usr/share/mma/lib/"


def run_mma(lines, output=None):
    """Runs mma on a song; returns its printed lines, or None if it fails."""
    with tempfile.NamedTemporaryFile("w", suffix=".mma", delete=False) as song:
        song.write("\n".join(lines) + "\n")
    command = ["mma", "-w", song.name] + (["-f", output] if output else ["-n"])
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120)
    os.unlink(song.name)
    return done.stdout.splitlines() if done.returncode == 0 else None


def grooves_of(path):
    """[(groove, beats in mma's bar, metre's label, has melodic tracks)] of one style file."""
    stem = path[len(LIBRARY):-4]
    listing = subprocess.run(["mma", "-Djs", path], capture_output=True, text=True,
                             errors="replace").stdout
    start = listing.find("JSON")
    if start < 0:
        return []
    found = [g for g in json.loads(listing[start + 4:]) if "groove" in g]
    lines = ["Use " + stem]
    for g in found:
        lines += ["Groove " + g["groove"], "print GROOVE %s $_Time $_TimeSig" % g["groove"]]
    said = {w[1]: w[2:4] for w in map(str.split, run_mma(lines) or []) if w[:1] == ["GROOVE"]}
    out = []
    for g in found:
        if g["groove"] in said:
            tuned = any(not t["track"].startswith("DRUM") for t in g["tracks"])
            time, label = said[g["groove"]]
            out.append([stem, g["groove"], float(time), label, tuned])
    return out


def catalogue(output):
    paths = sorted(glob.glob(LIBRARY + "*/*.mma"))
    if not paths:
        sys.exit("mma_songs: no style files under %s: apt install mma" % LIBRARY)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = [g for group in pool.map(grooves_of, paths) for g in group]
    with open(output + ".tmp", "w") as file:
        json.dump(found, file, indent=0)
    os.replace(output + ".tmp", output)


# Metres of songs and their share. Grooves are 90 % in 4/4, people's wishes are not: the others are
# taken from 3/4 and 6/8 grooves oftener than their number says, or cut out of longer bars.
SHARES = {"4/4": 50, "3/4": 17, "6/8": 14, "12/8": 6, "2/4": 4, "2/2": 2, "5/4": 2.5, "7/8": 2.5,
          "9/8": 2.5}
TRIPLETS = re.compile(r"128|ballad68|slowrock|slowblues|oldieballad|K50s|50srock|slowjazz|blues$")
MARCHES = re.compile(r"march|polka|tango|dixie|ragtime|samba|2beat|western|foxtrot|quickstep")
STRAIGHT = re.compile(r"8beat|16beat|rock|folk|pop|funk|fusion|bossa|arpeggio44|ballad$|techno|"
                      r"house")
PARTS = re.compile(r"Intro|End|Fill|Ending|Break|Count|None|Metronome", re.I)


def pools(grooves):
    """metre -> style file -> grooves that can play it."""
    out = collections.defaultdict(lambda: collections.defaultdict(list))
    for stem, groove, time, label, tuned in grooves:
        if not tuned or PARTS.search(groove) or "metronome" in stem:
            continue
        entry = (stem, groove, time, label)
        if time == 3 and label != "6/8":
            natural = ["3/4", "5/4"]
        elif time in (2, 3, 6):
            natural = ["6/8"]
        elif time == 5:
            natural = ["5/4"]
        else:
            natural = ["4/4"]
            natural += ["12/8", "9/8"] if TRIPLETS.search(stem) else []
            natural += ["2/4", "2/2"] if MARCHES.search(stem) else []
            natural += ["7/8"] if STRAIGHT.search(stem) and not TRIPLETS.search(stem) else []
        for metre in natural:
            out[metre][stem].append(entry)
    return out


def sing(rng, song, lead, swing):
    """The melody, and perhaps a second voice, as notes."""
    low, high = styles.RANGES[lead]
    centre = rng.randint(low + 8, high - 8) if high - low > 18 else (low + high) // 2
    low, high = max(low, centre - 9), min(high, centre + 10)
    tonic, mode = song["tonic"], song["mode"]
    scale_name = mode
    if song["harmony"] == "blues" and rng.random() < 0.7:
        scale_name = "blues" if mode == "major" else "minor pentatonic"
    elif song["harmony"] in ("folk", "pop") and rng.random() < 0.15:
        scale_name = "pentatonic" if mode == "major" else "minor pentatonic"
    scale = {(tonic + s) % 12 for s in theory.SCALES[scale_name]}
    beats, bars = song["frame"].beats, song["chart"]
    tune = melody.compose(rng, beats, song["busy"], scale, low, high, tonic, song["form"],
                          song["section"], bars)
    second = rng.random() < 0.14
    other = lead if rng.random() < 0.5 else rng.choice([40, 73, 71, 53, lead])
    full_scale = {(tonic + s) % 12 for s in theory.SCALES[mode]}
    voice = melody.Melody(rng, beats, 0, full_scale, low - 12, high)
    out, length = [], song["frame"].length
    for i, bar in enumerate(tune):
        base = (i + song["intro"]) * length
        lines = [(bar, lead, 0)]
        if second and bar and song["form"][i // song["section"]] != "A":
            chord = bars[i][0]
            below = melody.harmonise(bar, chord, voice.ladder(chord), low - 9)
            lines.append((below, other, -8))
        for line, program, softer in lines:
            for onset, duration, pitch in line:
                at, end = base + onset, base + onset + duration
                if swing:
                    at, end = ensemble.swung(at), ensemble.swung(end)
                loud = 88 + softer + (8 if onset == 0 else 4 if onset in voice.strong else 0) \
                    + rng.randint(-4, 4)
                out.append((at, end - at, program, pitch, loud))
    return out


def plan(rng, pool, metre):
    """Everything else about a song that is chosen before mma plays."""
    stem = rng.choice(sorted(pool[metre]))
    stem, groove, time, label = rng.choice(pool[metre][stem])
    genre, slow, fast, harmony, family = styles.of(stem)
    mode = "minor" if rng.random() < 0.45 else "major"
    tonic = rng.randrange(12)
    if harmony == "modal":
        mode = "dorian" if mode == "minor" else "mixolydian"
        if rng.random() < 0.4:
            mode, harmony = ("minor" if mode == "dorian" else "major"), "pop"
    if rng.random() < 0.12:  # now and then another style's harmony
        harmony = rng.choice(["pop", "folk", "jazz", "classical"])
        mode = {"dorian": "minor", "mixolydian": "major"}.get(mode, mode)
    pulse = rng.uniform(slow, fast)
    if metre in ("7/8", "9/8", "2/4"):
        pulse = min(pulse, 150)
    pulse = round(pulse) if rng.random() < 0.5 else 4 * round(pulse / 4)
    bars = 12 if harmony == "blues" and rng.random() < 0.6 else \
        rng.choices([8, 12, 16, 20, 24, 32], [20, 8, 32, 6, 16, 18])[0]
    form, section, chart = theory.chart(rng, tonic, mode, harmony, bars)
    intro = rng.choices([0, 1, 2, 4], [70, 4, 12, 14])[0]
    if metre == "2/4" and intro == 1:
        intro = 2
    frame = ensemble.Frame(metre, time)
    return dict(stem=stem, groove=groove, metre=metre, frame=frame, genre=genre, harmony=harmony,
                family=family, mode=mode, tonic=tonic, pulse=pulse, form=form,
                section=section, chart=chart, intro=intro, minor=mode in ("minor", "dorian"),
                busy=rng.choice([0, 0, 1, 1, 1, 1, 2, 2]))


def genre_in(genre, metre):
    """A style's genre, true for this metre: a waltz cut to five beats is no waltz."""
    if metre != "3/4" and "altz" in genre:
        genre = "jazz in five" if "jazz" in genre else "dance in five"
    if re.match(r"\d+/\d+ ", genre) and not genre.startswith(metre):
        genre = genre.split(" ", 1)[1]
    return genre


def compound(metre):
    return metre in ("6/8", "9/8", "12/8")


def make(seed, index, pool, attempt=0):
    """One song: (name, bytes, manifest row)."""
    rng = random.Random("%d/%d/%d" % (seed, index, attempt))
    # the metre does not change with the attempt, or rare metres would lose their share
    metre = random.Random("%d/%d" % (seed, index)).choices(list(SHARES), list(SHARES.values()))[0]
    song = plan(rng, pool, metre)
    frame, sharps = song["frame"], theory.key_sharps(song["tonic"], song["minor"])
    chords = song["chart"][:song["intro"]] + song["chart"]
    bars = len(chords)
    lines = ["RndSeed %d" % rng.randrange(1 << 30), "Use " + song["stem"],
             "Groove " + song["groove"], "AllTracks RTime 0", "Tempo 120"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "song.mid")
        said = run_mma(lines + frame.lines(chords, sharps), path)
        if said is None or not os.path.exists(path):
            return None
        with open(path, "rb") as file:
            division, notes, names, _ = smf.read(file.read())
    if division != ensemble.MMA_QUARTER or not notes:
        return None
    grid = ensemble.grid_of(notes)
    if metre in ("12/8", "9/8") and grid == "straight" or metre == "7/8" and grid != "straight":
        return None
    parts = ensemble.roles(notes, names)
    shape, keep, lead = ensemble.cast(rng, parts, song["family"], bars)
    ensemble.thin(parts, keep, bars, 52)
    ticks = bars * frame.length
    if not any(v is not None and k[0] != "drums" for k, v in keep.items()):
        return None
    played = ensemble.again(rng, ensemble.accompany(parts, keep, frame, ticks), song, frame.length)
    swing = grid != "straight" and not compound(metre)
    played += sing(rng, song, lead, swing)
    if rng.random() < 0.75:
        played = ensemble.hold_last(played, ticks - frame.length, ticks)
    played = smf.tidy(played)
    onsets = collections.Counter(n[0] // frame.length for n in played)
    if not 4 <= len(played) / bars <= 64 or max(onsets.values()) > 100 or len(onsets) < bars:
        return None  # too thin, too thick, or with a bar in which nobody plays
    bpm = round(song["pulse"] * 1.5, 1) if compound(metre) else song["pulse"]
    key = theory.key_name(song["tonic"], song["minor"])
    numerator, denominator = map(int, metre.split("/"))
    genre = genre_in(song["genre"], metre)
    title = "%s in %s" % (genre[0].upper() + genre[1:], key)
    tuned = sorted({n[2] for n in played if n[2] != smf.DRUMS}, key=lambda p: (p != lead, p))
    drums = any(n[2] == smf.DRUMS for n in played)
    mood = styles.mood(rng, song["genre"], song["minor"], song["pulse"], song["busy"])
    if rng.random() < 0.15:
        mood = ""
    name = "mma/%s/%05d.mid" % (song["stem"].replace("/", "-"), index)
    data = smf.write(played, [(0, numerator, denominator)], [(0, bpm)], (sharps, song["minor"]),
                     title)
    row = [name, "mma groove %s" % song["groove"], "generated", title, "",
           ensemble.kind_of(shape, tuned, drums), genre, mood, "mma/" + song["stem"],
           "%g" % bpm, metre, key, ",".join(map(str, tuned + [smf.DRUMS] * drums))]
    return name, data, row


_state = {}


def _begin(path, seed):
    with open(path) as file:
        _state["pool"] = pools(json.load(file))
    _state["seed"] = seed


def _song(index):
    for attempt in range(12):
        made = make(_state["seed"], index, _state["pool"], attempt)
        if made:
            return made
    return None


def songs(options):
    rows = []
    with concurrent.futures.ProcessPoolExecutor(options.jobs, initializer=_begin, initargs=(
            options.catalogue, options.seed)) as pool:
        for made in pool.map(_song, range(options.songs), chunksize=8):
            if made is None:
                continue
            path = os.path.join(options.output, made[0])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(made[1])
            rows.append(made[2])
    with open(os.path.join(options.output, "mma.tsv"), "w", encoding="utf-8") as file:
        for row in rows:
            file.write("\t".join(row) + "\n")
    print("mma: %d songs on %d style files" % (len(rows), len({r[8] for r in rows})))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("catalogue")
    one.add_argument("output")
    two = commands.add_parser("songs")
    two.add_argument("catalogue")
    two.add_argument("output")
    two.add_argument("--songs", type=int, default=2500)
    two.add_argument("--seed", type=int, default=1)
    two.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if options.command == "catalogue":
        catalogue(options.output)
    else:
        songs(options)


if __name__ == "__main__":
    main()
