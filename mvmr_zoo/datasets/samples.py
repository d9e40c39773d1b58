"""A folder of real photos from the wheels of scikit-image and scikit-learn.

Each photograph becomes several views: random crops, flips and color changes. Some views are held
back as queries, so that searching has a right answer.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mvmr_zoo.errors import MissingDependencyError
from mvmr_zoo.images import read_image

VIEWS = 12
HELD_BACK = 4
MIN_AREA = 0.35
"""Minimum fraction of the area of a photograph in a view."""

_SKIMAGE = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png",
    "page.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
_SKLEARN = ("china.jpg", "flower.jpg")


class Samples(NamedTuple):
    """Location of the sample photos.

    Args:
        library: Folder of the views to index.
        queries: Folder of the views held back.
        photographs: Number of different photographs.
    """

    library: Path
    queries: Path
    photographs: int


def photographs() -> list[Path]:
    """The photographs inside scikit-image's and scikit-learn's wheels.

    Raises:
        MissingDependencyError: One of the two is not installed.
    """
    skimage, sklearn = _package("skimage"), _package("sklearn")
    return [skimage / "data" / name for name in _SKIMAGE] + [
        sklearn / "datasets" / "images" / name for name in _SKLEARN
    ]


def make_samples(folder: Path, *, seed: int = 0) -> Samples:
    """Write the views as JPEG files: the same pixels for the same seed.

    Args:
        folder: Output folder, in which `library` and `queries` are created.
        seed: Random seed of crops, flips and colors.
    """
    samples = Samples(folder / "library", folder / "queries", len(photographs()))
    for kind in samples[:2]:
        kind.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(photographs()):
        photograph = read_image(path)
        for view in range(VIEWS):
            random = np.random.default_rng((seed, number, view))
            kind = samples.queries if view < HELD_BACK else samples.library
            make_view(photograph, random).save(kind / f"{path.stem}--{view:02}.jpg", quality=90)
    return samples


def write_halves(folder: Path) -> list[tuple[Path, Path]]:
    """Write both halves of every photograph as JPEG files, cut along its longer side. Returns the pairs.

    The halves have no pixel in common: they are two photos of one scene.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for path in photographs():
        photograph = read_image(path)
        width, height = photograph.size
        middle = (width // 2, height) if width >= height else (width, height // 2)
        other = (middle[0] if width >= height else 0, 0 if width >= height else middle[1])
        first, second = (folder / f"{path.stem}--{half}.jpg" for half in ("first", "second"))
        photograph.crop((0, 0, *middle)).save(first, quality=90)
        photograph.crop((*other, width, height)).save(second, quality=90)
        pairs.append((first, second))
    return pairs


def make_view(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    """One view: a crop of `MIN_AREA` to all of the area, perhaps flipped, in other colors."""
    side = float(np.sqrt(random.uniform(MIN_AREA, 1.0)))
    width, height = round(photograph.width * side), round(photograph.height * side)
    left = int(random.integers(photograph.width - width + 1))
    top = int(random.integers(photograph.height - height + 1))
    view = photograph.crop((left, top, left + width, top + height))
    if random.random() < 0.5:
        view = ImageOps.mirror(view)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        view = enhance(view).enhance(float(random.uniform(0.6, 1.4)))
    return view


def photograph_of(view: Path) -> str:
    """The name of the photograph a view was made from."""
    return view.name.split("--")[0]


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        library = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[name]
        raise MissingDependencyError(library, "samples", "make the sample photos")
    return Path(spec.submodule_search_locations[0])
