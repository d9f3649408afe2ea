"""Adds a folder with a MANIFEST.tsv (file, source, licence, title, composer, kind) to a corpus.
Standard library only.

Singing voices come as program 68 or 52 from notation programs: each song gets one voice or solo
instrument instead, so that songs also teach duets. Chorales that come as pianos get a choir, an
organ, strings. Only program-change bytes are touched; everything else stays as it is.

    more_scores.py OUT_DIR DIR [--seed S]
"""

import argparse
import csv
import os
import random
import re
import sys
import unicodedata

import smf

VOICES = [52, 53, 53, 54, 40, 40, 73, 73, 71, 71, 42, 42, 68, 41, 66, 65, 60, 69, 70, 22, 110, 56]
CHORALES = [52, 52, 52, 19, 19, 48, 0, 16, 20, 61]
SINGERS = (52, 53, 54)
INITIALS = re.compile(r"([A-Z][a-z]+(?:-[A-Z][a-z]+)*)((?:L?v)?[A-Z]+|Lv)$")


def composer_of(text):
    """"BachJS" -> "J. S. Bach", "BeethovenLv" -> "Ludwig van Beethoven"."""
    if text == "BeethovenLv":
        return "Ludwig van Beethoven"
    found = INITIALS.fullmatch(text)
    if not found:
        return text
    return " ".join(c + "." for c in found.group(2) if c.isupper()) + " " + found.group(1)


def group_of(composer):
    """Surname and first initial, the same for "Franz Schubert" and "F. Schubert"."""
    text = unicodedata.normalize("NFKD", composer).encode("ascii", "ignore").decode().lower()
    words = [w for w in re.split(r"[^a-z\-]+", text) if w not in ("van", "von", "de", "di", "")]
    if not words:
        return "composer/unknown"
    return "composer/" + (words[-1] + (" " + words[0][0] if len(words) > 1 else ""))


def chorale_group(title):
    """One group for all settings and transpositions of one number: "bwv112.5-sc" -> "bwv112.5"."""
    return "chorale/" + re.sub(r"-[a-z]+$", "", title)


def programs_of(data):
    """[(offset of the program byte, program, channel)], set of programs that sound."""
    changes, sounding, now = [], set(), [0] * 16
    for _, start, end in smf.tracks(data):
        for _, status, at, body in smf.events(data, start, end):
            channel = status & 15
            if status & 0xF0 == 0xC0:
                changes.append((at, body[0], channel))
                now[channel] = body[0]
            elif status & 0xF0 == 0x90 and body[1]:
                sounding.add(smf.DRUMS if channel == 9 else now[channel])
    return changes, sounding


def patch(data, old, new):
    out = bytearray(data)
    for at, program, channel in programs_of(data)[0]:
        if program in old and channel != 9:
            out[at] = new
    return bytes(out)


def revoice(rng, row, data):
    """Bytes with other voices, and the kind of piece they make."""
    folder, kind = row["file"].split("/")[0], row["kind"]
    sounding = programs_of(data)[1]
    if folder == "lieder" and sounding & {52, 68}:
        voice = rng.choice(VOICES)
        data = patch(data, (52, 68), voice)
        if voice not in SINGERS:
            name = smf.name_of(voice)
            kind = "song without words, %s and piano" % name
    elif folder == "mutopia" and sounding & {52} and "Voice" in kind:
        voice = rng.choice([52, 53])
        data = patch(data, (52,), voice)
    elif folder == "chorales" and sounding == {0}:
        data = patch(data, (0,), rng.choice(CHORALES))
    return data, kind


def labels(row, kind):
    folder = row["file"].split("/")[0]
    if folder == "lieder":
        return "art song"
    if folder == "chorales":
        return "chorale"
    return kind.split(",")[0].strip().lower()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    manifest = os.path.join(options.folder, "MANIFEST.tsv")
    if not os.path.exists(manifest):
        sys.exit("more_scores: %s has no MANIFEST.tsv" % options.folder)
    rows, bad = [], 0
    with open(manifest, encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in listed:
        name = row["file"]
        path = os.path.join(options.folder, name)
        if not name.endswith((".mid", ".midi")) or ".." in name.split("/") or name[:1] == "/":
            continue
        try:
            with open(path, "rb") as file:
                data = file.read()
            rng = random.Random("%d/%s" % (options.seed, name))
            data, kind = revoice(rng, row, data)
            programs = sorted(programs_of(data)[1])
        except (OSError, IndexError, smf.BadMidi) as error:
            print("more: %s left out: %s" % (name, error), file=sys.stderr)
            bad += 1
            continue
        target = os.path.join(options.output, name)
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        with open(target, "wb") as file:
            file.write(data)
        composer = composer_of(row["composer"] or "")
        if name.startswith("chorales/"):
            group = chorale_group(row["title"])
        else:
            group = group_of(composer)
        rows.append([name, row["source"], row["licence"], row["title"], composer, kind,
                     labels(row, kind), "", group, "", "", "", ",".join(map(str, programs))])
    tag = re.sub(r"\W+", "-", os.path.basename(os.path.abspath(options.folder)))
    with open(os.path.join(options.output, "more-%s.tsv" % tag), "w", encoding="utf-8") as file:
        for row in rows:
            file.write("\t".join(re.sub(r"\s+", " ", c or "") for c in row) + "\n")
    print("more: %d files from %s, %d left out" % (len(rows), options.folder, bad))


if __name__ == "__main__":
    main()
