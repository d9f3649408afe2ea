#!/usr/bin/env python3
"""MIDI -> events -> MIDI through a corpus, for all files of openttd-openmsx and mma's examples: what comes out agrees
with python3-mido's reading of the original, and is a fixed point: built and rendered again, the same bytes."""
import glob
import os
import subprocess
import sys
import tempfile

import mido

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../scripts"))
import check_midi  # noqa: E402

MOTET_DATA = os.environ.get("MOTET_DATA_BIN", "build/bin/motet-data")
SETS = {"openmsx": "/usr/share/games/openttd/baseset/openmsx/*.mid",
        "mma examples": "/usr/share/doc/mma/examples/**/*.mid"}


def through_corpus(path, folder, name):
    """One file into a corpus of its own and out again; the path of what came out."""
    corpus, out = os.path.join(folder, name + ".h5"), os.path.join(folder, name + ".mid")
    for command in ([MOTET_DATA, "build", "--jobs", "1", "--variants", "1", "-o", corpus, path],
                    [MOTET_DATA, "render", corpus, "--index", "0", "-o", out]):
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode != 0:
            raise RuntimeError(told.stderr.strip() or told.stdout.strip())
    return out


def music(path):
    """All messages but the texts, which are a caption."""
    return [[m for m in track if m.type not in ("text", "track_name")] for track in mido.MidiFile(path).tracks]


def check(path, folder):
    try:
        once = through_corpus(path, folder, "once")
    except RuntimeError as trouble:
        return None if "too short" in str(trouble) else str(trouble)
    difference = check_midi.compare(path, once, tables=True)
    if difference:
        return difference
    twice = through_corpus(once, folder, "twice")
    return None if music(once) == music(twice) else "a second pass changes it"


number = failed = 0
for name, pattern in SETS.items():
    paths = sorted(glob.glob(pattern, recursive=True))
    number += 1
    if not paths:
        print(f"ok {number} - {name} # SKIP not run: the package is not installed")
        continue
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            trouble = check(path, folder)
            if trouble:
                wrong.append(f"#   {os.path.basename(path)}: {trouble}")
    failed += bool(wrong)
    print(f"{'not ok' if wrong else 'ok'} {number} - {name}: {len(paths)} files")
    print("\n".join(wrong))
sys.exit(failed != 0)
