"""Read a checkpoint folder as a `Checkpoint` and check its schema and hashes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.checkpoint.alignment import Alignment
from mvmr_zoo.checkpoint.base_weights import add_difference
from mvmr_zoo.checkpoint.config import CheckpointConfig
from mvmr_zoo.checkpoint.files import (
    ALIGNMENT_FILE,
    CONFIG_FILE,
    GOLDEN_FILE,
    GRAPH_FILE,
    HEAD_FILE,
    PROJECTOR_FILE,
    read_tensors,
)
from mvmr_zoo.checkpoint.golden import GOLDEN_COSINE, GOLDEN_IMAGES, golden_images, lowest_cosine
from mvmr_zoo.checkpoint.hashes import check_hashes, file_digest, read_hashes, vectors_digest
from mvmr_zoo.errors import CheckpointError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mvmr_zoo.checkpoint.card import Output


class Head(NamedTuple):
    """A linear classifier on features: the logits are `features @ weight.T + bias`.

    Args:
        weight: `(classes, D)` float32.
        bias: `(classes,)` float32.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder with a valid schema and valid hashes.

    Args:
        folder: Path of the folder.
        config: Contents of its `config.json`.
        golden: Expected vectors of `golden_images` by output, `(4, D)` or `(4, A)` float32.
        head: Linear classifier. None if there is none.
        alignment: Map from features to `aligned`. None if the encoder does not have this output.
    """

    folder: Path
    config: CheckpointConfig
    golden: Mapping[Output, NDArray[np.float32]] = field(compare=False, repr=False)  # its hash is in `config`
    head: Head | None = field(compare=False, repr=False)
    alignment: Alignment | None = field(compare=False, repr=False)

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights file. With a base, it combines the hashes of the base and of the difference."""
        file_sha256, base = self.config.sha256[self.config.weights_file], self.config.base
        return file_sha256 if base is None else hashlib.sha256(f"{base.sha256} {file_sha256}".encode()).hexdigest()

    @property
    def weights_path(self) -> Path:
        """Path of the file with the weights, or with their difference from the base."""
        return self.folder / self.config.weights_file

    @property
    def config_digest(self) -> str:
        """SHA-256 of `config.json`, which contains the hashes of every file except README.md."""
        return file_digest(self.folder / CONFIG_FILE)

    def graph(self) -> bytes:
        """Read the ONNX graph, which does not contain the weights."""
        return (self.folder / GRAPH_FILE).read_bytes()

    def weights(self) -> dict[str, NDArray[np.generic]]:
        """Read all weights by name.

        Raises:
            CheckpointError: A value is not finite, or the installed base has another version.
            MissingDependencyError: The package of the base is not installed.
        """
        tensors, base = _read_finite(self.weights_path), self.config.base
        return tensors if base is None else add_difference(self.weights_path, tensors, base)

    def vectors_digest(self, output: Output, dim: int) -> str:
        """SHA-256 of everything that determines the vectors of an output, except the preprocessing.

        For features this is `weights_digest`.

        Args:
            output: Name of the output.
            dim: Number of dimensions that are kept.
        """
        return vectors_digest(self.weights_digest, output, dim, self.config.sha256.get(ALIGNMENT_FILE, ""))

    def projector(self) -> dict[str, NDArray[np.generic]] | None:
        """Read the tensors of the projector by name, or return None if there is none."""
        if PROJECTOR_FILE not in self.config.sha256 or not (self.folder / PROJECTOR_FILE).exists():
            return None
        return _read_finite(self.folder / PROJECTOR_FILE)

    def check_golden(
        self, engine: Callable[[NDArray[np.float32]], NDArray[np.float32]], output: Output = "features"
    ) -> float:
        """Compare the outputs of an engine with the golden outputs, and return the lowest cosine.

        Args:
            engine: Engine that computes all dimensions of the output.
            output: Name of the output.

        Returns:
            The lowest cosine over the golden images, at least 0.9999.

        Raises:
            CheckpointError: The lowest cosine is less than 0.9999, or the engine fails.
        """
        try:
            vectors = engine(golden_images(self.config.preprocess.crop_px))
        except Exception as error:  # each engine has its own errors
            raise CheckpointError(f"{self.folder / GRAPH_FILE}: the encoder failed: {one_line(error)}") from None
        expected = self.golden[output]
        if vectors.shape != expected.shape:
            raise CheckpointError(
                f"{self.folder / GRAPH_FILE}: {output} has shape {vectors.shape}; expected {expected.shape}."
            )
        cosine = lowest_cosine(expected, vectors)
        if cosine < GOLDEN_COSINE:
            raise CheckpointError(
                f"{self.folder / GOLDEN_FILE}: {output} has a cosine similarity of {cosine:.5f} to the reference "
                f"outputs; expected at least {GOLDEN_COSINE}. The weights have changed since the folder was created."
            )
        return cosine


