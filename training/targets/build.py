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
from mvmr_zoo.inference import DRAFT_MARGIN
from training.config import RepresentationsConfig, TeacherConfig, ViewConfig
from training.config.objective import AUGMENTED_PIXELS
from training.data import Source, TargetRows, plain_view, read_for_views
from training.losses.regression import TEACHER
from training.targets.cache import Producer, cached_rows
from training.targets.principal_components import SpaceRows, TeacherSpace, fit_space
from training.targets.representations import Representation, build_representation, representation_digest
from training.targets.teacher import (
    SAMPLE_IMAGES,
    Teacher,
    Teachers,
    check_width,
    sampled_rows,
    teacher_mean,
    teacher_rows,
)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The targets of a run.

    Args:
        cached: Cached rows by name; see `ViewDataset.targets`.
        live: Functions by name, each from `Example.source` `(N, 3, S, S)` to `(N, K)`.
        source: How the image for `live` is made; None without live targets.
        dims: Dimension of the teacher's targets by name; empty without a teacher.
        space: How the teacher's embeddings are centered and projected; None without a teacher. Without a projection,
            the targets are the embeddings themselves, and the loss centers them.
    """

    cached: Mapping[str, TargetRows] = field(default_factory=dict)
    live: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    source: Source | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    space: TeacherSpace | None = None


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
        width: That the dimension of the targets must be, or None for any. It is checked before anything is computed.
    """
    if config.dim is not None:
        check_width("teacher.dim", config.dim, width)
        return _projected_targets(config, config.dim, views, data, rows, folder)
    (spec,) = config.specs
    if config.cached or config.precomputed:
        cached = teacher_rows(spec, config, views, data, folder, width=width)
        mean = teacher_mean(cached, rows, repeats=max(1, views.k))
        return Targets(cached={TEACHER: cached}, dims={TEACHER: cached.shape[1]}, space=TeacherSpace(mean))
    teacher = Teacher(spec, config.px)
    check_width(spec, teacher.dim, width)
    sample = sampled_rows(teacher, data, rows, folder, config.cache)
    return Targets(
        live={TEACHER: teacher},
        source=Source(preprocess=teacher.preprocess, same_view=config.view == "same"),
        dims={TEACHER: teacher.dim},
        space=TeacherSpace(teacher_mean(sample, np.arange(len(sample)))),
    )


def _projected_targets(
    config: TeacherConfig, dim: int, views: ViewConfig, data: ImageSet, rows: NDArray[np.int64], folder: Path
) -> Targets:
    """Principal components of the embeddings of one or several teachers."""
    if config.cached or config.precomputed:
        parts = [teacher_rows(spec, config, views, data, folder) for spec in config.specs]
        repeats = max(1, views.k)
        chosen = np.sort(np.random.default_rng(6).permutation(rows)[:SAMPLE_IMAGES]) * repeats
        space = fit_space([part[chosen] for part in parts], dim, config.whitening)
        return Targets(cached={TEACHER: SpaceRows(parts, space)}, dims={TEACHER: dim}, space=space)
    teachers = [Teacher(spec, config.px) for spec in config.specs]
    samples = [sampled_rows(teacher, data, rows, folder, config.cache) for teacher in teachers]
    space = fit_space(samples, dim, config.whitening)
    largest = max((teacher.preprocess for teacher in teachers), key=lambda each: each.crop_px)
    return Targets(
        live={TEACHER: Teachers(teachers, space)},
        source=Source(preprocess=largest, same_view=config.view == "same"),
        dims={TEACHER: dim},
        space=space,
    )


def _try(built: Mapping[str, Representation], px: int) -> None:
    """Raise ConfigError if a representation fails at this image size, before the run begins."""
    for name, representation in built.items():
        try:
            found = representation(torch.rand(2, 3, px, px))
        except ConfigError:
            raise
        except Exception as error:  # a custom class can raise anything
            raise ConfigError(f"Representation {name} failed on images of shape (2, 3, {px}, {px}): {error}") from None
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
            what = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise ConfigError(f"Representation {name} returned {what} for 2 images; expected a tensor (2, K).")


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
