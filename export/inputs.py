"""What a `model.onnx` is given for photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.images import read_image
from mvmr_zoo.inference import DRAFT_MARGIN, onnx_session

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from mvmr_zoo.models.exported import Signature


def read(contract: Signature, photos: list[Path]) -> list[Image.Image]:
    """Photos, RGB; whole where `model.onnx` resizes, else perhaps decoded at a reduced size."""
    min_px = None if contract.reads == "photo" else DRAFT_MARGIN * contract.preprocess.resize_px
    return [read_image(photo, min_px=min_px) for photo in photos]


def prepared(contract: Signature, images: list[Image.Image]) -> Any:
    """An array `(N, 3, H, W)`, or a list of arrays `(H, W, 3)` of any size."""
    arrays = [contract.preprocess.prepare(image, contract.reads) for image in images]
    return arrays if contract.reads == "photo" else np.stack(arrays)


def inputs(contract: Signature, photos: list[Path]) -> Any:
    """Photos as `prepared` makes them."""
    return prepared(contract, read(contract, photos))


def crops(contract: Signature, photos: list[Path]) -> NDArray[np.float32]:
    """What the encoder itself is given, `(N, 3, H, W)` float32: by the graph's own preprocessing where it resizes."""
    if contract.reads != "photo":
        return np.stack([contract.preprocess(image) for image in read(contract, photos)])
    from export.stages import preprocessing

    session = onnx_session(preprocessing(contract).SerializeToString())
    return np.concatenate([session.run(["images"], {"photo": inputs(contract, [photo])[0]})[0] for photo in photos])
