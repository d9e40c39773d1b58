"""Common parts of the checks: device, sizes, photos, checkpoint folders, timing."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

Figures = dict[str, Any]


class SkippedError(Exception):
    """This machine lacks what a check needs."""


class DifferenceError(Exception):
    """A result differs from the expected one."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise DifferenceError with the text `otherwise` unless `holds`."""
    if not holds:
        raise DifferenceError(otherwise)


@dataclass(frozen=True)
class Bench:
    """The device, sizes and files of the checks.

    Args:
        device: `cuda`, or `cpu` to test the script.
        quick: Use tiny networks and images.
        folder: Folder for temporary files.
    """

    device: str
    quick: bool
    folder: Path

    @property
    def px(self) -> int:
        """Side of training images."""
        return 32 if self.quick else 128

    @property
    def batch(self) -> int:
        """Training batch size."""
        return 8 if self.quick else 128

    @functools.cached_property
    def photos(self) -> list[Path]:
        """JPEG files for whole training batches: crops of the sample photos. Smooth noise without them or if quick."""
        from mvmr_zoo.datasets import make_view, photographs
        from mvmr_zoo.errors import MissingDependencyError
        from mvmr_zoo.images import read_image

        try:
            sources = [] if self.quick else [read_image(path) for path in photographs()]
        except MissingDependencyError:
            sources = []
        sources = sources or [_noise(seed) for seed in range(20)]
        folder = self.folder / "photos"
        folder.mkdir()
        for number in range(96 if self.quick else 256):  # an export needs 80
            photo = make_view(sources[number % len(sources)], np.random.default_rng(number))
            photo.thumbnail((96, 96) if self.quick else (400, 400))
            photo.save(folder / f"{number:03}.jpg", quality=90)
        return sorted(folder.iterdir())

    def untrained(self, architecture: str, px: int) -> str:
        """The path of a checkpoint with random weights and the batch norm statistics of random images."""
        from mvmr_zoo.architectures import Encoder
        from mvmr_zoo.checkpoint import SCHEMA_VERSION, CheckpointConfig
        from mvmr_zoo.images import Preprocess
        from mvmr_zoo.models import save_encoder

        folder = self.folder / f"untrained-{architecture}-{px}px"
        if not folder.exists():
            torch.manual_seed(0)
            encoder = Encoder(architecture)
            for module in encoder.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = None  # the plain mean of all batches, here one
            with torch.no_grad():
                encoder(torch.randn(16, 3, px, px))
            facts = CheckpointConfig(
                schema_version=SCHEMA_VERSION,
                name=folder.name,
                architecture=architecture,
                embedding_dim=encoder.embedding_dim,
                preprocess=Preprocess(resize_px=round(px / 0.875), crop_px=px),
                license="not stated",
                source="random weights",
            )
            save_encoder(encoder, folder, facts)
        return str(folder)

    def seconds(self, call: Callable[[], object]) -> float:
        """The mean time of a call after two warm-up calls. The device is synchronized after each call."""
        began, calls = 0.0, -2
        while calls <= 0 or time.perf_counter() - began < (0.02 if self.quick else 0.5):
            if calls == 0:
                began = time.perf_counter()
            call()
            if self.device == "cuda":
                torch.cuda.synchronize()
            calls += 1
        return (time.perf_counter() - began) / calls


def _noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(256, size=(18, 24, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((480, 360), Image.Resampling.BICUBIC)
