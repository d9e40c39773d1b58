"""The recipe search: short runs that differ from one recipe by one change, each with its own file of figures."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_training.dev import DevSet, dev_sets
from benchmarks.gpu_training.figures import background, write_arm
from benchmarks.gpu_training.module import Kept
from benchmarks.gpu_training.options import Options
from benchmarks.gpu_training.run import Material, device_name, train, vectors_of


def run_arms(chosen: list[Options], material: Material, output: Path, *, end: float) -> None:
    """Run arms one after the other, and write a JSON file for each. Arms that have a file are skipped.

    No arm is started if the longest so far would not fit into the remaining time.

    Args:
        chosen: The arms.
        material: The photos.
        output: Folder of the files.
        end: Time of `time.monotonic` at which the last arm should have ended.
    """
    longest = 0.0
    sets: list[DevSet] = []
    kept: dict[Options, Kept] = {}
    with background(4) as executor:
        written: list[Future[None]] = []
        for options in chosen:
            path = output / f"{options.name}.json"
            started = time.monotonic()
            if path.exists():
                continue
            if started + longest > end:
                print(f"No time for {options.name} and later arms.", flush=True)
                break
            folder = output / "runs" / options.name
            outcome = train(options, material, folder, kept=kept)
            sets = sets or dev_sets(material.pack / "dev", outcome.config.views)
            facts = {
                "arm": options.name,
                "seed": options.seed,
                "views": outcome.steps * options.batch,
                "seconds": round(outcome.seconds, 1),
                "images_per_s": round(outcome.images_per_s),
                "device": device_name(material.device),
                "terms": {name: round(term.item(), 4) for name, term in outcome.module.record.loss.terms.items()},
                "options": dataclasses.asdict(options),
            }
            vectors = {weights: vectors_of(outcome, sets, weights) for weights in outcome.weights}
            labels = {each.name: each.labels for each in sets}
            written.append(executor.submit(write_arm, path, facts, vectors, labels))
            shutil.rmtree(folder)
            longest = max(longest, time.monotonic() - started)
            print(f"{options.name}: {time.monotonic() - started:.0f} s", flush=True)
        for future in written:
            future.result()


def table(folder: Path) -> str:
    """The arms as a Markdown table: mAP of the averaged `aligned` outputs, and of the variants."""
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    if not found:
        return f"{folder} has no arms."
    sets = sorted(found[0]["map"]["averaged"])
    lines = [
        f"| arm | seed | views | views/s | {' | '.join(sets)} | mean | mean, features | mean, without average |",
        f"| --- | --- | --- | --- |{' --- |' * (len(sets) + 3)}",
    ]
    for each in sorted(found, key=lambda arm: -_mean(arm, "averaged", "aligned")):
        figures = [f"{each['map']['averaged'][name]['aligned']:.3f}" for name in sets]
        variants = (("averaged", "aligned"), ("averaged", "features"), ("last", "aligned"))
        means = [f"{_mean(each, weights, output):.3f}" for weights, output in variants]
        facts = [each["arm"], str(each["seed"]), f"{each['views']:,}", f"{each['images_per_s']:,}"]
        lines.append(f"| {' | '.join([*facts, *figures, *means])} |")
    return "\n".join(lines)


def _mean(arm: dict[str, Any], weights: str, output: str) -> float:
    return float(np.mean([figures[output] for figures in arm["map"][weights].values()]))
