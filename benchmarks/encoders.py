"""Encoders by quality and speed: the table and the picture of docs/evaluation.md.

    mvmr-zoo eval retrieval SPEC --data folder:DEV/clothing --output reports/encoders      # for each encoder and set
    python benchmarks/baselines.py retrieval folder:DEV/clothing --output reports/encoders # for each set
    python benchmarks/encoders.py speed PHOTOS SPEC ... --output reports/encoders
    python benchmarks/encoders.py picture reports/encoders --output docs/encoders.png

`speed` times `Model.embed` on photo files, decoding included, and raw pixels. The encoders take turns, so that a busy
machine slows all of them. `picture` draws the mean retrieval mAP over the data sets against the time of a photo, and
prints a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mvmr_zoo
from mvmr_zoo._io import write_whole
from mvmr_zoo.datasets import image_folder
from mvmr_zoo.evaluate import RAW_PIXELS, machine, raw_pixels, read_report

SPEED_FILE = "speed.json"
_MAP = "retrieval-v1/map"


class Encoder(NamedTuple):
    """What the table says of an encoder.

    Args:
        name: Its name on reports.
        figures: mAP in [0, 1] by data set.
        ms: Median time of a photo in ms, None if it was not timed.
        megabytes: Size of its weights, as float32 or float16 as they are stored; None if unknown.
        dim: Length of a vector.
    """

    name: str
    figures: dict[str, float]
    ms: float | None
    megabytes: float | None
    dim: int

    @property
    def mean(self) -> float:
        """The mean over the data sets."""
        return statistics.mean(self.figures.values())


def speed(folder: Path, specs: list[str], count: int, rounds: int) -> dict[str, Any]:
    """Time every encoder on the same photos. Returns the report.

    Args:
        folder: Folder of photos, with or without subfolders.
        specs: Model specs.
        count: Photos per round.
        rounds: Number of rounds. In each, every encoder embeds the photos once.
    """
    found = image_folder(folder).paths
    paths = [found[i] for i in np.random.default_rng(0).permutation(len(found))[:count]]
    models = {spec: mvmr_zoo.load(spec) for spec in specs}
    times: dict[str, list[float]] = {spec: [] for spec in [*specs, RAW_PIXELS]}
    for model in models.values():
        model.embed(paths[:32])
    for _ in range(rounds):
        for spec, model in models.items():
            began = time.perf_counter()
            model.embed(paths)
            times[spec].append(1000 * (time.perf_counter() - began) / len(paths))
        began = time.perf_counter()
        raw_pixels(paths)
        times[RAW_PIXELS].append(1000 * (time.perf_counter() - began) / len(paths))
    rows = [
        {
            "model": model.card.name,
            "spec": spec if ":" in spec or "/" not in spec else Path(spec).name,
            **_milliseconds(times[spec]),
            "megabytes": round(stored_bytes(model) / 1e6, 1),
            "dim": model.dim,
        }
        for spec, model in models.items()
    ]
    rows.append({"model": RAW_PIXELS, "spec": "", **_milliseconds(times[RAW_PIXELS]), "megabytes": 0.0, "dim": 768})
    return {"photos": len(paths), "rounds": rounds, "machine": machine(), "encoders": rows}


def _milliseconds(times: list[float]) -> dict[str, float]:
    return {"ms": round(statistics.median(times), 2), "least_ms": round(min(times), 2)}


def stored_bytes(model: mvmr_zoo.Model) -> int:
    """Bytes of the weights: float16 in this project's folders, float32 elsewhere. The alignment is not counted."""
    return model.card.parameters * (2 if model.card.location in ("package", "path") else 4)


def encoders(folder: Path) -> tuple[list[Encoder], list[str]]:
    """The encoders with a figure on every data set of the folder's retrieval reports, best first, and the data sets.

    A network with random weights needs the time of the trained one.
    """
    reports = [read_report(path) for path in sorted(folder.glob("*-retrieval.json"))]
    names = sorted({report.data for report in reports})
    path = folder / SPEED_FILE
    timed = {row["model"]: row for row in json.loads(path.read_text())["encoders"]} if path.exists() else {}
    figures: dict[tuple[str, int], dict[str, float]] = {}
    for report in reports:
        figures.setdefault((report.model, report.dim), {})[report.data] = report.figures[f"{report.data}/{_MAP}"].value
    rows = []
    for (name, dim), found in figures.items():
        if found.keys() == set(names):
            speed = timed.get(name.removesuffix(", untrained"), {"ms": None, "megabytes": None})
            rows.append(Encoder(name, {data: found[data] for data in names}, speed["ms"], speed["megabytes"], dim))
    return sorted(rows, key=lambda row: -row.mean), names


def table(rows: list[Encoder], names: list[str]) -> str:
    """The encoders as a Markdown table."""
    lines = [
        f"| encoder | {' | '.join(names)} | mean mAP | ms per photo | MB | dimensions |",
        f"| --- |{' --- |' * len(names)} --- | --- | --- | --- |",
    ]
    for row in rows:
        figures = " | ".join(f"{row.figures[name]:.3f}" for name in names)
        ms = "" if row.ms is None else f"{row.ms:.1f}"
        size = "" if row.megabytes is None else f"{row.megabytes:.1f}"
        lines.append(f"| `{row.name}` | {figures} | {row.mean:.3f} | {ms} | {size} | {row.dim:,} |")
    return "\n".join(lines)


def picture(rows: list[Encoder], path: Path) -> None:
    """Draw mean mAP against ms per photo as a PNG. The area of a marker is proportional to the size of the weights.

    Encoders of this project are blue, those of others red, baselines gray.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for row in rows:
        if row.ms is None or row.megabytes is None:
            print(f"{row.name} is not in the picture: it was not timed.")
            continue
        axes.scatter(row.ms, row.mean, s=25 * max(row.megabytes, 1), alpha=0.6, color=_color(row.name))
        beside = 7 + 2.5 * max(row.megabytes, 1) ** 0.5
        axes.annotate(row.name, (row.ms, row.mean), (beside, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlabel("ms per photo, decoding included, two CPU cores")
    axes.set_ylabel("mean mAP")
    axes.set_ylim(0, 1.15 * max(row.mean for row in rows))
    axes.set_xlim(0, 1.3 * max(row.ms or 0 for row in rows))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    pyplot.close(figure)


def _color(name: str) -> str:
    """Gray for baselines, red for encoders of other projects, blue for those of this one."""
    if name == RAW_PIXELS or name.endswith(", untrained"):
        return "#888888"
    return "#cc6677" if name.startswith("effnet-lite:") else "#332288"


def main() -> None:
    """Measure or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    timing = commands.add_parser("speed")
    timing.add_argument("photos", type=Path)
    timing.add_argument("specs", nargs="+")
    timing.add_argument("--output", type=Path, required=True)
    timing.add_argument("--count", type=int, default=400)
    timing.add_argument("--rounds", type=int, default=3)
    drawing = commands.add_parser("picture")
    drawing.add_argument("reports", type=Path)
    drawing.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "speed":
        options.output.mkdir(parents=True, exist_ok=True)
        report = speed(options.photos, options.specs, options.count, options.rounds)
        write_whole(options.output / SPEED_FILE, json.dumps(report, indent=2) + "\n")
        for row in report["encoders"]:
            print(f"{row['model']:<34} {row['ms']:6.1f} ms per photo")
        return
    rows, names = encoders(options.reports)
    if not rows:
        parser.error(f"{options.reports} has no retrieval reports")
    picture(rows, options.output)
    print(table(rows, names))


if __name__ == "__main__":
    main()
