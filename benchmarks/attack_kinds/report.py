"""The command: runs the kinds of attacks, prints a table and writes the report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.attack_kinds.arena import Arena, Try, small_photos

Kind = Callable[[Arena], Iterator[Try]]

_PACKAGES = ("pillow", "pillow-heif", "onnxruntime", "numpy", "gradio")
_SHOWN = 40


def main(kinds: Mapping[str, Kind], description: str | None, arguments: list[str] | None = None) -> int:
    """Run the kinds, print the table and write the report. Returns the exit code: 1 if something did not hold.

    Args:
        kinds: Attacks by name, in order.
        description: Text for `--help`.
        arguments: Command-line arguments. None reads `sys.argv`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=kinds, metavar="KIND", help=f"kinds: {', '.join(kinds)}")
    parser.add_argument("--tries", type=int, help="number of attacks of each kind that draws them; default: its own")
    parser.add_argument("--seed", type=int, default=0, help="random seed of files and moments")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="commands that run at once")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this new folder, and keep it")
    parser.add_argument("--output", type=Path, help="the JSON report")
    options = parser.parse_args(arguments)
    if options.keep is not None:
        options.keep.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes and files are cleaned up
    began = time.perf_counter()
    report: dict[str, Any] = {"facts": _facts(options), "kinds": []}
    folder = Path(options.keep or tempfile.mkdtemp(prefix="attacks-")).resolve()
    try:
        arena = Arena(folder, options.seed, options.jobs, options.tries)
        arena.measured["start_s"] = report["facts"]["start_s"] = round(_start_seconds(arena), 1)
        for name in options.only or kinds:
            report["kinds"].append(_run(name, kinds[name], arena))
            report["seconds"] = round(time.perf_counter() - began)
            if options.output is not None:
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(report))
    return int(any(kind["failed"] for kind in report["kinds"]))


def _run(name: str, kind: Kind, arena: Arena) -> dict[str, Any]:
    """The entry of a kind in the report."""
    began, tries = time.perf_counter(), []
    for each in kind(arena):
        tries.append(each)
        if each.problems:
            print(f"{name}/{each.name}: {'; '.join(each.problems)}", file=sys.stderr, flush=True)
    failed = [each for each in tries if each.problems]
    return {
        "kind": name,
        "tries": len(tries),
        "held": len(tries) - len(failed),
        "worst_s": round(max((each.seconds for each in tries), default=0.0), 1),
        "peak_mb": round(max((each.peak_bytes for each in tries), default=0) / 1e6),
        "seconds": round(time.perf_counter() - began),
        "failed": [
            {"name": each.name, "problems": list(each.problems), "reproduce": each.reproduce} for each in failed
        ],
    }


def _start_seconds(arena: Arena) -> float:
    """Seconds that `index add` takes for a folder with one small photo. The files it reads are in memory then."""
    folder = arena.place("start", "photos")
    Image.fromarray(small_photos()[0]).save(folder / "a.jpg")
    for name in ("first", "second"):
        ran = arena.zoo("index", "add", folder, "-L", arena.folder / "start" / name, stop_s=120)
        if ran.code:
            raise SystemExit(f"`mvmr-zoo index add` fails on a plain photo: {ran.stderr or ran.stopped}")
    return ran.seconds


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    """The machine and the software."""
    return {
        "seed": options.seed,
        "jobs": options.jobs,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        **{package: version(package) for package in _PACKAGES},
    }


def table(report: Mapping[str, Any]) -> str:
    """The report in Markdown, with what did not hold below."""
    facts = report["facts"]
    lines = [
        f"{facts['cores']} cores, {facts['jobs']} commands at once, seed {facts['seed']}, {report['seconds']:,} s in "
        f"all. `index add` of one photo takes {facts['start_s']:.1f} s.",
        "",
        "| kind | tries | held | worst time | peak memory |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in report["kinds"]:
        lines.append(
            f"| {kind['kind']} | {kind['tries']:,} | {kind['held']:,} | {kind['worst_s']:.1f} s "
            f"| {kind['peak_mb']:,} MB |"
        )
    for kind in report["kinds"]:
        if kind["failed"]:
            lines += ["", f"{kind['kind']}, did not hold:"]
        for each in kind["failed"][:_SHOWN]:
            lines += [f"- {each['name']}: {'; '.join(each['problems'])}", f"    {each['reproduce']}"]
        if len(kind["failed"]) > _SHOWN:
            lines.append(f"- and {len(kind['failed']) - _SHOWN} more, in the report of --output")
    return "\n".join(lines)
