"""Folk tunes in ABC -> one MIDI file a tune, by abc2midi. Standard library only.

What the notation leaves out is added: a tempo by the kind of tune, an instrument that plays such
tunes, the silence in front of a pickup (so that bar lines fall where they are written), and for
half of the tunes a second player with chords found under the melody.

    abc_tunes.py OUT_DIR COLLECTION=FOLDER... [--seed S]
"""

import argparse
import collections
import glob
import os
import random
import re
import subprocess
import tempfile
import unicodedata

import backing
import smf
import theory

SOURCES = {
    "oneills1850": ("O'Neill's Music of Ireland (music21 corpus)", "public domain"),
    "airdsAirs": ("Aird's Airs (music21 corpus)", "public domain"),
}
# O'Neill's numbers its tunes by kind.
ONEILL = [(700, ""), (1115, "jig"), (1175, "slip jig"), (1555, "reel"), (1780, "hornpipe"),
          (1800, "set dance"), (1850, "march")]
# beats a minute (felt beats) by kind
TEMPI = {"jig": (104, 126), "slip jig": (104, 124), "slide": (116, 136), "reel": (92, 112),
         "hornpipe": (72, 92), "set dance": (72, 96), "march": (88, 112), "waltz": (100, 150),
         "air": (56, 92), "polka": (104, 126), "strathspey": (56, 76), "minuet": (96, 120),
         "dance tune": (92, 116)}
WORDS = [("very slow", .0), ("slow", .1), ("tender", .3), ("mournful", .0), ("plaintive", .1),
         ("moderate", .5), ("andante", .4), ("spirit", .9), ("lively", 1.), ("animated", .9),
         ("gaily", .9), ("bold", .7), ("quick", 1.), ("allegro", 1.)]
PLAYERS = {
    "dance": [73, 73, 110, 40, 40, 21, 78, 105, 22, 109, 72, 20, 15, 24, 25, 71, 23],
    "air": [73, 40, 46, 74, 53, 42, 68, 22, 75, 24, 71, 0, 78, 110],
}
MODES = {"": "major", "maj": "major", "ion": "major", "m": "minor", "min": "minor", "aeo": "minor",
         "dor": "dorian", "mix": "mixolydian", "lyd": "lydian", "phr": "phrygian", "loc": "minor"}
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def field(tune, letter):
    found = re.search(r"(?m)^%s:[ \t]*(.*?)[ \t]*$" % letter, tune)
    return found.group(1) if found else ""


def key_of(text):
    """(tonic, mode) of a K: field; None for a key without a tonic."""
    found = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", text)
    if not found:
        return None
    letter, accidental, word = found.groups()
    mode = MODES.get(word.lower()[:3] if word.lower() != "m" else "m", "major")
    return (LETTERS[letter] + {"": 0, "#": 1, "b": -1}[accidental]) % 12, mode


def plain(title):
    """A title for people: articles in front, no trailing stop, accents of old TeX undone."""
    title = re.sub(r"\\['`^\"~]\{?([A-Za-z])\}?", r"\1", title).strip().rstrip(".").strip()
    moved = re.match(r"(.*), (The|A|An)$", title)
    return "%s %s" % (moved.group(2), moved.group(1)) if moved else title


def family(title):
    """What variants of one tune have in common."""
    text = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    text = re.sub(r"\(.*?\)|\b(the|a|an|no|of|setting|version|\d+(st|nd|rd|th)?)\b", " ", text)
    return re.sub(r"[^a-z]+", " ", text).strip() or "untitled"


def kind_of(collection, tune, metre, title):
    said = field(tune, "R").lower().replace("slipjig", "slip jig").replace("double ", "")
    if said in TEMPI:
        return said
    lowered = title.lower()
    for word in ("slip jig", "jig", "hornpipe", "reel", "strathspey", "waltz", "minuet", "march",
                 "quick step", "polka"):
        if re.search(r"\b%s\b" % word, lowered):
            return "march" if word == "quick step" else word
    if collection == "oneills1850" and field(tune, "X").isdigit():
        kind = next((k for top, k in ONEILL if int(field(tune, "X")) <= top), "")
        if kind == "":
            return "air"
        if kind:
            return kind
    return {"6/8": "jig", "9/8": "slip jig", "12/8": "slide", "3/4": "air", "3/8": "waltz",
            "2/2": "reel"}.get(metre, "dance tune")


