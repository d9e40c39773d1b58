"""Which principal components of one or two teachers' embeddings retrieve best, as targets of a distillation.

    python benchmarks/teacher_spaces.py PHOTOS DEV [DEV ...] --output reports/encoders/teacher_spaces.json

The space is fitted to photos of PHOTOS (`training.targets.fit_space`). Each DEV is a folder with a subfolder per class.
Its test split is measured by `retrieval-v1`, with the embeddings in the place of a student's.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import mvmr_zoo
from mvmr_zoo._io import write_whole
from mvmr_zoo.datasets import embed_images, image_folder, open_splits
from mvmr_zoo.evaluate import machine, retrieval
from training.targets import fit_space

TEACHERS = ("effnet-lite:0", "effnet-lite:2")
DIMS, WHITENINGS = (256, 512, 1024), (0.0, 0.25, 0.5, 0.75)


def main() -> None:
    """Measure every space and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("dev", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=4096, help="photos that the spaces are fitted to")
    options = parser.parse_args()
    paths = image_folder(options.photos).paths
    sample = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[: options.sample]]
    tests = {folder.name: open_splits(f"folder:{folder}").test for folder in options.dev}
    models = {spec: mvmr_zoo.load(spec) for spec in TEACHERS}
    fitted = {spec: model.embed(sample, normalize=False) for spec, model in models.items()}
    embedded = {
        (spec, name): embed_images(model.engine, model.preprocess, test, range(len(test)), dim=model.dim)
        for spec, model in models.items()
        for name, test in tests.items()
    }

    def measure(teachers: tuple[str, ...], dim: int | None, whitening: float) -> dict[str, Any]:
        figures = {}
        for name, test in tests.items():
            rows: NDArray[np.float32] = np.concatenate([embedded[spec, name] for spec in teachers], axis=1)
            if dim is not None:
                space = fit_space([fitted[spec] for spec in teachers], dim, whitening)
                rows = space(torch.from_numpy(rows)).numpy()
            figures[name] = round(retrieval(rows, test.labels).mean_average_precision, 4)
        mean = round(statistics.mean(figures.values()), 4)
        row = {"teachers": teachers, "dim": dim, "whitening": whitening, "map": figures, "mean": mean}
        print(" and ".join(teachers), dim or "as they are", whitening, figures, mean, flush=True)
        return row

    rows = [measure((spec,), None, 0) for spec in TEACHERS]
    for teachers in ((TEACHERS[0],), (TEACHERS[1],), TEACHERS):
        rows += [measure(teachers, dim, whitening) for dim in DIMS for whitening in WHITENINGS]
    report = {"sample": len(sample), "images": {name: len(test) for name, test in tests.items()}, "machine": machine()}
    write_whole(options.output, json.dumps(report | {"spaces": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
