from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from onnx import ModelProto

from export.convert import encoder_graph
from mvmr_zoo.architectures.encoder import Encoder
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.models.exported import Signature

from ..conftest import PX, shaken
from ..exported_folders import quick_parity_reports


def signature(**fields: object) -> Signature:
    """Return the signature of an fp32 export of a tiny encoder with dynamic size and batch, updated with `fields`."""
    defaults = {
        "dtype": "fp32",
        "stage": "none",
        "preprocess": Preprocess(resize_px=36, crop_px=PX),
        "size_px": None,
        "batch": None,
        "opset": 20,
        "unit_norm": False,
        "head": False,
        "embedding_dim": 64,
    }
    return Signature(**{**defaults, **fields})


def rows_cosine(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


@pytest.fixture(scope="package", autouse=True)
def _quick_reports() -> Iterator[None]:
    with quick_parity_reports():
        yield


def tiny_encoder() -> Encoder:
    """Return a ResNet-8 with the same random weights on each call."""
    torch.manual_seed(0)
    return shaken(Encoder("resnet8"))


@pytest.fixture(scope="package")
def tiny_graph() -> ModelProto:
    """Graph of `tiny_encoder` in fp32. Tests must not modify it."""
    return encoder_graph(tiny_encoder(), signature())


@pytest.fixture(scope="package")
def noise() -> np.ndarray:
    """Random images `(16, 3, 32, 32)` for the tiny encoder."""
    return np.random.default_rng(0).standard_normal((16, 3, PX, PX)).astype(np.float32)
