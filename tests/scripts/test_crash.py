#!/usr/bin/env python3
"""motet-train as a program that things happen to: kill -9 at random moments (MOTET_KILLS=20), signals, a full disk,
folders that cannot be written, corpora that go away. Afterwards the weights are those of a run that nothing happened
to, bit for bit. Prints TAP lines."""

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mido

root = Path(__file__).resolve().parents[2]
train = Path(os.environ.get("MOTET_TRAIN_BIN", "build/bin/motet-train")).resolve()
data = Path(os.environ.get("MOTET_DATA_BIN", "build/bin/motet-data")).resolve()
kills = int(os.environ.get("MOTET_KILLS", "20"))
seed = int(os.environ.get("MOTET_SEED", time.time_ns() % 10**6))
number = failed = 0


def check(good, name, said=""):
    global number, failed
    number += 1
    print(f"{'ok' if good else 'not ok'} {number} - {name}", flush=True)
    if not good:
        failed = 1
        for line in str(said).splitlines()[-8:]:
            print(f"# {line}")


def make_corpus(path):
    songs = path.with_suffix("")
    songs.mkdir()
    for n in range(12):
        song = mido.MidiFile(ticks_per_beat=96)
        track = mido.MidiTrack()
        song.tracks.append(track)
        track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(80 + 10 * n)))
        for i in range(160):
            pitch = 55 + n + (0, 2, 4, 5, 7, 9, 11, 12)[i * (1 + n % 3) % 8]
            track.append(mido.Message("note_on", note=pitch, velocity=60 + i % 40))
            track.append(mido.Message("note_off", note=pitch, time=96))
        song.save(songs / f"{n}.mid")
    subprocess.run([data, "build", "--valid-percent", "20", "-o", path, songs], check=True, capture_output=True)


def command(run, *more, corpus="songs.h5", program=train):
    return [program, "--config", root / "configs/tiny.ini", f"--data.corpus={corpus}", f"--run.dir={run}",
            "--train.device=cpu", "--train.threads=1", "--train.rows=64", "--train.steps=30", "--train.save_every=2",
            "--train.eval_every=8", "--train.eval_batches=1", "--train.log_every=1", "--resume", "auto", *more]


def finish(run, *more, **options):
    """Runs to its end: exit code, what it said."""
    preexec = options.pop("preexec", None)
    done = subprocess.run(command(run, *more, **options), capture_output=True, text=True, timeout=120,
                          preexec_fn=preexec)
    return done.returncode, done.stderr


def start(run, *more, **options):
    return subprocess.Popen(command(run, *more, **options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True)


def end(process):
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def await_log(run, kind, step, process):
    """Until the log has a line of that kind at that step or later."""
    stop = time.time() + 60
    while time.time() < stop and process.poll() is None:
        try:
            for line in open(f"{run}/log.jsonl"):
                try:
                    line = json.loads(line)
                except ValueError:
                    continue
                if line["kind"] == kind and line["step"] >= step:
                    return True
        except OSError:
            pass
        time.sleep(0.01)
    return False


def errors(said):
    return [line for line in said.splitlines() if line.startswith("motet-train: ") and "warning:" not in line]


def weights(folder):
    """A digest of all tensors of a checkpoint; its manifest's hashes are compared on the way."""
    manifest = json.loads((folder / "manifest.json").read_text())
    raw = (folder / "state.safetensors").read_bytes()
    for name, file in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == file["sha256"], f"{folder}/{name}"
    start_of_data = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start_of_data])
    del header["__metadata__"]
    digest = hashlib.sha256()
    for name in sorted(header):
        begin, stop = header[name]["data_offsets"]
        digest.update(name.encode() + raw[start_of_data + begin:start_of_data + stop])
    return digest.hexdigest()


def latest(run):
    try:
        return Path(run) / Path(run, "latest").read_text().strip()
    except FileNotFoundError:
        return None


def same(run, reference):
    """The newest checkpoint has the weights that the reference had at that step."""
    folder = latest(run)
    return folder is None or weights(folder) == reference[folder.name]


