"""The linear map from features into the teacher's space, which computes the output `aligned`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


ALIGNED_MATRIX = "matrix"
"""Name of the tensor in alignment.safetensors that graph.onnx reads. No weight of an encoder has this name."""


class Alignment(NamedTuple):
    """The projector W `(P, D)` of a distillation as its thin SVD `W = U S Vᵀ`.

    `matrix` is `S Vᵀ`, so that `features @ matrix.T` has the same inner products as `features @ W.T`. It has
    A <= min(D, P) dimensions, the most important first. `basis` maps the teacher's vectors to the same space. It is
    `Uᵀ`, combined with the projection of the teacher's vectors to P dimensions if training used one.

    Args:
        matrix: `(A, D)` float32.
        basis: `(A, T)` float32. Its rows are orthonormal if the teacher's vectors were not projected.
        mean: `(T,)` float32, the mean that training subtracted from the teacher's vectors. Zeros if there was none.
    """

    matrix: NDArray[np.float32]
    basis: NDArray[np.float32]
    mean: NDArray[np.float32]

    def from_teacher(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map the teacher's vectors `(N, T)` to the space of `aligned`, `(N, A)` float32."""
        return np.asarray((vectors - self.mean) @ self.basis.T, np.float32)


def alignment_from_projector(
    weight: NDArray[np.floating],
    mean: NDArray[np.floating] | None,
    *,
    projection: NDArray[np.floating] | None = None,
    features: NDArray[np.floating] | None = None,
) -> Alignment:
    """Compute the alignment of a projector that is one linear map without bias. The computation is in float64.

    Args:
        weight: `(P, D)`, from features to the teacher's centered and projected vectors.
        mean: `(T,)`, the mean that training subtracted from the teacher's vectors. None if there was none.
        projection: `(T, P)`, by which training multiplied the teacher's centered vectors. None if T is P.
        features: `(N, D)`, a sample of the encoder's features, not normalized. The dimensions of `aligned` are ordered
            by their mean square over the sample, so that the first k preserve the most of the vectors. None orders
            them by the singular values of `weight`.

    Raises:
        ConfigError: A shape does not fit, or a value is not finite.
    """
    if weight.ndim != 2 or not weight.size:
        raise ConfigError(f"The alignment weight has shape {weight.shape}; expected (P, D).")
    width, dim = weight.shape
    if projection is not None and (projection.ndim != 2 or projection.shape[1] != width):
        raise ConfigError(f"The alignment projection has shape {projection.shape}; expected (T, {width}).")
    teacher_dim = width if projection is None else len(projection)
    mean = np.zeros(teacher_dim) if mean is None else mean
    if mean.shape != (teacher_dim,):
        rows = "row of weight" if projection is None else "row of projection"
        raise ConfigError(f"The alignment mean has shape {mean.shape}; expected ({teacher_dim},), one per {rows}.")
    if features is not None and (features.ndim != 2 or features.shape[1] != dim or not len(features)):
        raise ConfigError(
            f"The alignment features have shape {features.shape}; expected (N, {dim}), one per column of weight."
        )
    for name, verb, values in (
        ("weight", "contains", weight),
        ("mean", "contains", mean),
        ("projection", "contains", projection),
        ("features", "contain", features),
    ):
        if values is not None and not np.isfinite(values).all():
            raise ConfigError(f"The alignment {name} {verb} NaN or infinite values.")
    left, scales, right = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
    matrix, basis = scales[:, None] * right, left.T
    if features is not None:
        outputs = features.astype(np.float64) @ matrix.T
        axes = np.linalg.eigh(outputs.T @ outputs).eigenvectors[:, ::-1].T
        matrix, basis = axes @ matrix, axes @ basis
    if projection is not None:
        basis = basis @ projection.astype(np.float64).T
    return Alignment(matrix.astype(np.float32), basis.astype(np.float32), mean.astype(np.float32))
