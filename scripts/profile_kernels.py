#!/usr/bin/env python3
"""What each kernel does at the mini model's shapes, counted on softgpu, beside what ptxas made of it.

    profile_kernels.py --bin build/bin --softgpu build/release/tests/softgpu --ptxas build/release/kernels/cuda
                       [--json FILE] [--readme FILE] [CASE...]

Prints a Markdown table, and puts it in the place of the one that stands in a README. Times are predicted: the slowest of memory, tensor cores and instruction issue, no overlap
lost, no latency; a machine was never asked.

Exits with 1 where a kernel spills registers for any architecture, touches more than LIMIT times the distinct bytes
that it must, or meets a bank twice, unless REASONS has a reason, which is printed below the table.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# Published figures of the machines. issue: warp instructions a cycle and multiprocessor.
MACHINES = {
    "A100": {"bytes": 1.55e12, "bf16": 312e12, "sms": 108, "hz": 1.41e9, "issue": 4, "registers": 65536,
             "warps": 64, "shared": 164 << 10, "blocks": 32},
    "H100": {"bytes": 3.35e12, "bf16": 989e12, "sms": 132, "hz": 1.83e9, "issue": 4, "registers": 65536,
             "warps": 64, "shared": 228 << 10, "blocks": 32},
}

LIMIT = 1.15  # distinct bytes over the least
# Why a figure may be above its limit: (case, kernel without motet_, "bytes" or "conflicts") -> reason. A reason that
# nothing needs any more is a failure, too.
REASONS = {}


def ptxas_of(folder):
    """Kernel name -> registers, spilled bytes, static shared bytes, from what `ptxas -v` said for sm_80."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.ptxas.txt")):
        name = arch = None
        for line in path.read_text().splitlines():
            if m := re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line):
                name, arch = m.groups()
            elif (m := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line)) and name:
                found.setdefault(name, {}).setdefault(arch, {})["spill"] = int(m[1]) + int(m[2])
            elif (m := re.search(r"Used (\d+) registers", line)) and name:
                shared = re.search(r"(\d+) bytes smem", line)
                entry = found.setdefault(name, {}).setdefault(arch, {})
                entry["registers"], entry["shared"] = int(m[1]), int(shared[1]) if shared else 0
    return found


