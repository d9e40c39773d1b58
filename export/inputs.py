"""Inputs of a `model.onnx` for photos."""

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


def read_photos(signature: Signature, photos: list[Path]) -> list[Image.Image]:
    """Read photos as RGB: at full size if `model.onnx` resizes, else possibly decoded at a reduced size."""
    min_px = None if signature.reads == "photo" else DRAFT_MARGIN * signature.preprocess.resize_px
    return [read_image(photo, min_px=min_px) for photo in photos]


def prepare_inputs(signature: Signature, images: list[Image.Image]) -> Any:
    """Return an array `(N, 3, H, W)`, or a list of `(H, W, 3)` arrays of any size if `model.onnx` resizes."""
    arrays = [signature.preprocess.prepare(image, signature.reads) for image in images]
    return arrays if signature.reads == "photo" else np.stack(arrays)


def load_inputs(signature: Signature, photos: list[Path]) -> Any:
    """Read photos and return them as `prepare_inputs` does."""
    return prepare_inputs(signature, read_photos(signature, photos))


def load_crops(signature: Signature, photos: list[Path]) -> NDArray[np.float32]:
    """Return the inputs of the encoder `(N, 3, H, W)` float32, preprocessed by the graph itself if it resizes."""
    if signature.reads != "photo":
        return np.stack([signature.preprocess(image) for image in read_photos(signature, photos)])
    from export.stages import preprocessing_graph

    session = onnx_session(preprocessing_graph(signature).SerializeToString())
    return np.concatenate(
        [session.run(["images"], {"photo": load_inputs(signature, [photo])[0]})[0] for photo in photos]
    )
