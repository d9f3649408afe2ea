#!/usr/bin/env bash
# motet-train --plan: the table, the same as JSON, and what is refused. Prints TAP lines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
train=${MOTET_TRAIN_BIN:-build/bin/motet-train}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
number=0 failed=0
result() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2" && failed=1; fi
}
"$train" --config configs/mini.ini --plan 128x8 >"$out/plan.txt" && grep -qE '^ +1x1 ' "$out/plan.txt" &&
    grep -qE '^ +128x8 +1024 ' "$out/plan.txt" && grep -q datasheet "$out/plan.txt"
result $? "a table up to 1,024 GPUs, with where its constants are from"
"$train" --config configs/tiny.ini --plan=4 --machine cpu --json --train.accumulate=4 >"$out/plan.json" &&
    /usr/bin/python3 - "$out/plan.json" <<'PY'
import json, sys
plan = json.load(open(sys.argv[1]))
assert plan["machine"] == "cpu" and [row["ranks"] for row in plan["rows"]] == [1, 2, 4]
for row in plan["rows"]:
    assert row["bytes"] == sum(row["memory"].values()) and row["accumulate"] == 4
    assert (row["sent_bytes"] > 0) == (row["ranks"] > 1) and row["events_per_s"] > 0
PY
result $? "as JSON"
"$train" --plan 5000x8 2>"$out/error.txt"
[ $? = 2 ] && grep -q "4x8" "$out/error.txt"
result $? "too many ranks are refused"
"$train" --plan 2x8 --machine abacus 2>"$out/error.txt"
[ $? = 2 ] && grep -q "h100, cpu" "$out/error.txt"
result $? "an unknown machine is refused, the known ones are listed"
echo "1..$number"
exit $failed
