"""Bach's chorales, MusicXML (.mxl, .xml) -> MIDI. Standard library only.

Reads what chorales need: parts, measures, divisions, notes, chords, ties, backup and forward, key
and time. A short first measure is moved to the end of its bar. Repeats are played once.

    chorales.py OUT_DIR FOLDER [--seed S]
"""

import argparse
import glob
import os
import random
import sys
import xml.etree.ElementTree as ElementTree
import zipfile

import more_scores
import smf
import theory

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class NotAScore(ValueError):
    pass


def parse(path):
    if not path.endswith(".mxl"):
        return ElementTree.parse(path).getroot()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith((".xml", ".musicxml")) and not name.startswith("META-INF"):
                return ElementTree.fromstring(archive.read(name))
    raise NotAScore("no MusicXML in the archive")


def number(element, path, default):
    text = element.findtext(path)
    return default if text is None else int(round(float(text)))


def read_part(part):
    """(notes, measures, fifths) in ticks: a note is (start, length, pitch), a measure (start,
    numerator, denominator, length)."""
    divisions, notes, measures, at = 1, [], [], 0
    time, fifths, tied = (4, 4), 0, {}
    for measure in part.iter("measure"):
        start = now = last = end = at
        for element in measure:
            if element.tag == "attributes":
                divisions = max(1, number(element, "divisions", divisions))
                time = (number(element, "time/beats", time[0]),
                        number(element, "time/beat-type", time[1]))
                if not measures:
                    fifths = number(element, "key/fifths", fifths)
            elif element.tag in ("backup", "forward"):
                step = number(element, "duration", 0) * smf.PPQ // divisions
                now += step if element.tag == "forward" else -step
            elif element.tag == "note" and element.find("grace") is None:
                length = number(element, "duration", 0) * smf.PPQ // divisions
                if element.find("chord") is not None:
                    now = last
                if element.find("pitch") is not None and length > 0:
                    pitch = (12 * (number(element, "pitch/octave", 4) + 1)
                             + STEPS[element.findtext("pitch/step")]
                             + number(element, "pitch/alter", 0))
                    ties = {t.get("type") for t in element.findall("tie")}
                    before = tied.pop(pitch, None)
                    if "stop" in ties and before is not None \
                            and sum(notes[before][:2]) == now:
                        notes[before] = (notes[before][0], notes[before][1] + length, pitch)
                        index = before
                    else:
                        notes.append((now, length, pitch))
                        index = len(notes) - 1
                    if "start" in ties:
                        tied[pitch] = index
                last = now
                now += length
            end = max(end, now)
        measures.append((start,) + time + (end - start,))
        at = end
    return notes, measures, fifths


def convert(root, rng):
    """(notes, metre changes, (tonic, minor) or None, quarters a minute, program)."""
    parts = [read_part(p) for p in root.findall("part")]
    parts = [p for p in parts if p[0]]
    if not 3 <= len(parts) <= 6:
        raise NotAScore("%d parts" % len(parts))
    measures, fifths = parts[0][1], parts[0][2]
    numerator, denominator = measures[0][1:3]
    bar = 4 * smf.PPQ * numerator // denominator
    shift = bar - measures[0][3] if 0 < measures[0][3] < bar else 0
    metres = [(0, numerator, denominator)]
    for start, top, bottom, _ in measures:
        if (top, bottom) != metres[-1][1:] and (start + shift - metres[-1][0]) % (
                4 * smf.PPQ * metres[-1][1] // metres[-1][2]) == 0:
            metres.append((start + shift, top, bottom))
    lowest = min(parts, key=lambda p: sum(n[2] for n in p[0]) / len(p[0]))[0]
    final = max(lowest)[2] % 12
    major = fifths * 7 % 12
    # old signatures leave a flat out: D minor without B flat ends two above its signature's major
    minor = {0: False, 9: True, 2: True}.get((final - major) % 12)
    key = None if minor is None else (final, minor)
    program = rng.choice(more_scores.CHORALES)
    notes = [(s + shift, length, program, pitch, 80) for p in parts for s, length, pitch in p[0]]
    return notes, metres, key, rng.randint(66, 92), program


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    paths = sorted(glob.glob(os.path.join(options.folder, "*.mxl"))
                   + glob.glob(os.path.join(options.folder, "*.xml")))
    os.makedirs(os.path.join(options.output, "chorales"), exist_ok=True)
    rows, bad = [], 0
    for path in paths:
        title = os.path.splitext(os.path.basename(path))[0]
        name = "chorales/%s.mid" % title
        try:
            notes, metres, key, bpm, program = convert(
                parse(path), random.Random("%d/%s" % (options.seed, name)))
        except (NotAScore, ElementTree.ParseError, zipfile.BadZipFile, KeyError) as error:
            print("chorales: %s left out: %s" % (path, error), file=sys.stderr)
            bad += 1
            continue
        signature = (theory.key_sharps(*key), key[1]) if key else None
        with open(os.path.join(options.output, name), "wb") as file:
            file.write(smf.write(notes, metres, [(0, bpm)], signature, title))
        rows.append([name, "music21 corpus", "public domain notes", title, "J. S. Bach",
                     "chorale, four voices", "chorale", "", more_scores.chorale_group(title),
                     str(bpm), "%d/%d" % metres[0][1:], theory.key_name(*key) if key else "",
                     str(program)])
    with open(os.path.join(options.output, "chorales.tsv"), "w", encoding="utf-8") as file:
        for row in rows:
            file.write("\t".join(row) + "\n")
    print("chorales: %d, %d left out" % (len(rows), bad))


if __name__ == "__main__":
    main()