def read_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint folder and check its schema and every hash.

    Raises:
        CheckpointError: A file is missing or altered, or a field is wrong.
    """
    base = Path(folder)
    config = read_hashes(base / CONFIG_FILE)
    check_hashes(base, config)
    return checkpoint_of(base, config)


def checkpoint_of(folder: Path, config: CheckpointConfig) -> Checkpoint:
    """Read the small tensors of a folder whose hashes were checked: golden outputs, head and alignment.

    Raises:
        CheckpointError: Their shapes do not fit the encoder or the class names.
    """
    return Checkpoint(
        folder, config, _read_golden(folder, config), _read_head(folder, config), _read_alignment(folder, config)
    )


def _read_golden(folder: Path, config: CheckpointConfig) -> dict[Output, NDArray[np.float32]]:
    tensors = _read_finite(folder / GOLDEN_FILE)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    outputs = config.outputs
    if shapes != {name: (GOLDEN_IMAGES, dim) for name, dim in outputs.items()}:
        expected = " and ".join(f"{name} ({GOLDEN_IMAGES}, {dim})" for name, dim in outputs.items())
        source = "embedding_dim" if len(outputs) == 1 else "outputs"
        raise CheckpointError(
            f"{folder / GOLDEN_FILE} has shapes {shapes}; expected {expected}, from {source} in config.json."
        )
    return {output: tensors[output].astype(np.float32) for output in outputs}


def _read_head(folder: Path, config: CheckpointConfig) -> Head | None:
    classes, dim = len(config.class_names), config.embedding_dim
    if HEAD_FILE not in config.sha256:
        if classes:
            raise CheckpointError(
                f"{folder / CONFIG_FILE}: class_names has {classes} names, but there is no {HEAD_FILE}."
            )
        return None
    tensors = _read_finite(folder / HEAD_FILE)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes != {"weight": (classes, dim), "bias": (classes,)}:
        raise CheckpointError(
            f"{folder / HEAD_FILE} has shapes {shapes}; expected weight ({classes}, {dim}) and bias ({classes},), "
            "from class_names and embedding_dim in config.json."
        )
    return Head(tensors["weight"].astype(np.float32), tensors["bias"].astype(np.float32))


def _read_alignment(folder: Path, config: CheckpointConfig) -> Alignment | None:
    dim, aligned_dim = config.embedding_dim, config.aligned_dim
    if (ALIGNMENT_FILE in config.sha256) != bool(aligned_dim):
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: outputs lists {', '.join(config.outputs)}, but sha256 "
            f"{'lacks' if aligned_dim else 'lists'} {ALIGNMENT_FILE}."
        )
    if not aligned_dim:
        return None
    tensors = _read_finite(folder / ALIGNMENT_FILE)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    teacher_dim = shapes.get("mean", (0,))[-1:]
    if not all(teacher_dim) or shapes != {
        "matrix": (aligned_dim, dim),
        "basis": (aligned_dim, *teacher_dim),
        "mean": teacher_dim,
    }:
        raise CheckpointError(
            f"{folder / ALIGNMENT_FILE} has shapes {shapes}; expected matrix ({aligned_dim}, {dim}), "
            f"basis ({aligned_dim}, T) and mean (T,), from outputs in config.json."
        )
    return Alignment(**{name: tensor.astype(np.float32) for name, tensor in tensors.items()})


def _read_finite(path: Path) -> dict[str, NDArray[np.generic]]:
    tensors = read_tensors(path)
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {name} contains NaN or infinite values.")
    return tensors
