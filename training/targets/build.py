"""The targets of a run: fixed representations or a teacher's embeddings, cached or computed in every step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mvmr_zoo.datasets import ImageSet
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.features import DRAFT_MARGIN
from training.config import RepresentationsConfig, TeacherConfig, ViewConfig
from training.config.objective import AUGMENTED_PIXELS
from training.data import Source, plain_view, read_for_views
from training.losses.regression import TEACHER
from training.targets.cache import Producer, cached_rows
from training.targets.representations import Representation, build_representation, representation_digest
from training.targets.teacher import PRECOMPUTED, Teacher, check_width, live_teacher_mean, teacher_mean, teacher_rows


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The targets of a run.

    Args:
        cached: Cached rows by name; see `ViewDataset.targets`.
        live: Functions by name, each from `Example.source` `(N, 3, S, S)` to `(N, K)`.
        source: How the image for `live` is made; None without live targets.
        dims: Dimension T of the teacher's embeddings by name; empty without a teacher.
        mean: `(T,)`, the mean of the teacher's embeddings over the training images; None without a teacher.
    """

    cached: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    live: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    source: Source | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    mean: Tensor | None = None


@dataclass(frozen=True)
class _FromPixels:
    """Applies a representation to uint8 pixels."""

    representation: Representation

    def __call__(self, pixels: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` uint8 to `(N, K)`."""
        if isinstance(self.representation, nn.Module):
            self.representation.to(pixels.device)
        return self.representation(pixels.float() / 255)


def representation_targets(config: RepresentationsConfig, views: ViewConfig, data: ImageSet, folder: Path) -> Targets:
    """The targets of pretraining.

    Args:
        config: The representations, and whether they are cached.
        views: The views. Representations are computed from the plain one.
        data: All images.
        folder: Folder of caches.
    """
    kinds = [term for term in config.terms if term.kind != AUGMENTED_PIXELS and term.weight > 0]
    built = {term.kind: build_representation(term.kind, term.options) for term in kinds}
    if not built:
        return Targets()
    px = config.px or views.largest_px
    _try(built, px)
    if not config.cached:
        live = {name: _FromPixels(each) for name, each in built.items()}
        return Targets(live=live, source=Source(preprocess=views.preprocess(px)))
    options = {term.kind: term.options for term in kinds}
    producers = {name: _producer(name, each, options[name], views, px, data) for name, each in built.items()}
    return Targets(
        cached={name: cached_rows(folder, data, producer, config.cache) for name, producer in producers.items()}
    )


def teacher_targets(
    config: TeacherConfig,
    views: ViewConfig,
    data: ImageSet,
    rows: NDArray[np.int64],
    folder: Path,
    *,
    width: int | None = None,
) -> Targets:
    """The target of distillation.

    Args:
        config: The teacher.
        views: The student's views.
        data: All images.
        rows: Indices of the training images.
        folder: Folder of caches.
        width: That the teacher's dimension T must be, or None for any. It is checked before anything is computed.
    """
    if config.cached or config.spec.startswith(PRECOMPUTED):
        cached = teacher_rows(config, views, data, folder, width=width)
        mean = teacher_mean(cached, rows, repeats=max(1, views.k))
        return Targets(cached={TEACHER: cached}, dims={TEACHER: cached.shape[1]}, mean=mean)
    teacher = Teacher(config.spec, config.px)
    check_width(config.spec, teacher.dim, width)
    return Targets(
        live={TEACHER: teacher},
        source=Source(preprocess=teacher.preprocess, same_view=config.view == "same"),
        dims={TEACHER: teacher.dim},
        mean=live_teacher_mean(teacher, data, rows, folder, config.cache),
    )


def _try(built: Mapping[str, Representation], px: int) -> None:
    """Raise ConfigError if a representation fails at this image size, before the run begins."""
    for name, representation in built.items():
        try:
            found = representation(torch.rand(2, 3, px, px))
        except ConfigError:
            raise
        except Exception as error:  # a custom class can raise anything
            raise ConfigError(f"Representation {name} fails on images (2, 3, {px}, {px}): {error}") from None
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(f"Representation {name} gives {shape} for 2 images; expected a tensor (2, K).")


def _producer(
    name: str,
    representation: Representation,
    options: Mapping[str, object],
    views: ViewConfig,
    px: int,
    data: ImageSet,
) -> Producer:
    describe = _FromPixels(representation)
    least_px = DRAFT_MARGIN * views.preprocess(px).resize_px

    def compute(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
            pixels = list(pool.map(lambda i: plain_view(views, read_for_views(data, int(i), least_px), px), indices))
        rows: NDArray[np.float32] = describe(torch.stack(pixels)).numpy()
        return rows

    text = f"{representation_digest(representation, options)} {views.preprocess(px).digest} {least_px}"
    dim = describe(torch.zeros(1, 3, px, px, dtype=torch.uint8)).shape[1]
    return Producer(name=f"{name}-{px}px", digest=hashlib.sha256(text.encode()).hexdigest(), dim=dim, compute=compute)