def occupancy(machine, registers, threads, shared):
    """Warps that fit a multiprocessor, of those it can hold."""
    warps = -(-threads // 32)
    by_registers = machine["registers"] // (-(-registers * 32 // 256) * 256 * warps)
    by_shared = machine["shared"] // (shared + 1024)
    return min(machine["blocks"], by_registers, by_shared, machine["warps"] // warps) * warps / machine["warps"]


def run_case(case, options):
    with tempfile.TemporaryDirectory() as folder:
        counted = pathlib.Path(folder) / "profile"
        environment = dict(os.environ, MOTET_CUDA_DRIVER=str(pathlib.Path(options.softgpu).resolve() / "libcuda.so.1"),
                           SOFTGPU_CHECK="bounds", SOFTGPU_PROFILE=str(counted), MOTET_CUDA_GEMM="own",
                           SOFTGPU_ARCH="90" if case.endswith("_hopper") else "80")
        done = subprocess.run([f"{options.bin}/profile_kernels", case], env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"profile_kernels.py: {case}: {done.stderr.strip() or done.returncode}")
        return json.loads(done.stdout), [json.loads(line) for line in counted.read_text().splitlines()]


def predicted(machine, kernel):
    """Seconds: the slowest of the three limits. Of an H100's tensor cores mma reaches 63 %, wgmma 96 %."""
    reached = 1 if machine is not MACHINES["H100"] else 0.96 if "_hopper_" in kernel["kernel"] else 0.63
    waves = max(1.0, machine["sms"] / max(1, kernel["blocks"]))  # a small grid leaves multiprocessors idle
    issued = sum(kernel["instructions"].values())
    conflicts = sum(kernel["shared_conflicts"])
    return max(sum(kernel["global_footprint"]) / machine["bytes"],
               kernel["mma_flops"] * waves / (machine["bf16"] * reached),
               (issued + conflicts) * waves / (machine["sms"] * machine["hz"] * machine["issue"]))


def rows_of(case, options, ptxas):
    told, kernels = run_case(case, options)
    parts = told["parts"]
    if parts and [part["kernel"] for part in parts] != [k["kernel"] for k in kernels]:
        sys.exit(f"profile_kernels.py: {case} has parts {', '.join(part['kernel'] for part in parts)}, "
                 f"but ran {', '.join(k['kernel'] for k in kernels)}")
    for index, k in enumerate(kernels):
        hopper = case.endswith("_hopper")  # registers at launch; what warps hand over in between leaves their sum
        made = ptxas.get(k["kernel"], {}).get("sm_90a" if hopper else "sm_80", {})
        machine = MACHINES["H100" if hopper else "A100"]
        threads = k["threads"][0] * k["threads"][1] * k["threads"][2]
        shared = made.get("shared", 0) + k["dynamic_shared"]
        requests, sectors = sum(k["global_requests"]), sum(k["global_sectors"])
        kinds = k["instructions"]
        # Requested, caches ignored, and distinct bytes: of each kernel that has a least, else of the op, told once.
        judged = [k] if parts else kernels if index == 0 else []
        least = parts[index]["least_bytes"] if parts else told["least_bytes"]
        yield {
            "case": case, "kernel": k["kernel"], "launches": k["launches"], "blocks": k["blocks"] // k["launches"],
            "threads": threads, "registers": made.get("registers"), "spill": made.get("spill"), "shared": shared,
            "occupancy": occupancy(machine, made["registers"], threads, shared) if made else None,
            "instructions": sum(kinds.values()),
            "mma_share": kinds.get("mma", 0) / max(1, sum(kinds.values())),
            "sectors_per_request": sectors / requests if requests else 0,
            "conflicts": sum(k["shared_conflicts"]) / max(1, sum(k["shared_requests"])),
            "mma_flops": k["mma_flops"], "by_class": kinds,
            "a100_us": None if hopper else 1e6 * predicted(MACHINES["A100"], k),
            "h100_us": 1e6 * predicted(MACHINES["H100"], k),
            "moved": sum(32 * sum(j["global_sectors"]) for j in judged) / least if judged else None,
            "touched": sum(sum(j["global_footprint"]) for j in judged) / least if judged else None,
        }


def judge(rows, ptxas, complete):
    """What is wrong, as sentences; reasons are printed."""
    wrong = [f"{kernel} spills {made['spill']} bytes of registers on {arch}"
             for kernel, archs in sorted(ptxas.items()) for arch, made in sorted(archs.items()) if made.get("spill")]
    above = {}
    for row in rows:
        key = (row["case"], row["kernel"].removeprefix("motet_"))
        if (row["touched"] or 0) > LIMIT:
            above[key + ("bytes",)] = f"touches {row['touched']:.2f} times the bytes that it must, {LIMIT} are allowed"
        if row["conflicts"]:
            above[key + ("conflicts",)] = f"has {row['conflicts']:.4f} bank conflicts a request"
    for key, what in above.items():
        if key in REASONS:
            print(f"\n{key[0]}, {key[1]}, {what}: {REASONS[key]}.")
        else:
            wrong.append(f"{key[1]} of {key[0]} {what}, without a reason")
    if complete:
        wrong += [f"nothing needs the reason for {' '.join(key)}" for key in REASONS if key not in above]
    return wrong


def replace_table(path, table):
    """The lines of the table that has the same head give way to these."""
    lines = path.read_text().splitlines()
    first = lines.index(table[0])
    end = next((i for i in range(first, len(lines)) if not lines[i].startswith("|")), len(lines))
    path.write_text("\n".join(lines[:first] + table + lines[end:]) + "\n")


def cell(value, form="{}"):
    return "" if value is None else form.format(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--softgpu", required=True)
    parser.add_argument("--ptxas", required=True)
    parser.add_argument("--json")
    parser.add_argument("--readme")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    cases = options.cases or subprocess.run([f"{options.bin}/profile_kernels"], capture_output=True, text=True,
                                            check=True).stdout.split()
    ptxas, rows, table = ptxas_of(options.ptxas), [], []

    def say(line):
        table.append(line)
        print(line, flush=True)

    say("| case | kernel | launches x blocks x threads | registers (spill) | shared | occupancy | instructions | mma % "
        "| sectors/request | conflicts/request | bytes/least (L2, distinct) | predicted us A100, H100 |")
    say("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for case in cases:
        for row in rows_of(case, options, ptxas):
            rows.append(row)
            say(f"| {case} | {row['kernel'].removeprefix('motet_')} | {row['launches']} x {row['blocks']} x "
                f"{row['threads']} | {cell(row['registers'])} ({cell(row['spill'])}) | {row['shared']} | "
                f"{cell(row['occupancy'], '{:.0%}')} | {row['instructions']:,} | {row['mma_share']:.0%} | "
                f"{row['sectors_per_request']:.1f} | {row['conflicts']:.2f} | {cell(row['moved'], '{:.2f}')}"
                f"{cell(row['touched'], ', {:.2f}')} | {cell(row['a100_us'], '{:.1f}, ')}{row['h100_us']:.1f} |")
    if options.readme:
        replace_table(pathlib.Path(options.readme), table)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))
    wrong = judge(rows, ptxas, complete=not options.cases)
    if wrong:
        sys.exit("".join(f"profile_kernels.py: {sentence}\n" for sentence in wrong))


if __name__ == "__main__":
    main()
