"""Which altered copies `mvmr-zoo duplicates` finds, and which different photos it takes for copies.

    python benchmarks/duplicates.py PHOTO-FOLDER [--photos 1500] [--altered 300] [--cosine 0.6 0.7]

The photos of the folder must be different ones; every pair of them that is called a copy is a mistake.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mvmr_zoo.datasets import image_folder
from mvmr_zoo.images import read_image
from mvmr_zoo.search import PhotoLibrary
from mvmr_zoo.search.duplicates import COSINE


def _cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(width * left), int(height * top), int(width * right), int(height * bottom)))


ALTERED: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "JPEG quality 40": (lambda image: image, 40),
    "brighter by 15 %": (lambda image: image.point(lambda value: min(255, int(value * 1.15))), 95),
    "half the size": (lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS), 85),
    "3 % cut off every edge": (lambda image: _cut(image, 0.03, 0.03, 0.97, 0.97), 95),
    "a tenth cut off two edges": (lambda image: _cut(image, 0.1, 0.1, 1, 1), 95),
}
"""What is done to a photo, and the quality of its JPEG."""


def groups(folders: list[Path], library: Path, cosines: list[float]) -> list[list[set[str]]]:
    """The names of the files in each group of copies, for each smallest cosine."""
    with PhotoLibrary(library) as photos:
        photos.add(folders)
        found = [photos.duplicates(cosine=cosine) for cosine in cosines]
    return [[{group.path.name, *(copy.path.name for copy in group.copies)} for group in each] for each in found]


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1500)
    parser.add_argument("--altered", type=int, default=300)
    parser.add_argument("--cosine", type=float, nargs="+", default=[COSINE])
    options = parser.parse_args()
    found = image_folder(options.folder).paths
    paths = [found[i] for i in np.random.default_rng(0).permutation(len(found))[: options.photos]]
    with tempfile.TemporaryDirectory() as scratch:
        originals = Path(scratch) / "originals"
        originals.mkdir()
        for number, path in enumerate(paths):
            (originals / f"{number}.jpg").symlink_to(path.resolve())
        mistakes = groups([originals], Path(scratch) / "library", options.cosine)
        print(f"{'smallest cosine':<28} {' '.join(f'{cosine:6g}' for cosine in options.cosine)}")
        pairs = f"of {len(paths) * (len(paths) - 1) // 2:,} different pairs"
        print(f"{pairs:<28} {' '.join(f'{len(each):6}' for each in mistakes)} groups")
        for what, (alter, quality) in ALTERED.items():
            place = Path(scratch) / what
            for kind in ("originals", "copies"):
                (place / kind).mkdir(parents=True)
            for number, path in enumerate(paths[: options.altered]):
                (place / "originals" / f"{number}.jpg").symlink_to(path.resolve())
                alter(read_image(path)).save(place / "copies" / f"{number}-copy.jpg", quality=quality)
            shares = [
                sum(any({f"{i}.jpg", f"{i}-copy.jpg"} <= group for group in named) for i in range(options.altered))
                / options.altered
                for named in groups([place / "originals", place / "copies"], place / "library", options.cosine)
            ]
            print(f"{what:<28} {' '.join(f'{share:6.1%}' for share in shares)} found")


if __name__ == "__main__":
    main()
