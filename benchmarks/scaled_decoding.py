"""12-megapixel JPEGs to vectors, decoded at the smallest scale that is large enough, beside every pixel.

    python benchmarks/scaled_decoding.py [--model SPEC] [--photos 60] [--rounds 3]

Photos are made of the bundled samples, enlarged to 4000 x 3000 with grain added, so that their JPEGs are as large as a
phone's. Both ways take turns, with the same decode threads and engine. Medians, and the cosine of the two vectors.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import mvmr_zoo
from mvmr_zoo.datasets import make_view, photographs
from mvmr_zoo.images import read_image
from mvmr_zoo.inference import DecodedImage
from mvmr_zoo.models import BUNDLED_MODEL

SIZE = (4000, 3000)


def write_photos(folder: Path, count: int) -> list[Path]:
    """JPEG files of 12 megapixels."""
    sources = photographs()
    paths = []
    for number in range(count):
        random = np.random.default_rng(number)
        view = ImageOps.fit(make_view(read_image(sources[number % len(sources)]), random), SIZE)
        pixels = np.asarray(view, np.int16) + random.integers(-6, 7, (SIZE[1], SIZE[0], 1), np.int16)
        paths.append(folder / f"{number:03}.jpg")
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def every_pixel(path: Any, min_px: int) -> DecodedImage:
    """A photo decoded in full."""
    return DecodedImage(read_image(path))


def vectors(model: mvmr_zoo.Model, paths: list[Path], *, scaled: bool) -> tuple[float, np.ndarray]:
    """Seconds, and `(N, D)`."""
    began = time.perf_counter()
    found = [batch.vectors for batch in model.stream(paths, decode=None if scaled else every_pixel)]
    return time.perf_counter() - began, np.concatenate(found)


def main() -> None:
    """Print images a second, their ratio, and the cosines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model = mvmr_zoo.load(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_photos(Path(scratch), options.photos)
        size_mb = statistics.mean(path.stat().st_size for path in paths) / 1e6
        rounds = [
            (vectors(model, paths, scaled=True), vectors(model, paths, scaled=False)) for _ in range(options.rounds)
        ]
    scaled, full = (statistics.median(each[i][0] for each in rounds) for i in (0, 1))
    cosine = (rounds[0][0][1] * rounds[0][1][1]).sum(axis=1)
    print(f"{len(paths)} JPEGs of 12 megapixels, {size_mb:.1f} MB each")
    print(f"scaled {len(paths) / scaled:.1f} images/s, every pixel {len(paths) / full:.1f}, ratio {full / scaled:.2f}")
    print(f"cosine of the two: min {cosine.min():.4f}, mean {cosine.mean():.4f}")


if __name__ == "__main__":
    main()
