#!/usr/bin/env python3
"""Plants every fault that mutant.c knows into every kernel, one at a time, and runs the op tests that launch it.

    mutants.py --tests build/release/tests/kernels --softgpu build/release/tests/softgpu
               --plugin build/bin/libmotet_cuda.so [--kernel REGEX] [--jobs N] [--every N] [--json FILE]

A fault is noticed if a test fails, a report is made, or the run never ends. Survivors must stand in survivors.txt
with the reason why nothing can notice them: lines of `kernel | what | source line | reason`, where kernel may be a regular expression.
Ends 'N passed, M failed': a survivor without a reason is a failure, and so is noticing fewer than 95 %.
"""
import argparse
import collections
import concurrent.futures
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


def environment_of(options, **more):
    return dict(os.environ, MOTET_TEST_DEVICE="cuda", CMOCKA_MESSAGE_OUTPUT="TAP", MOTET_CUDA_GEMM="own",
                MOTET_CUDA_DRIVER=str(pathlib.Path(options.softgpu).resolve() / "libcuda.so.1"),
                MOTET_CUDA_PLUGIN=str(pathlib.Path(options.plugin).resolve()), **more)


def learn(options):
    """Kernel -> its faults; kernel -> [(seconds, test program)] that launch it, the quickest first."""
    faults, programs = collections.OrderedDict(), collections.defaultdict(list)
    for program in sorted(pathlib.Path(options.tests).glob("test_*")):
        if not os.access(program, os.X_OK) or program.suffix:
            continue
        with tempfile.TemporaryDirectory() as folder:
            listed = pathlib.Path(folder) / "mutants"
            start = time.time()
            done = subprocess.run([program], env=environment_of(options, SOFTGPU_MUTANTS=str(listed)), capture_output=True)
            seconds = time.time() - start
            if not listed.exists():
                continue
            if done.returncode:
                sys.exit(f"mutants.py: {program} fails without any fault")
            for line in listed.read_text().splitlines():
                fault = json.loads(line)
                faults[(fault["kernel"], fault["fault"])] = fault
            for kernel in {json.loads(line)["kernel"] for line in listed.read_text().splitlines()}:
                programs[kernel].append((seconds, program))
    return list(faults.values()), {kernel: sorted(found) for kernel, found in programs.items()}


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


def notice(fault, programs, options):
    """How the fault was noticed, or None."""
    environment = environment_of(options, SOFTGPU_MUTANT=f"{fault['kernel']}:{fault['fault']}", SOFTGPU_STEPS="50000000")
    for seconds, program in programs[fault["kernel"]]:
        how = watch(program, environment, 60 + 10 * seconds)
        if how:
            return how
    return None


def reasons():
    found = []
    for line in (HERE / "survivors.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            found.append([part.strip() for part in line.split("|")])
    return found


def excused(fault, known):
    return any(re.fullmatch(kernel, fault["kernel"]) and re.fullmatch(what, fault["what"]) and place in fault["place"]
               for kernel, what, place, _ in known)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", required=True, help="folder of the op tests' programs")
    parser.add_argument("--softgpu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--kernel", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--every", type=int, default=1, help="only every N-th fault")
    parser.add_argument("--json")
    options = parser.parse_args()
    faults, programs = learn(options)
    faults = [f for f in faults if re.search(options.kernel, f["kernel"])][::options.every]
    print(f"{len(faults)} faults in {len({f['kernel'] for f in faults})} kernels", flush=True)
    known, noticed, survivors = reasons(), collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for fault, how in zip(faults, pool.map(lambda f: notice(f, programs, options), faults)):
            fault["noticed"] = how
            if how:
                noticed[how] += 1
                continue
            fault["excused"] = excused(fault, known)
            survivors.append(fault)
            print(f"{'excused' if fault['excused'] else 'SURVIVED'}: {fault['kernel']}: {fault['what']}, {fault['place']}",
                  flush=True)
    for how, count in noticed.most_common():
        print(f"{count:6} {how}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(faults, indent=1))
    seen = sum(noticed.values())
    bad = sum(not f["excused"] for f in survivors)
    print(f"noticed {seen} of {len(faults)}, {len(survivors) - bad} survivors explained")
    too_few = seen < 0.95 * len(faults)
    print(f"{len(faults) - bad} passed, {bad + too_few} failed")
    sys.exit(bool(bad or too_few))


if __name__ == "__main__":
    main()