def kill_at_random(reference, seconds):
    random.seed(seed)
    killed = resumed = finished = 0
    bad = []
    while killed < kills or finished == 0:
        run = f"killed-{finished}"
        process = start(run)
        if killed < kills:
            try:
                process.wait(random.uniform(0.0, 0.7 * seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        code, said = end(process)
        if code == -signal.SIGKILL:
            killed += 1
            resumed += latest(run) is not None
        elif code == 0:
            finished += 1
        else:
            bad.append(said)
            break
        if not same(run, reference):
            bad.append(f"{latest(run)} differs")
        if code == 0 and latest(run).name != "step-30":
            bad.append(f"{run} ended at {latest(run)}")
    check(not bad, f"{kills} times kill -9 (seed {seed}): {resumed} resumed from a checkpoint, {finished} runs "
          "finished, all with the bits of an undisturbed one", "\n".join(bad))


def signals(reference):
    process = start("asked", "--train.save_every=0")
    seen = await_log("asked", "train", 3, process)
    process.send_signal(signal.SIGUSR1)
    saved = await_log("asked", "save", 3, process)
    went_on = process.poll() is None or process.returncode == 0
    check(seen and saved and went_on and same("asked", reference), "SIGUSR1 saves and goes on")
    code, said = end(process)
    check(code == 0 and same("asked", reference), "to its end", said)
    for name in ("SIGTERM", "SIGINT"):
        process = start(name, "--train.save_every=0", "--train.steps=100000", "--train.eval_every=0")
        await_log(name, "train", 3, process)
        process.send_signal(getattr(signal, name))
        code, said = end(process)
        folder = latest(name)
        check(code == 0 and folder and f"stopped at step {folder.name[5:]} of" in said,
              f"{name} saves and ends with 0", said)


def full_disk(reference):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    assert finish("full", "--train.steps=30", "--train.save_every=10")[0] == 0
    shutil.rmtree("full/step-30")
    Path("full/latest").write_text("step-20\n")
    code, said = finish("full", "--train.save_every=4", preexec=limit)
    check(code == 4 and len(errors(said)) == 1 and "no checkpoint at step 30" in said and "File too large" in said,
          "a disk that is full: exit code 4, one sentence", said)
    check(said.count("training goes on") >= 2, "said at every save, while training went on", said)
    check(latest("full").name == "step-20" and same("full", reference), "nothing is lost")
    code, said = finish("full")
    check(code == 0 and same("full", reference), "with room again it goes on", said)


def as_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def read_only(reference):
    own = Path("nobody")
    own.mkdir()
    program = shutil.copy(train, own / "motet-train")
    os.chmod(program, 0o755)
    run = own / "run"
    run.mkdir()
    if os.geteuid() == 0:
        os.chown(run, 65534, 65534)
    options = {"program": program, "preexec": as_nobody}
    os.chmod(run, 0o555)
    code, said = finish(run, **options)
    check(code == 4 and len(errors(said)) == 1 and "Permission denied" in said and "nobody/run" in said,
          "a run directory that cannot be written: exit code 4, one sentence", said)
    os.chmod(run, 0o755)
    process = subprocess.Popen(command(run, program=program), stderr=subprocess.PIPE, text=True, preexec_fn=as_nobody)
    await_log(run, "save", 4, process)
    os.chmod(run, 0o555)
    code, said = end(process)
    check(code == 4 and len(errors(said)) == 1 and "Permission denied" in said and "step 30" in errors(said)[0],
          "one that is made so in the middle of a run: exit code 4, one sentence", said)
    os.chmod(run, 0o755)
    check(latest(run) is not None and same(run, reference), "nothing is lost")
    code, said = finish(run, **options)
    check(code == 0 and same(run, reference), "and it goes on", said)


def corpus_goes(reference):
    for name in ("songs.h5", "songs.h5.sha256"):
        shutil.copy(name, f"going-{name}")
    process = start("gone", corpus="going-songs.h5")
    await_log("gone", "train", 2, process)
    os.remove("going-songs.h5")
    code, said = end(process)
    check(code == 0 and latest("gone").name == "step-30" and same("gone", reference),
          "a corpus that is deleted in the middle of a run: it ends as if nothing had happened", said)
    code, said = finish("gone", "--train.steps=40", corpus="going-songs.h5")
    check(code == 4 and len(errors(said)) == 1 and "going-songs.h5" in said,
          "and is missed at the next start: exit code 4, one sentence", said)
    shutil.copy("songs.h5", "going-songs.h5")
    process = start("cut", "--train.steps=100000", corpus="going-songs.h5")
    await_log("cut", "save", 4, process)
    os.truncate("going-songs.h5", 0)
    code, said = end(process)
    check(code == 4 and len(errors(said)) == 1 and "was cut short" in said,
          "a corpus that is cut short in the middle of a run: exit code 4, one sentence", said)
    check(latest("cut") is not None, "with a checkpoint to go on from")
    code, said = finish("cut", "--train.steps=30", corpus="going-songs.h5")
    check(code == 3 and len(errors(said)) == 1 and "SHA-256" in said, "and is refused at the next start", said)


def main():
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        os.chmod(work, 0o755)
        make_corpus(Path("songs.h5"))
        began = time.time()
        code, said = finish("whole", "--run.keep=100")
        seconds = time.time() - began
        reference = {folder.name: weights(folder) for folder in Path("whole").glob("step-*")} if code == 0 else {}
        code, said = finish("odd", "--run.keep=100", "--train.save_every=1")
        reference |= {folder.name: weights(folder) for folder in Path("odd").glob("step-*") if code == 0 and
                      folder.name not in reference}
        check(code == 0 and len(reference) == 30, "an undisturbed run", said)
        if failed:
            return
        kill_at_random(reference, seconds)
        if kills > 20:
            return
        signals(reference)
        full_disk(reference)
        read_only(reference)
        corpus_goes(reference)
        os.chdir("/")


main()
print(f"1..{number}")
sys.exit(failed)
