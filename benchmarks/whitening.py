"""How much to whiten: retrieval with several whitening exponents of one encoder.

    python benchmarks/whitening.py effnet-lite1-whitened DEV/clothing DEV/imagewoof ... --output reports/encoders

The encoder is one that `python -m training.whiten` made. Its components are kept, and their scales are changed to those
of other exponents. Each folder has one subfolder per class, and its test split is measured by `retrieval-v1`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import mvmr_zoo
from mvmr_zoo._io import write_whole
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets import open_splits
from mvmr_zoo.evaluate import retrieval
from mvmr_zoo.models import find_checkpoint

REPORT_FILE = "whitening.json"
EXPONENTS = (0.0, 0.15, 0.25, 0.35, 0.5, 0.7)


def rescaled(checkpoint: Checkpoint, exponent: float) -> np.ndarray:
    """The map `(A, D)` from features to components with another exponent.

    The length of a row is the variance of its component to the power of minus half the exponent.
    """
    made_with = checkpoint.config.training.get("whiten", {}).get("whitening")
    if not made_with or checkpoint.alignment is None:
        raise SystemExit(f"{checkpoint.config.name} was not made by training.whiten with an exponent above 0.")
    lengths = np.linalg.norm(checkpoint.alignment.matrix, axis=1, keepdims=True)
    return np.asarray(checkpoint.alignment.matrix * lengths ** (exponent / made_with - 1), np.float32)


def main() -> None:
    """Write the report, and print mAP by exponent and data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--exponents", type=float, nargs="+", default=EXPONENTS)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    model, checkpoint = mvmr_zoo.load(options.model, output="features"), find_checkpoint(options.model)
    maps = {"features": np.eye(model.dim, dtype=np.float32)}
    maps |= {f"{exponent:g}": rescaled(checkpoint, exponent) for exponent in options.exponents}
    found: dict[str, dict[str, float]] = {name: {} for name in maps}
    for folder in options.folders:
        test = open_splits(f"folder:{folder}").test
        images = (test.image(row) for row in range(len(test)))
        features = model.embed(images, normalize=False)
        for name, matrix in maps.items():
            precision = retrieval(features @ matrix.T, test.labels).mean_average_precision
            found[name][folder.name] = round(precision, 4)
    for name, figures in found.items():
        row = "  ".join(f"{data} {figure:.3f}" for data, figure in figures.items())
        print(f"{name:<9} {row}  mean {np.mean(list(figures.values())):.3f}")
    report = {"model": options.model, "weights": model.weights_digest, "map_by_exponent": found}
    options.output.mkdir(parents=True, exist_ok=True)
    write_whole(options.output / REPORT_FILE, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
