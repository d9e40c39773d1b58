"""`Checkpoint`: a folder whose schema and hashes were found right."""

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
    """A linear classifier of features: logits are `features @ weight.T + bias`.

    Shapes: `weight` `(classes, D)` float32, `bias` `(classes,)` float32.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


_AGAIN = "The file was altered or cut short; get the folder again."


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose schema and hashes were found right.

    Args:
        folder: where it lies.
        config: its facts.
    """

    folder: Path
    config: CheckpointConfig

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights file, or of the base's and the difference's SHA-256."""
        own, base = self.config.sha256[self.config.weights_file], self.config.base
        return own if base is None else hashlib.sha256(f"{base.sha256} {own}".encode()).hexdigest()

    @property
    def weights_path(self) -> Path:
        """The file with the weights, or with their difference from the base."""
        return self.folder / self.config.weights_file

    @property
    def config_digest(self) -> str:
        """SHA-256 of `config.json`, and so of everything but README.md."""
        return file_digest(self.folder / CONFIG_FILE)

    def graph(self) -> bytes:
        """The weight-free ONNX graph."""
        return (self.folder / GRAPH_FILE).read_bytes()

    def weights(self) -> dict[str, NDArray[np.generic]]:
        """Every weight by name.

        Raises:
            CheckpointError: A value is not finite, or the base is of another version.
            MissingDependencyError: The package of the base is not installed.
        """
        tensors, base = self._finite(self.config.weights_file), self.config.base
        return tensors if base is None else add_difference(self.weights_path, tensors, base)

    def golden(self, output: Output = "features") -> NDArray[np.float32]:
        """The expected vectors of `golden_images` for an output, `(4, D)` or `(4, A)` float32."""
        tensors = self._finite(GOLDEN_FILE)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        outputs = self.config.outputs
        if shapes != {name: (GOLDEN_IMAGES, dim) for name, dim in outputs.items()}:
            expected = " and ".join(f"{name} ({GOLDEN_IMAGES}, {dim})" for name, dim in outputs.items())
            said_by = "embedding_dim says" if len(outputs) == 1 else "outputs says"
            raise CheckpointError(
                f"{self.folder / GOLDEN_FILE}: holds {shapes}; expected {expected}, as config.json's {said_by}."
            )
        return tensors[output].astype(np.float32)

    def head(self) -> Head | None:
        """The linear classifier, where there is one.

        Raises:
            CheckpointError: its shape does not fit the encoder or the class names.
        """
        if HEAD_FILE not in self.config.sha256:
            if self.config.class_names:
                raise CheckpointError(
                    f"{self.folder / CONFIG_FILE}: class_names names {len(self.config.class_names)} classes, but there "
                    f"is no {HEAD_FILE}."
                )
            return None
        tensors = self._finite(HEAD_FILE)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        classes = len(self.config.class_names)
        if shapes != {"weight": (classes, self.config.embedding_dim), "bias": (classes,)}:
            raise CheckpointError(
                f"{self.folder / HEAD_FILE}: holds {shapes}; expected weight ({classes}, {self.config.embedding_dim}) "
                f"and bias ({classes},), as config.json's class_names and embedding_dim say."
            )
        return Head(tensors["weight"].astype(np.float32), tensors["bias"].astype(np.float32))

    def alignment(self) -> Alignment | None:
        """The map from features to `aligned`, or None if the encoder does not have that output.

        Raises:
            CheckpointError: Its shapes do not fit the encoder, or contradict config.json.
        """
        dim, aligned_dim = self.config.embedding_dim, self.config.aligned_dim
        if (ALIGNMENT_FILE in self.config.sha256) != bool(aligned_dim):
            raise CheckpointError(
                f"{self.folder / CONFIG_FILE}: outputs names {', '.join(self.config.outputs)}, but sha256 "
                f"{'lacks' if aligned_dim else 'names'} {ALIGNMENT_FILE}."
            )
        if not aligned_dim:
            return None
        tensors = self._finite(ALIGNMENT_FILE)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        teacher_dim = shapes.get("mean", (0,))[-1:]
        if not all(teacher_dim) or shapes != {
            "matrix": (aligned_dim, dim),
            "basis": (aligned_dim, *teacher_dim),
            "mean": teacher_dim,
        }:
            raise CheckpointError(
                f"{self.folder / ALIGNMENT_FILE}: holds {shapes}; expected matrix ({aligned_dim}, {dim}), "
                f"basis ({aligned_dim}, T) and mean (T,), as config.json's outputs says."
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
        """The projector's tensors by name, where the folder has them."""
        if PROJECTOR_FILE not in self.config.sha256 or not (self.folder / PROJECTOR_FILE).exists():
            return None
        return self._finite(PROJECTOR_FILE)

    def check_golden(
        self, engine: Callable[[NDArray[np.float32]], NDArray[np.float32]], output: Output = "features"
    ) -> float:
        """The lowest cosine between an engine's answers and the golden ones, at least 0.9999.

        Args:
            engine: computes all dimensions of an output.
            output: name of that output.

        Raises:
            CheckpointError: an answer is further off.
        """
        try:
            answers = engine(golden_images(self.config.preprocess.crop_px))
        except Exception as error:  # each engine has its own
            raise CheckpointError(f"{self.folder / GRAPH_FILE}: the encoder fails: {one_line(error)}") from None
        expected = self.golden(output)
        if answers.shape != expected.shape:
            raise CheckpointError(
                f"{self.folder / GRAPH_FILE}: gives {output} {answers.shape}, expected {expected.shape}."
            )
        worst = lowest_cosine(expected, answers)
        if worst < GOLDEN_COSINE:
            raise CheckpointError(
                f"{self.folder / GOLDEN_FILE}: {output}: cosine {worst:.5f} to the golden answers, "
                f"expected {GOLDEN_COSINE}. The weights are not the ones this folder was made with."
            )
        return worst

    def _finite(self, name: str) -> dict[str, NDArray[np.generic]]:
        path = self.folder / name
        tensors = read_tensors(path)
        for tensor_name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise CheckpointError(f"{path}: {tensor_name} holds values that are not finite.")
        return tensors


def read_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a folder, its schema and every hash checked.

    Raises:
        CheckpointError: a file is missing or altered, or a field is wrong.
    """
    base = Path(folder)
    config = read_config(base / CONFIG_FILE)
    check_hash_names(base / CONFIG_FILE, config)
    for name, expected in config.sha256.items():
        if name != PROJECTOR_FILE or (base / name).exists():  # nobody but a training run needs it
            check_digest(base / name, expected, said_by="config.json says", advice=_AGAIN)
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
    """Raise CheckpointError where `sha256` of a `config.json` lacks a file, or names one that no folder has."""
    for required in (config.weights_file, *NEEDED):
        if required not in config.sha256:
            raise CheckpointError(f"{path}: sha256 lacks {required}.")
    for name, expected in config.sha256.items():
        if name not in HASHED:
            raise CheckpointError(f"{path}: sha256 names {name!r}; expected only {', '.join(HASHED)}.")
        if not isinstance(expected, str):
            raise CheckpointError(f"{path}: sha256 of {name} is not text.")
