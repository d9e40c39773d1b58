"""Read a checkpoint folder as a `Checkpoint` and check its schema and hashes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.checkpoint.alignment import Alignment
from mvmr_zoo.checkpoint.base import add_difference
from mvmr_zoo.checkpoint.config import CheckpointConfig, read_config
from mvmr_zoo.checkpoint.files import (
    ALIGNMENT_FILE,
    CONFIG_FILE,
    GOLDEN_FILE,
    GRAPH_FILE,
    HASHED,
    HEAD_FILE,
    NEEDED,
    PROJECTOR_FILE,
    check_digest,
    file_digest,
    read_tensors,
)
from mvmr_zoo.checkpoint.golden import GOLDEN_COSINE, GOLDEN_IMAGES, golden_images, lowest_cosine
from mvmr_zoo.errors import CheckpointError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

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


_DIGEST_ADVICE = "The file was altered or truncated. Download or copy the folder again."


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder with a valid schema and valid hashes.

    Args:
        folder: Path of the folder.
        config: Contents of its `config.json`.
    """

    folder: Path
    config: CheckpointConfig

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
        tensors, base = self._read_finite(self.config.weights_file), self.config.base
        return tensors if base is None else add_difference(self.weights_path, tensors, base)

    def golden(self, output: Output = "features") -> NDArray[np.float32]:
        """Read the expected vectors of `golden_images`, `(4, D)` or `(4, A)` float32.

        Args:
            output: Name of the output.

        Raises:
            CheckpointError: The shapes differ from those in `config.json`.
        """
        tensors = self._read_finite(GOLDEN_FILE)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        outputs = self.config.outputs
        if shapes != {name: (GOLDEN_IMAGES, dim) for name, dim in outputs.items()}:
            expected = " and ".join(f"{name} ({GOLDEN_IMAGES}, {dim})" for name, dim in outputs.items())
            field = "embedding_dim" if len(outputs) == 1 else "outputs"
            raise CheckpointError(
                f"{self.folder / GOLDEN_FILE} has the shapes {shapes}; expected {expected}, from {field} in "
                "config.json."
            )
        return tensors[output].astype(np.float32)

    def head(self) -> Head | None:
        """Read the linear classifier, or return None if there is none.

        Raises:
            CheckpointError: Its shape does not fit the encoder or the class names.
        """
        if HEAD_FILE not in self.config.sha256:
            if self.config.class_names:
                raise CheckpointError(
                    f"{self.folder / CONFIG_FILE}: class_names has {len(self.config.class_names)} names, but there is "
                    f"no {HEAD_FILE}."
                )
            return None
        tensors = self._read_finite(HEAD_FILE)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        classes = len(self.config.class_names)
        if shapes != {"weight": (classes, self.config.embedding_dim), "bias": (classes,)}:
            raise CheckpointError(
                f"{self.folder / HEAD_FILE} has the shapes {shapes}; expected weight "
                f"({classes}, {self.config.embedding_dim}) and bias ({classes},), from class_names and embedding_dim "
                "in config.json."
            )
        return Head(tensors["weight"].astype(np.float32), tensors["bias"].astype(np.float32))

    def alignment(self) -> Alignment | None:
        """Read the map from features to `aligned`, or return None if the encoder does not have this output.

        Raises:
            CheckpointError: Its shapes do not fit the encoder or `config.json`.
        """
        dim, aligned_dim = self.config.embedding_dim, self.config.aligned_dim
        if (ALIGNMENT_FILE in self.config.sha256) != bool(aligned_dim):
            raise CheckpointError(
                f"{self.folder / CONFIG_FILE}: outputs lists {', '.join(self.config.outputs)}, but sha256 "
                f"{'lacks' if aligned_dim else 'lists'} {ALIGNMENT_FILE}."
            )
        if not aligned_dim:
            return None
        tensors = self._read_finite(ALIGNMENT_FILE)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        teacher_dim = shapes.get("mean", (0,))[-1:]
        if not all(teacher_dim) or shapes != {
            "matrix": (aligned_dim, dim),
            "basis": (aligned_dim, *teacher_dim),
            "mean": teacher_dim,
        }:
            raise CheckpointError(
                f"{self.folder / ALIGNMENT_FILE} has the shapes {shapes}; expected matrix ({aligned_dim}, {dim}), "
                f"basis ({aligned_dim}, T) and mean (T,), from outputs in config.json."
            )
        return Alignment(**{name: tensor.astype(np.float32) for name, tensor in tensors.items()})

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
        return self._read_finite(PROJECTOR_FILE)

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
        expected = self.golden(output)
        if vectors.shape != expected.shape:
            raise CheckpointError(
                f"{self.folder / GRAPH_FILE}: {output} has the shape {vectors.shape}; expected {expected.shape}."
            )
        cosine = lowest_cosine(expected, vectors)
        if cosine < GOLDEN_COSINE:
            raise CheckpointError(
                f"{self.folder / GOLDEN_FILE}: {output} has the cosine {cosine:.5f} to the golden outputs; expected at "
                f"least {GOLDEN_COSINE}. The weights are not those that the folder was made with."
            )
        return cosine

    def _read_finite(self, name: str) -> dict[str, NDArray[np.generic]]:
        path = self.folder / name
        tensors = read_tensors(path)
        for tensor_name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise CheckpointError(f"{path}: {tensor_name} contains values that are not finite.")
        return tensors


def read_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint folder and check its schema and every hash.

    Raises:
        CheckpointError: A file is missing or altered, or a field is wrong.
    """
    base = Path(folder)
    config = read_config(base / CONFIG_FILE)
    check_hash_names(base / CONFIG_FILE, config)
    for name, expected in config.sha256.items():
        if name != PROJECTOR_FILE or (base / name).exists():  # only training needs the projector
            check_digest(base / name, expected, said_by="config.json says", advice=_DIGEST_ADVICE)
    checkpoint = Checkpoint(base, config)
    checkpoint.golden()
    checkpoint.head()
    checkpoint.alignment()
    return checkpoint


def vectors_digest(weights: str, output: Output, dim: int, alignment: str) -> str:
    """SHA-256 of everything that determines the vectors of an output, except the preprocessing.

    For features this is the digest of the weights.

    Args:
        weights: SHA-256 of the weights.
        output: Name of the output.
        dim: Number of dimensions that are kept.
        alignment: SHA-256 of the alignment. Empty if the alignment is part of the weights.
    """
    if output == "features":
        return weights
    return hashlib.sha256(f"{weights} {alignment} {output} {dim}".encode()).hexdigest()


def check_hash_names(path: Path, config: CheckpointConfig) -> None:
    """Raise CheckpointError if `sha256` in a `config.json` lacks a required file or lists an unknown one."""
    for required in (config.weights_file, *NEEDED):
        if required not in config.sha256:
            raise CheckpointError(f"{path}: sha256 lacks {required}.")
    for name, expected in config.sha256.items():
        if name not in HASHED:
            raise CheckpointError(f"{path}: sha256 lists {name!r}; expected only {', '.join(HASHED)}.")
        if not isinstance(expected, str):
            raise CheckpointError(f"{path}: sha256 of {name} is not text.")
