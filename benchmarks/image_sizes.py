"""Retrieval by image size: how well encoders do when they read smaller photos than those that they were made for.

    python benchmarks/image_sizes.py SPEC... --px 96 128 own --data DEV/clothing DEV/imagewoof --output reports/encoders

Each encoder is measured by `retrieval-v1` with its default output. The photo is resized in the encoder's own proportion
of resize and crop. `own` is the size that its preprocessing names.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

import mvmr_zoo
from mvmr_zoo._io import write_whole
from mvmr_zoo.datasets import open_splits
from mvmr_zoo.evaluate import retrieval

REPORT_FILE = "image_sizes.json"


def main() -> None:
    """Write the report, and print a line per encoder and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--px", nargs="+", default=["own"], help="sizes in pixels, or own")
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders with one subfolder per class")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    tests = {folder.name: open_splits(f"folder:{folder}").test for folder in options.data}
    rows = []
    for spec in options.models:
        model = mvmr_zoo.load(spec)
        for name in options.px:
            px = model.preprocess.crop_px if name == "own" else int(name)
            sized = replace(model, card=replace(model.card, preprocess=model.preprocess.scaled(px)))
            found = {}
            for data, test in tests.items():
                vectors = sized.embed(test.image(row) for row in range(len(test)))
                found[data] = round(retrieval(vectors, test.labels).mean_average_precision, 4)
            rows.append({"model": model.card.name, "weights": model.weights_digest, "px": px, "map": found})
            figures = "  ".join(f"{data} {figure:.3f}" for data, figure in found.items())
            print(f"{model.card.name:<24} {px:>4} px  {figures}  mean {np.mean(list(found.values())):.3f}", flush=True)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        write_whole(options.output / REPORT_FILE, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
