"""References of a run: fixed representations and teachers' embeddings, cached or computed in every step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import mvmr_zoo
from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.features import DRAFT_MARGIN
from training.cache import Producer, cached_rows
from training.config import RepresentationsConfig, TeacherConfig, ViewConfig
from training.config.references import AUGMENTED_PIXELS
from training.examples import plain_view
from training.representations import Representation, build_representation, representation_digest
from training.teacher import teacher_rows

TEACHER = "teacher"
"""The name of the teacher among the references."""


@dataclass(frozen=True, kw_only=True)
class References:
    """What embeddings are made dependent on.

    Args:
        cached: rows by name, row i of image i.
        live: functions of `Example.source` by name, each to `(N, K)`.
        source: prepares an image for `live`.
        source_px: what an image's short side must keep for `source`.
    """

    cached: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    live: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    source: Callable[[Image.Image], Tensor] | None = None
    source_px: int = 0


@dataclass(frozen=True)
class PlainPixels:
    """The plain view at one size, as representations read it: `(3, px, px)` uint8."""

    views: ViewConfig
    px: int

    def __call__(self, image: Image.Image) -> Tensor:
        """The view of one image."""
        return plain_view(self.views, image, self.px)


@dataclass(frozen=True)
class OfPixels:
    """A representation of uint8 pixels."""

    representation: Representation

    def __call__(self, pixels: Tensor) -> Tensor:
        """`(N, K)` of `(N, 3, H, W)` uint8."""
        return self.representation(pixels.float() / 255)


@dataclass(frozen=True)
class LiveTeacher:
    """A teacher that answers in every step."""

    model: mvmr_zoo.Model

    def prepare(self, image: Image.Image) -> Tensor:
        """What the teacher reads of one image: `(3, H, W)` float32."""
        return torch.from_numpy(self.model.preprocess(image))

    def __call__(self, prepared: Tensor) -> Tensor:
        """Its embeddings, `(N, T)` float32."""
        return torch.from_numpy(self.model.engine(prepared.cpu().numpy())).to(prepared.device)


def representation_references(
    config: RepresentationsConfig, views: ViewConfig, data: ImageSet, folder: Path
) -> References:
    """The references of pretraining.

    Args:
        config: which, and whether they are cached.
        views: the plain view they are computed from.
        data: all images.
        folder: of caches.
    """
    kinds = [term for term in config.terms if term.kind != AUGMENTED_PIXELS and term.weight > 0]
    built = {term.kind: build_representation(term.kind, term.options) for term in kinds}
    source = PlainPixels(views, config.px or max(stage.px for stage in views.sizes))
    if not built:
        return References()
    _try(built, source.px)
    least_px = DRAFT_MARGIN * views.preprocess(source.px).resize_px
    if not config.cached:
        return References(
            live={name: OfPixels(each) for name, each in built.items()}, source=source, source_px=least_px
        )
    producers = {name: _producer(name, each, source, least_px, data) for name, each in built.items()}
    return References(
        cached={name: cached_rows(folder, data, producer, config.cache) for name, producer in producers.items()}
    )


def teacher_reference(config: TeacherConfig, data: ImageSet, folder: Path) -> References:
    """The one reference of distillation."""
    if config.cached or config.spec.startswith("embeddings:"):
        return References(cached={TEACHER: teacher_rows(config.spec, data, folder, config.cache)})
    teacher = LiveTeacher(mvmr_zoo.load(config.spec))
    least_px = DRAFT_MARGIN * teacher.model.preprocess.resize_px
    return References(live={TEACHER: teacher}, source=teacher.prepare, source_px=least_px)


def _try(built: Mapping[str, Representation], px: int) -> None:
    """Let options that do not fit the image size fail before the run begins."""
    for name, representation in built.items():
        try:
            found = representation(torch.rand(2, 3, px, px))
        except ConfigError:
            raise
        except Exception as error:  # a user's own code
            raise ConfigError(f"Representation {name} fails on images (2, 3, {px}, {px}): {error}") from None
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(f"Representation {name} gives {shape} for 2 images; expected a tensor (2, K).")


def _producer(
    name: str, representation: Representation, source: PlainPixels, least_px: int, data: ImageSet
) -> Producer:
    of_pixels = OfPixels(representation)

    def compute(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
            pixels = list(pool.map(lambda index: source(data.image(int(index), min_px=least_px)), indices))
        rows: NDArray[np.float32] = of_pixels(torch.stack(pixels)).numpy()
        return rows

    plain = source.views.preprocess(source.px).digest
    digest = hashlib.sha256(f"{representation_digest(representation)} {plain} {least_px}".encode()).hexdigest()
    dim = of_pixels(torch.zeros(1, 3, source.px, source.px, dtype=torch.uint8)).shape[1]
    return Producer(name=f"{name}-{source.px}px", digest=digest, dim=dim, compute=compute)
