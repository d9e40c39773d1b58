"""The space of the targets: the embeddings of one or several teachers, centered and projected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvmr_zoo.errors import ConfigError


class TeacherSpace(NamedTuple):
    """Maps the concatenated embeddings of all teachers to targets: `(embeddings - mean) @ projection`.

    Args:
        mean: `(T,)` float32, the mean embedding.
        projection: `(T, D)` float32. None keeps all T dimensions.
    """

    mean: Tensor
    projection: Tensor | None = None

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Map `(N, T)` to `(N, D)`."""
        centered = embeddings - self.mean.to(embeddings)
        return centered if self.projection is None else centered @ self.projection.to(embeddings)


def fit_space(samples: Sequence[NDArray[np.floating[Any]]], dim: int, whitening: float) -> TeacherSpace:
    """The space of the leading principal components of several teachers' embeddings.

    Each teacher's centered embeddings are divided by their root mean square norm, so that all teachers have the same
    weight. A component of standard deviation s is then multiplied by `s ** -whitening`: 0 keeps the inner products of
    the embeddings up to the components that are left out, 1 gives every component the same variance (Jégou and Chum,
    Negative evidences and co-occurences in image retrieval, ECCV 2012).

    Args:
        samples: For each teacher, the embeddings `(N, T_i)` of the same N images.
        dim: Number D of components to keep, at most the rank of the centered embeddings.
        whitening: Exponent in [0, 1].

    Raises:
        ConfigError: The embeddings have fewer than `dim` components.
    """
    centered, means, scales = [], [], []
    for sample in samples:
        rows = np.asarray(sample, np.float64)
        mean = rows.mean(axis=0)
        norm = max(float(np.sqrt(np.square(rows - mean).sum(axis=1).mean())), 1e-12)
        centered.append((rows - mean) / norm)
        means.append(mean)
        scales.append(np.full(rows.shape[1], 1 / norm))
    joined = np.concatenate(centered, axis=1)
    values, vectors = np.linalg.eigh(joined.T @ joined / len(joined))
    deviations = np.sqrt(np.maximum(values[::-1], 0))
    rank = int((deviations > 1e-6 * deviations[0]).sum())
    if dim > rank:
        raise ConfigError(
            f"teacher.dim is {dim}; expected at most {rank}, the number of components of {len(joined)} embeddings of "
            f"{joined.shape[1]} numbers."
        )
    components = vectors[:, ::-1][:, :dim] * deviations[:dim] ** -whitening
    projection = np.concatenate(scales)[:, None] * components
    return TeacherSpace(
        torch.from_numpy(np.concatenate(means)).float(), torch.from_numpy(projection.astype(np.float32))
    )


class SpaceRows:
    """Cached embeddings of several teachers, mapped to targets when a row is read.

    Args:
        parts: For each teacher, the rows `(R, T_i)`.
        space: The space of the targets.
    """

    def __init__(self, parts: Sequence[NDArray[np.floating[Any]]], space: TeacherSpace) -> None:
        self.parts = parts
        self.space = space

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        """The target `(D,)` of one row."""
        joined = np.concatenate([np.asarray(part[row], np.float32) for part in self.parts])
        found: NDArray[np.float32] = self.space(torch.from_numpy(joined)).numpy()
        return found
