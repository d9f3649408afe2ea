#!/usr/bin/env python3
"""Draws what a training run's log says: loss, loss of each field, learning rate, throughput, MFU, gradient norm.

    plot_run.py RUN_DIR [RUN_DIR ...] [--out run.png|run.svg|run.pdf] [--title TEXT] [--smooth N]

A panel appears if the log has its numbers. Of a run that was resumed from an older step, what was undone is not drawn.
Several runs are drawn in one figure, their losses in one panel; fields are those of the first. Needs matplotlib.
"""
import argparse
import json
import pathlib
import sys

CHOSEN = {"loss": "nats an event", "grad_norm": "gradient norm", "lr": "learning rate (Muon)", "events_per_s": "events/s",
          "mfu": "MFU"}


def read_log(run):
    """{kind: [line, ...]} of train and eval lines, in the order of their steps."""
    path = pathlib.Path(run)
    path = path / "log.jsonl" if path.is_dir() else path
    lines = {"train": [], "eval": []}
    try:
        texts = path.read_text().splitlines()
    except OSError as error:
        sys.exit(f"plot_run.py: {path}: {error.strerror}")
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
        except ValueError:
            if number < len(texts):  # the last one may have been cut off
                print(f"plot_run.py: {path}:{number} is no JSON and was left out", file=sys.stderr)
            continue
        kind, step = line.get("kind"), line.get("step", 0)
        if kind in ("resume", "rollback"):
            for known in lines.values():
                known[:] = [one for one in known if one["step"] <= step]
        elif kind in lines:
            lines[kind].append(line)
    if not lines["train"] and not lines["eval"]:
        sys.exit(f"plot_run.py: {path}: no train or eval line in it yet")
    return lines


def series(lines, get):
    points = [(line["step"], get(line)) for line in lines]
    points = [point for point in points if point[1] is not None]
    return [step for step, _ in points], [value for _, value in points]


def smooth(values, span):
    """Mean over the last `span` points."""
    return [sum(values[max(0, i + 1 - span):i + 1]) / min(span, i + 1) for i in range(len(values))]


def draw(runs, options):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = [key for key in CHOSEN if any(line.get(key) is not None for log in runs.values() for line in log["train"])]
    panels = panels or ["loss"]
    fields = list(dict.fromkeys(name for line in next(iter(runs.values()))["train"] for name in line.get("field", {})))
    panels[1:1] = ["field"] if fields else []
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(6.4 * columns, 3.6 * rows), squeeze=False)
    for axis, panel in zip(axes.flat, panels):
        axis.set_xlabel("step")
        axis.set_ylabel("nats, each field" if panel == "field" else CHOSEN[panel])
        axis.grid(True, alpha=0.3)
        if panel == "field":
            colours = plt.get_cmap("tab20").colors
            for i, name in enumerate(fields):
                steps, values = series(next(iter(runs.values()))["train"], lambda line: line.get("field", {}).get(name))
                axis.plot(steps, smooth(values, options.smooth), label=name, color=colours[i % len(colours)])
            axis.legend(fontsize="x-small", ncol=2)
            continue
        for name, log in runs.items():
            steps, values = series(log["train"], lambda line: line.get(panel))
            drawn, = axis.plot(steps, smooth(values, options.smooth), label=name)
            if panel == "loss" and log["eval"]:
                axis.plot(*series(log["eval"], lambda line: line.get("loss")), "o--", markersize=3, color=drawn.get_color(),
                          label=f"{name}, held out")
        if panel == "loss" or len(runs) > 1:
            axis.legend(fontsize="small")
    for axis in axes.flat[len(panels):]:
        axis.remove()
    figure.suptitle(options.title or ", ".join(runs))
    figure.tight_layout()
    try:
        figure.savefig(options.out, dpi=120)
    except (OSError, ValueError) as error:
        sys.exit(f"plot_run.py: {options.out}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="run directories, or log.jsonl files")
    parser.add_argument("--out", default="run.png", help="the name's end says the format (default: run.png)")
    parser.add_argument("--title")
    parser.add_argument("--smooth", type=int, default=1, help="mean over so many log lines")
    options = parser.parse_args()
    if options.smooth < 1:
        parser.error("--smooth: 1 or more")
    draw({str(run): read_log(run) for run in options.runs}, options)
    print(options.out)


if __name__ == "__main__":
    main()
