#!/usr/bin/env python3
"""Plants every fault that mutant.c knows into the kernels, one at a time, and runs the op tests that launch them.

    mutants.py --tests build/release/tests/kernels --softgpu build/release/tests/softgpu
               --plugin build/bin/libmotet_cuda.so [--kernel REGEX] [--program REGEX] [--arch 80|90] [--all]
               [--skip-explained] [--jobs N] [--json FILE]

A fault is noticed if a test fails, a report is made, or the run never ends. A first run without faults tells which
tests a fault can matter to: a shifted bound changes nothing unless both of its sides are equal, and softgpu sees where
they are (mutant.h); only those tests are run with the fault. Survivors must stand in survivors.txt
with the reason why nothing can notice them: lines of `kernel | what | where | reason`, the first three regular
expressions (kernel and what match as a whole; where anywhere in "file.cu:12 its text < file.cu:34 its text", the
innermost line and then those that it is inlined at).

Kernels that are copies of one template have the same instruction at the same place of the source: of them, one copy
is planted, chosen by a hash, so that each copy gets its share; --all plants every copy. (The n-th instruction of a
place stands for the n-th of its copies: unrolled rounds and remainder loops all have their turn.)

Ends with a table, a line for each source, and 'N passed, M failed': a survivor without a reason is a failure, and so is
noticing fewer than 95 % of the faults that are not in survivors.txt.
"""
import argparse
import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
STEPS = "50000000"  # of one launch: far more than any launch of the tests without a fault


@dataclasses.dataclass
class Test:
    seconds: float
    program: pathlib.Path
    name: str
    noticed: int = 0  # faults


def environment_of(options, **more):
    return dict(os.environ, MOTET_TEST_DEVICE="cuda", CMOCKA_MESSAGE_OUTPUT="TAP", MOTET_CUDA_GEMM="own",
                MOTET_CUDA_DRIVER=str(pathlib.Path(options.softgpu).resolve() / "libcuda.so.1"), OMP_NUM_THREADS="1",
                MOTET_CUDA_PLUGIN=str(pathlib.Path(options.plugin).resolve()), SOFTGPU_ARCH=options.arch,
                SOFTGPU_STEPS=STEPS, **more)


def tests_of(program, options):
    """Names of the program's tests, from a run on the CPU, which is quick."""
    environment = environment_of(options) | {"MOTET_TEST_DEVICE": "cpu"}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, errors="replace")
    return re.findall(r"^ok \d+ - (\w+)", done.stdout, re.M)


def learn_test(program, name, options):
    """(seconds, the faults of the kernels that the test launches)"""
    with tempfile.TemporaryDirectory() as folder:
        listed = pathlib.Path(folder) / "mutants"
        start = time.time()
        done = subprocess.run([program], env=environment_of(options, SOFTGPU_MUTANTS=str(listed), MOTET_TEST_ONLY=name),
                              capture_output=True)
        if done.returncode:
            sys.exit(f"mutants.py: {program}: {name} fails without any fault")
        lines = listed.read_text().splitlines() if listed.exists() else []
        return time.time() - start, [json.loads(line) for line in lines]


def learn(options, pool):
    """All faults, each with its "tests", which are those that it matters to."""
    faults = collections.OrderedDict()
    programs = [p for p in sorted(pathlib.Path(options.tests).glob("test_*"))
                if os.access(p, os.X_OK) and not p.suffix and re.search(options.program, p.name)]
    pairs = [(p, name) for p in programs for name in tests_of(p, options)]
    for (program, name), (seconds, found) in zip(pairs, pool.map(lambda pair: learn_test(*pair, options), pairs)):
        test = Test(seconds, program, name)
        for fault in found:
            known = faults.setdefault((fault["kernel"], fault["fault"]), fault | {"tests": []})
            if fault["matters"]:
                known["tests"].append(test)
    return list(faults.values())


def source_place(fault):
    """Without the line of the entry, the last of the lines that it is inlined at, which each copy has for itself."""
    return re.sub(r"(, | \(inlined at )[^ ,]+\)$", ")", re.sub(r", PTX line \d+", "", fault["place"]))


def one_of_each(faults):
    """One fault for all copies of a template: of those that matter to a test, if there are such."""
    copies, seen = collections.OrderedDict(), collections.Counter()
    for fault in faults:
        place = (source_place(fault), fault["what"])
        seen[(fault["kernel"], place)] += 1
        copies.setdefault((place, seen[(fault["kernel"], place)]), []).append(fault)
    return [min(found, key=lambda f: (not f["tests"], hashlib.sha256(f"{f['kernel']} {key}".encode()).digest()))
            for key, found in copies.items()]


