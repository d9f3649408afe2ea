#!/usr/bin/env python3
"""same_state.py RUN RUN: the newest checkpoints of two runs hold the same weights and moments, bit for bit, or an error
says what differs."""
import json
import pathlib
import sys


def tensors(run):
    latest = pathlib.Path(run, (pathlib.Path(run) / "latest").read_text().strip())
    raw = (latest / "state.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__")
    return {name: (one["dtype"], one["shape"], raw[start + one["data_offsets"][0]:start + one["data_offsets"][1]])
            for name, one in header.items()}


first, second = map(tensors, sys.argv[1:3])
if len(first) < 10 or first.keys() != second.keys():
    sys.exit(f"same_state.py: {len(first)} tensors and {len(second)}, not the same ones")
differ = [name for name in first if first[name] != second[name]]
if differ:
    sys.exit(f"same_state.py: {len(differ)} of {len(first)} tensors differ, the first is {differ[0]}")
