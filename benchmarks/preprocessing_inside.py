"""The preprocessing inside an ONNX file beside the Python one, on 200 photos of mixed sizes.

    mvmr-export onnx resnet18-imagenette-kd full --preprocess full
    python benchmarks/preprocessing_inside.py full [--model resnet18-imagenette-kd]

The file runs in a plain onnxruntime session on every pixel of a photo; the Python path reads the file and may decode
a large JPEG at a reduced size. Photos are views of the bundled samples, their long side from 60 to 4000 px.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

import mvmr_zoo
from export.agreement import cosines
from mvmr_zoo.datasets import make_view, photographs
from mvmr_zoo.images import read_image
from mvmr_zoo.models import BUNDLED_MODEL

COUNT = 200


def write_photos(folder: Path) -> list[Path]:
    """200 JPEG files."""
    sources = photographs()
    paths = []
    for number in range(COUNT):
        random = np.random.default_rng(number)
        view = make_view(read_image(sources[number % len(sources)]), random)
        scale = float(np.exp(random.uniform(np.log(60), np.log(4000)))) / max(view.size)
        size = (max(1, round(view.width * scale)), max(1, round(view.height * scale)))
        paths.append(folder / f"{number:03}.jpg")
        view.resize(size, Image.Resampling.LANCZOS).save(paths[-1], quality=92)
    return paths


def main() -> None:
    """Print the cosines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=BUNDLED_MODEL)
    options = parser.parse_args()
    session = ort.InferenceSession(options.folder / "model.onnx")
    model = mvmr_zoo.load(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_photos(Path(scratch))
        whole = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        inside = np.concatenate([session.run(["features"], {"photo": each})[0] for each in whole])
        for name, photos in (("the same pixels", whole), ("the file, perhaps decoded at reduced size", paths)):
            found = cosines(model.embed(photos, normalize=False), inside)
            print(f"{name}: cosine min {found.min():.6f}, mean {found.mean():.6f}, {len(paths)} photos")


if __name__ == "__main__":
    main()
