"""Folders that `mvmr-export onnx` wrote, each made when it is first asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto
from PIL import Image

from export import speed, write
from export.convert import encoder_graph
from export.options import ExportOptions
from export.write import Demands, export_onnx
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.images import read_image
from mvmr_zoo.models.exported import Signature

from .conftest import made_once

KINDS = {
    "fp32": ExportOptions(),
    "int8": ExportOptions(dtype="int8"),
    "full": ExportOptions(stage="full"),
    "sizes": ExportOptions(stage="normalize", size="dynamic"),
    "three": ExportOptions(dtype="fp16", batch=3),
    "classes": ExportOptions(head=True, unit_norm=True),
}
"""By name, one of each way to export."""

FILES = {"model.onnx", "export.json", "config.json", "reference.safetensors"}
"""What every exported folder holds, and no more."""

CLOSE = {"fp32": 0.99999, "int8": 0.98, "full": 0.999, "sizes": 0.99999, "three": 0.9999, "classes": 0.99999}
"""The least mean cosine to the checkpoint's own answers."""

MEASURED = 76
"""Of the 100 photos; the other 24 calibrate."""

AGREEMENT = 0.9
"""What is asked of the tiny network of random weights, which sees more alike than a trained one."""


@dataclass(frozen=True)
class ExportedFolders:
    """Exports of one checkpoint, by their names in `KINDS`.

    Args:
        root: where they go.
        checkpoint: they are made from.
        photos: folder they are measured on.
    """

    root: Path
    checkpoint: Checkpoint
    photos: Path

    @property
    def spec(self) -> str:
        return str(self.checkpoint.folder)

    @property
    def demands(self) -> Demands:
        return Demands(images=self.photos, min_agreement=AGREEMENT)

    def __call__(self, kind: str) -> Path:
        folder = self.root / kind
        with made_once(folder) as first, quick_parity_reports():
            if first:
                export_onnx(self.spec, folder, KINDS[kind], self.demands)
        return folder


def write_alike(folder: Path) -> Path:
    """90 photos of one photograph, with a little noise on each: which is nearest to which, int8 does not see."""
    photograph = read_image(photographs()[4]).resize((60, 40))
    folder.mkdir()
    for number in range(90):
        noise = np.random.default_rng(number).integers(-8, 9, (40, 60, 3))
        pixels = np.clip(np.asarray(photograph) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@contextmanager
def quick_parity_reports() -> Iterator[None]:
    """Exports without what takes long and is tested elsewhere: each encoder is traced once, times are of one moment.

    PyTorch takes one thread: with more, it and ONNX Runtime wait for each other's.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "WARM_S", 0.0)
        patch.setattr(speed, "TURNS", 1)
        patch.setattr(write, "encoder_graph", _traced_once)
        yield
    torch.set_num_threads(threads)


_TRACED: dict[tuple[object, ...], bytes] = {}


def _traced_once(encoder: torch.nn.Module, signature: Signature) -> ModelProto:
    """`encoder_graph`, which depends on nothing else than the key here."""
    weights = hashlib.sha256(b"".join(each.numpy().tobytes() for each in encoder.state_dict().values())).digest()
    key = (weights, signature.preprocess.crop_px, signature.size_px, signature.opset)
    if key not in _TRACED:
        _TRACED[key] = encoder_graph(encoder, signature).SerializeToString()
    return ModelProto.FromString(_TRACED[key])
