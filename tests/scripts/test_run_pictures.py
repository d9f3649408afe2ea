#!/usr/bin/env python3
"""What a run shows of itself: the event file for TensorBoard says what log.jsonl says, and plot_run.py draws it.
Event files are read here by the rules of the format, without TensorBoard; with tensorboard installed for the Python of
TENSORBOARD_PYTHON, that reads them, too. Prints TAP lines."""
import glob
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAIN = os.environ.get("MOTET_TRAIN_BIN", ROOT / "build/bin/motet-train")
DATA = os.environ.get("MOTET_DATA_BIN", ROOT / "build/bin/motet-data")
PLOT = ROOT / "scripts/plot_run.py"
results = []


def check(name, good, why=""):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}", flush=True)
    if not good:
        print(why, file=sys.stderr)


def call(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def masked_crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    crc ^= 0xffffffff
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def records(raw):
    while raw:
        length, crc = struct.unpack_from("<QI", raw)
        assert crc == masked_crc32c(raw[:8]), "checksum of a length"
        data = raw[12:12 + length]
        assert struct.unpack_from("<I", raw, 12 + length)[0] == masked_crc32c(data), "checksum of a record"
        yield data
        raw = raw[16 + length:]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def message(data):
    """[(number, value), ...] of a protocol buffer."""
    found, at = [], 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif kind == 5:
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        else:
            assert kind == 2, f"wire type {kind}"
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        found.append((number, value))
    return found


def read_events(path):
    """({(tag, step): value}, steps of session starts)"""
    scalars, starts = {}, []
    for i, data in enumerate(records(pathlib.Path(path).read_bytes())):
        event = message(data)
        parts = dict(event)
        assert i or parts[3] == b"brain.Event:2"
        assert parts[1] > 1.7e9
        if 7 in parts:
            assert dict(message(parts[7])) == {1: 1}
            starts.append(parts[2])
        for number, value in message(parts.get(5, b"")):
            one = dict(message(value))
            scalars[one[1].decode(), parts[2]] = one[2]
    return scalars, starts


def flatten(names, value, step, into):
    if isinstance(value, dict):
        for key, inner in value.items():
            flatten(names + [key], inner, step, into)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        into["/".join(names), step] = value


def read_log(run):
    found = {}
    for line in map(json.loads, (run / "log.jsonl").read_text().splitlines()):
        flatten([line["kind"]], {k: v for k, v in line.items() if k not in ("kind", "step")}, line["step"], found)
    return found


def near(a, b):
    return a.keys() == b.keys() and all(abs(a[k] - b[k]) <= 1e-6 * max(1, abs(b[k])) for k in a)


def train(work, run, *more):
    return call(TRAIN, f"--run.dir={run}", "--train.device=cpu", "--train.threads=1", *more)


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        run = work / "run"
        call("/usr/bin/python3", "-B", ROOT / "tests/scripts/songs.py", work / "songs")
        built = call(DATA, "build", "--valid-percent", "20", "-o", work / "songs.h5", work / "songs")
        done = train(work, run, "--config", ROOT / "configs/tiny.ini", f"--data.corpus={work / 'songs.h5'}",
                     "--train.rows=64", "--train.steps=4", "--train.log_every=1", "--train.eval_every=2",
                     "--train.eval_batches=1", "--train.save_every=2")
        check("a run of four steps", done.returncode == 0, built.stderr + done.stderr)
        files = sorted(glob.glob(f"{run}/tensorboard/events.out.tfevents.*"))
        first = read_log(run)
        scalars, starts = read_events(files[0])
        check("the event file says what log.jsonl says", len(first) > 60 and near(scalars, first),
              f"{set(scalars) ^ set(first)}")
        check("it begins with step 1", starts == [1], f"{starts}")
        done = train(work, run, "--resume", "--train.steps=6")
        files = sorted(glob.glob(f"{run}/tensorboard/events.out.tfevents.*"), key=os.path.getmtime)
        later, starts = read_events(files[-1])
        check("a resumed run has a file of its own, from its step on",
              done.returncode == 0 and len(files) == 2 and starts == [5] and ("train/loss", 5) in later, done.stderr)
        check("both files together are the log", near(scalars | later, read_log(run)))

        for end, magic in (("png", b"\x89PNG"), ("svg", b"<?xml")):
            picture = work / f"run.{end}"
            done = call("/usr/bin/python3", "-B", PLOT, run, "--out", picture)
            check(f"plot_run.py draws a .{end}", done.returncode == 0 and picture.read_bytes().startswith(magic), done.stderr)
        text = (work / "run.svg").read_text()
        labels = ["nats an event", "nats, each field", "learning rate", "events/s", "tempo", "held out"]
        missing = [label for label in labels if f"<!-- {label}" not in text and label not in text]
        check("its panels are loss, fields, learning rate, throughput", not missing, f"missing: {missing}")
        done = call("/usr/bin/python3", "-B", PLOT, work / "nowhere")
        check("a run that is not there is one sentence", done.returncode == 1 and done.stderr.count("\n") == 1 and
              "nowhere" in done.stderr, done.stderr)

        python = os.environ.get("TENSORBOARD_PYTHON")
        if python:
            code = ("import sys\nfrom tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
                    "a = EventAccumulator(sys.argv[1]); a.Reload()\n"
                    "print(sorted((e.step, round(e.value, 4)) for e in a.Scalars('train/loss')), len(a.Tags()['scalars']))")
            done = call(python, "-c", code, run / "tensorboard")
            wanted = sorted((step, round(value, 4)) for (tag, step), value in read_log(run).items() if tag == "train/loss")
            check("the real TensorBoard reads it", done.stdout.startswith(f"{wanted}"), done.stdout + done.stderr)
    print(f"1..{len(results)}")
    sys.exit(not all(results))


main()