def watch(program, environment, limit):
    """Runs it until the first sign that something is wrong, which is returned; None if there is none."""
    with subprocess.Popen(["stdbuf", "-oL", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace") as process:
        alarm = threading.Timer(limit, process.kill)
        alarm.start()
        try:
            for line in process.stdout:
                report = re.match(r"softgpu: ([a-z -]+):", line)
                if report or line.startswith("not ok"):
                    process.kill()
                    return report[1] if report else "a test fails"
            process.wait()
            return None if process.returncode == 0 else "never ends" if process.returncode == -9 else "a test fails"
        finally:
            alarm.cancel()


def notice(fault, options, known):
    """How the fault was noticed, or None. Tests that are quick and have noticed much of late come first."""
    if options.skip_explained and excused(fault, known):
        return None
    environment = environment_of(options, SOFTGPU_MUTANT=f"{fault['kernel']}:{fault['fault']}")
    for test in sorted(fault["tests"], key=lambda t: t.seconds / (1 + t.noticed)):
        how = watch(test.program, environment | {"MOTET_TEST_ONLY": test.name}, 30 + 10 * test.seconds)
        if how:
            test.noticed += 1
            return how
    return None


def reasons():
    found = []
    for line in (HERE / "survivors.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            found.append([part.strip() for part in line.split(" | ")])
    return found


@functools.cache
def lines_of(name):
    path = HERE.parent.parent / "kernels" / "cuda" / name
    return path.read_text().splitlines() if path.exists() else []


def where(fault):
    """The fault's lines with their text, which stays where numbers change."""
    places = re.findall(r"([\w.]+):(\d+)", fault["place"])
    texts = [(lines_of(name)[int(line) - 1:int(line)] or [""])[0] if int(line) else "" for name, line in places]
    return " < ".join(f"{name}:{line} {text.strip()}" for (name, line), text in zip(places, texts))


def sources(faults):
    """The .cu that each kernel is in: the outermost place of most of its faults."""
    found = collections.defaultdict(collections.Counter)
    for fault in faults:
        found[fault["kernel"]].update(re.findall(r"\w+\.cu\b", fault["place"])[-1:])
    return {kernel: (names.most_common(1) or [("?", 0)])[0][0] for kernel, names in found.items()}


def print_table(faults):
    source, rows = sources(faults), collections.defaultdict(lambda: [0, 0, 0, 0])
    for fault in faults:
        row = rows[source[fault["kernel"]]]
        row[0] += 1
        row[1 if fault["noticed"] else 2 if fault["excused"] else 3] += 1
    for name, row in sorted(rows.items()) + [("all", [sum(column) for column in zip(*rows.values())])]:
        print("{:28}{:6} faults{:6} noticed{:5} explained{:5} not".format(name, *row))


def excused(fault, known):
    return any(re.fullmatch(kernel, fault["kernel"]) and re.fullmatch(what, fault["what"]) and
               re.search(place, where(fault)) for kernel, what, place, _ in known)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", required=True, help="folder of the op tests' programs")
    parser.add_argument("--softgpu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--kernel", default="", help="only kernels that have this regular expression in their name")
    parser.add_argument("--program", default="", help="only test programs that have it in theirs")
    parser.add_argument("--arch", default="80", choices=("80", "90"), help="the device that softgpu pretends to be")
    parser.add_argument("--skip-explained", action="store_true",
                        help="do not run what survivors.txt explains: quick, while a reason or a test is looked for")
    parser.add_argument("--all", action="store_true", help="every copy of a template")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--json")
    options = parser.parse_args()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        run(options, pool)


def run(options, pool):
    faults = learn(options, pool)
    places = faults if options.all else one_of_each(faults)
    places = [f for f in places if re.search(options.kernel, f["kernel"])]
    print(f"{len(places)} of {len(faults)} faults, in {len({f['kernel'] for f in places})} kernels", flush=True)
    known, noticed, survivors = reasons(), collections.Counter(), []
    for fault, how in zip(places, pool.map(lambda f: notice(f, options, known), places)):
        fault["noticed"] = how
        if how:
            noticed[how] += 1
            continue
        fault["excused"] = excused(fault, known)
        survivors.append(fault)
        print(f"{'excused' if fault['excused'] else 'SURVIVED'}: {fault['kernel']}: {fault['what']}, {fault['place']}"
              f"{'' if fault['tests'] else ' (no test makes its sides equal)'}", flush=True)
    for how, count in noticed.most_common():
        print(f"{count:6} {how}")
    print_table(places)
    if options.json:
        name = lambda test: f"{test.program.name} {test.name}"
        pathlib.Path(options.json).write_text(json.dumps(places, indent=1, default=name))
    seen = sum(noticed.values())
    bad = sum(not f["excused"] for f in survivors)
    too_few = seen < 0.95 * (len(places) - len(survivors) + bad)
    print(f"noticed {seen} of {len(places)} faults ({100 * seen / max(1, len(places)):.1f} %), {len(survivors) - bad} "
          f"survivors explained: {len(places) - bad} passed, {bad + too_few} failed")
    sys.exit(bool(bad or too_few))


if __name__ == "__main__":
    main()