def metre_of(text):
    text = text.replace(" ", "")
    return {"C": "4/4", "C|": "2/2", "c": "4/4"}.get(text, text if re.fullmatch(
        r"\d+/\d+", text) else "4/4")


def felt(metre):
    """Quarters in the felt beat."""
    top, bottom = map(int, metre.split("/"))
    if bottom == 8 and top % 3 == 0 and top > 3:
        return 1.5
    return 2 if metre == "2/2" else 0.5 * 3 if metre == "3/8" else 1


def tempo_of(rng, tune, kind, metre):
    """Quarters a minute: what Q: says, else by kind and by words such as "Slow"."""
    said = re.match(r'(?:".*?"\s*)?(\d+)/(\d+)\s*=\s*(\d+)', field(tune, "Q"))
    if said:
        top, bottom, count = map(int, said.groups())
        return max(30, min(250, count * 4 * top / bottom))
    slow, fast = TEMPI[kind]
    note = " ".join(re.findall(r"(?m)^[NQ]:(.*)$", tune)).lower()
    spot = next((s for w, s in WORDS if w in note), None)
    spot = rng.random() if spot is None else min(1, max(0, spot + rng.uniform(-.15, .15)))
    if kind == "air" and spot > 0.8:
        fast = 116
    beat = slow + (fast - slow) * spot
    if kind == "air" and metre == "6/8":
        beat = beat * 0.75
    if metre == "4/4" and kind in ("reel", "hornpipe", "set dance") or metre == "2/4" and \
            kind in ("reel", "hornpipe", "set dance"):
        return round(beat * (2 if metre == "4/4" else 1))
    return round(beat * felt(metre))


