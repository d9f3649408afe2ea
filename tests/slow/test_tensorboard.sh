#!/usr/bin/env bash
# The real TensorBoard, from PyPI, reads a run's event files. Prints TAP lines.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" >&2
"$work/venv/bin/pip" install -q tensorboard >&2
TENSORBOARD_PYTHON=$work/venv/bin/python /usr/bin/python3 -B tests/scripts/test_run_pictures.py
