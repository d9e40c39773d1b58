"""The linear map from features into the teacher's space: what the output `aligned` is computed by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


ALIGNED_MATRIX = "matrix"
"""The tensor of alignment.safetensors that graph.onnx reads, by its name in both; no weight of an encoder has it."""


class Alignment(NamedTuple):
    """A distillation's projector W `(T, D)` as its thin SVD: `W = basis.T @ matrix`.

    `features @ matrix.T` has the inner products of `features @ W.T` in A <= min(D, T) numbers, the most important
    first.

    Shapes: `matrix` `(A, D)` float32; `basis` `(A, T)` float32, orthonormal rows; `mean` `(T,)` float32, which training
    subtracted from the teacher's vectors, zeros where it subtracted nothing.
    """

    matrix: NDArray[np.float32]
    basis: NDArray[np.float32]
    mean: NDArray[np.float32]

    def from_teacher(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The teacher's vectors `(N, T)` in the space of `aligned`, `(N, A)` float32."""
        return np.asarray((vectors - self.mean) @ self.basis.T, np.float32)


def alignment_from_projector(
    weight: NDArray[np.floating],
    mean: NDArray[np.floating] | None,
    *,
    features: NDArray[np.floating] | None = None,
) -> Alignment:
    """The alignment of a projector that is one linear map without bias. Computed in float64.

    Args:
        weight: `(T, D)`, from features to the teacher's centered vectors.
        mean: `(T,)`, the teacher's mean that training subtracted; None where it subtracted nothing.
        features: `(N, D)`, a sample of the encoder's features, not normalized. With it the numbers are ordered by
            their mean square over the sample, so that the first k keep the most of the vectors; without it by the
            singular values of `weight`.

    Raises:
        ConfigError: a shape does not fit, or a value is not finite.
    """
    if weight.ndim != 2 or not weight.size:
        raise ConfigError(f"an alignment got a weight {weight.shape}; expected (T, D).")
    teacher_dim, dim = weight.shape
    mean = np.zeros(teacher_dim) if mean is None else mean
    if mean.shape != (teacher_dim,):
        raise ConfigError(f"an alignment got a mean {mean.shape}; expected ({teacher_dim},), as its weight has rows.")
    if features is not None and (features.ndim != 2 or features.shape[1] != dim or not len(features)):
        raise ConfigError(
            f"an alignment got features {features.shape}; expected (N, {dim}), as its weight has columns."
        )
    for name, values in (("weight", weight), ("mean", mean), ("features", features)):
        if values is not None and not np.isfinite(values).all():
            raise ConfigError(f"an alignment got a {name} with values that are not finite.")
    left, scales, right = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
    matrix, basis = scales[:, None] * right, left.T
    if features is not None:
        outputs = features.astype(np.float64) @ matrix.T
        axes = np.linalg.eigh(outputs.T @ outputs).eigenvectors[:, ::-1].T
        matrix, basis = axes @ matrix, axes @ basis
    return Alignment(matrix.astype(np.float32), basis.astype(np.float32), mean.astype(np.float32))