def convert(abc):
    """abc2midi's notes of a tune, in ticks of 480 a quarter: (start, length, pitch, velocity)."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "t.abc"), os.path.join(folder, "t.mid")
        with open(source, "w", encoding="latin-1", errors="replace") as file:
            file.write(abc)
        subprocess.run(["abc2midi", source, "-o", target, "-silent"], capture_output=True,
                       timeout=60)
        if not os.path.exists(target):
            return [], []
        with open(target, "rb") as file:
            division, notes, _, metas = smf.read(file.read())
    scale = smf.PPQ / division
    grid = 20  # a 24th of a quarter

    def snap(tick):
        return round(tick * scale / grid) * grid
    out = [(snap(s), max(grid, snap(s + d) - snap(s)), p, v) for s, d, _, p, v, _ in notes]
    metres = [(snap(t), b[0], 1 << b[1]) for t, kind, b in metas if kind == 0x58]
    return out, metres


def clean(tune):
    """Leaves what makes notes: graces, rolls, decorations and chord symbols go."""
    head, body = [], []
    for line in tune.splitlines():
        if re.match(r"[A-Za-z]:|%", line):
            if line[0] in "KMLPVI" or line.startswith(("X:", "T:")):
                (body if body else head).append(line)
            continue
        line = re.sub(r'\{[^}]*\}|"[^"]*"|![^!]*!|[~uvTHJOPSRM](?=[\^_=]?[A-Ga-gz\[])', "", line)
        line = re.sub(r"\.(?=[\^_=]?[A-Ga-g\[(])", "", line)
        if line.strip():
            body.append(line)
    return head, body


def pickup(head, body, bar):
    """Ticks of the notes before the first bar line, or 0 if that bar is full."""
    text = ""
    for line in body:
        if re.match(r"[A-Za-z]:", line):
            continue
        text += line + " "
    text = re.sub(r"^[\s|:\[\]]+", "", text)
    first = re.split(r"[|:]", text, maxsplit=1)[0]
    if not re.search(r"[A-Ga-gz]", first):
        return 0
    notes, _ = convert("\n".join(head + [first + " z8|"]))
    ends = [s + d for s, d, _, _ in notes]
    rests = re.match(r"^z", first.strip())
    length = max(ends, default=0)
    return length if length and length < bar and not rests else 0


def tune_file(rng, collection, tune):
    """(bytes, manifest row but for the file) of one tune, or None if it does not convert."""
    title = plain(field(tune, "T"))
    metre = metre_of(field(tune, "M"))
    key = key_of(field(tune, "K"))
    if not title or key is None or "\nV:" in tune:
        return None
    head, body = clean(tune)
    number, unit = map(int, metre.split("/"))
    bar = 4 * smf.PPQ * number // unit
    notes, metres = convert("\n".join(["%%MIDI gchordoff"] + head + body))
    if len(notes) < 16:
        return None
    metres = [m for m in metres if m[0] > 0 and m[0] % bar == 0]
    lead_in = pickup(head, body, bar)
    shift = bar - lead_in if lead_in else 0
    tonic, mode = key
    minor = mode in ("minor", "dorian", "phrygian")
    kind = kind_of(collection, tune, metre, title)
    bpm = tempo_of(rng, tune, kind, metre)
    slow = kind in ("air", "waltz", "minuet")
    player = rng.choice(PLAYERS["air" if slow else "dance"])
    up = 12 if player in (72, 78) else -12 if player == 42 else 0
    line = [(s + shift, d, player, p + up, v) for s, d, p, v in notes if 24 <= p + up <= 108]
    playing = list(line)
    if rng.random() < 0.55 and not metres:
        playing += backing.under(rng, line, tonic, mode, metre, slow, player)
    others = sorted({n[2] for n in playing} - {player})
    metre_map = [(0, number, unit)] + [(t + shift, a, b) for t, a, b in metres]
    name = theory.key_name(tonic, minor)
    signature = theory.key_sharps(tonic, minor), minor
    data = smf.write(playing, metre_map, [(0, bpm)], signature, title)
    source, licence = SOURCES[collection]
    origin = "Irish" if collection == "oneills1850" else "Scottish" \
        if re.search(r"scot|strathspey|highland", tune.lower()) else "traditional"
    who = " and ".join(smf.name_of(p) for p in [player] + others)
    mood = mood_of(rng, kind, minor, tune)
    genre = "%s %s" % (origin, kind)
    if rng.random() >= 0.6:
        genre = "folk " + kind.replace("dance tune", "dance")
    return data, [source, licence, title, "", "%s, %s" % (kind, who), genre, mood,
                  "folk/" + family(title), "%g" % bpm, metre, name,
                  ",".join(map(str, [player] + others))]


def mood_of(rng, kind, minor, tune):
    note = " ".join(re.findall(r"(?m)^N:(.*)$", tune)).lower()
    if "tender" in note:
        return "tender"
    if "plaint" in note or "mourn" in note:
        return "plaintive"
    if "spirit" in note:
        return "spirited"
    if rng.random() < 0.3:
        return ""
    if kind in ("air", "minuet"):
        return rng.choice(["wistful", "sad", "melancholic", "lonely"] if minor
                          else ["gentle", "tender", "calm", "peaceful", "warm"])
    if kind in ("march", "set dance", "hornpipe"):
        return rng.choice(["proud", "serious", "steady"] if minor else ["proud", "merry", "jaunty"])
    return rng.choice(["driving", "wild", "lively", "restless"] if minor
                      else ["cheerful", "lively", "merry", "joyful", "happy"])


def tunes_of(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.abc"))):
        with open(path, encoding="latin-1") as file:
            text = file.read()
        for part in re.split(r"(?m)^(?=X:)", text)[1:]:
            yield os.path.splitext(os.path.basename(path))[0], part.split("\n\n")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("collections", nargs="+", metavar="COLLECTION=FOLDER")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows, failed = [], collections.Counter()
    for pair in options.collections:
        collection, folder = pair.split("=", 1)
        os.makedirs(os.path.join(options.output, collection), exist_ok=True)
        used = collections.Counter()
        for book, tune in tunes_of(folder):
            number = re.sub(r"\D", "", field(tune, "X")) or "0"
            used[book, number] += 1
            again = "-%d" % used[book, number] if used[book, number] > 1 else ""
            name = "%s/%s-%s%s.mid" % (collection, book, number, again)
            made = tune_file(random.Random("%d/%s" % (options.seed, name)), collection, tune)
            if made is None:
                failed[collection] += 1
                continue
            with open(os.path.join(options.output, name), "wb") as file:
                file.write(made[0])
            rows.append([name] + made[1])
    with open(os.path.join(options.output, "abc.tsv"), "w", encoding="utf-8") as file:
        for row in rows:
            file.write("\t".join(re.sub(r"\s+", " ", c) for c in row) + "\n")
    print("abc: %d tunes, %d left out" % (len(rows), sum(failed.values())))


if __name__ == "__main__":
    main()
