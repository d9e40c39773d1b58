"""From a folder of JPEGs to vectors: `embed` beside PyTorch eager with a DataLoader of two workers.

    python benchmarks/pipeline.py PHOTO-FOLDER [--model SPEC] [--exported FOLDER] [--photos 2000] [--rounds 3]

The peer is what people write with torchvision: ImageFolder's loader, Resize, CenterCrop, ToTensor, Normalize,
inference mode. Both take turns in one process, in batches of 32; also the engine alone on a batch that is ready, to see
what share of its rate the pipeline keeps. Medians.
"""

from __future__ import annotations

import argparse
import statistics
import timeit
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets.folder import default_loader

import mvmr_zoo
from mvmr_zoo.datasets import image_folder
from mvmr_zoo.images import Preprocess
from mvmr_zoo.inference import unit
from mvmr_zoo.models import BUNDLED_MODEL

BATCH = 32


class Photos(Dataset):
    """Files through torchvision's transforms."""

    def __init__(self, paths: list[Path], preprocess: Preprocess) -> None:
        self.paths = paths
        mode = transforms.InterpolationMode(preprocess.interpolation)
        self.transform = transforms.Compose(
            [
                transforms.Resize(preprocess.resize_px, mode),
                transforms.CenterCrop(preprocess.crop_px),
                transforms.ToTensor(),
                transforms.Normalize(preprocess.mean, preprocess.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(default_loader(str(self.paths[index])))


def by_dataloader(model: mvmr_zoo.Model, paths: list[Path]) -> np.ndarray:
    """Vectors `(N, D)` by PyTorch eager."""
    loader = DataLoader(Photos(paths, model.preprocess), batch_size=BATCH, num_workers=2)
    with torch.inference_mode():
        return unit(np.concatenate([model.encoder(batch).numpy() for batch in loader]))


def engine_alone(model: mvmr_zoo.Model, count: int) -> None:
    """The engine on batches that are ready."""
    px = model.preprocess.crop_px
    batch = np.zeros((BATCH, 3, px, px), np.float32)
    for _ in range(count // BATCH):
        model.engine(batch)


def main() -> None:
    """Print images a second and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--exported", help="a folder that mvmr-export made of the model, as in int8, to time too")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model = mvmr_zoo.load(options.model)
    found = image_folder(options.folder).paths
    paths = [found[i] for i in np.random.default_rng(0).permutation(len(found))[: options.photos]]
    cosine = (model.embed(paths[:256]) * by_dataloader(model, paths[:256])).sum(axis=1)
    runs = {
        "embed": lambda: model.embed(paths),
        "DataLoader, PyTorch eager": lambda: by_dataloader(model, paths),
        "engine alone": lambda: engine_alone(model, len(paths)),
    }
    if options.exported:
        exported = mvmr_zoo.load(f"local-dir:{options.exported}")
        runs["embed, exported"] = lambda: exported.embed(paths)
    rounds = [{name: timeit.timeit(run, number=1) for name, run in runs.items()} for _ in range(options.rounds)]
    for name in runs:
        print(f"{name:<28} {len(paths) / statistics.median(each[name] for each in rounds):7.1f} images/s")
    for fast in [name for name in runs if name.startswith("embed")]:
        for name in ("DataLoader, PyTorch eager", "engine alone"):
            ratio = statistics.median(each[name] / each[fast] for each in rounds)
            print(f"{fast}, times {name}: {ratio:.2f}")
    print(f"cosine to the DataLoader's vectors: min {cosine.min():.5f}, mean {cosine.mean():.5f}")


if __name__ == "__main__":
    main()
