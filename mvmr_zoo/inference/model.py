"""`Model`: an encoder with its preprocessing, ready to embed photos."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from mvmr_zoo.checkpoint import Alignment, Head, ModelCard, Output, Scores, vectors_digest
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import Preprocess
from mvmr_zoo.inference.classifier import Classification, probabilities
from mvmr_zoo.inference.engines import Engine
from mvmr_zoo.inference.pipeline import EmbeddedBatch, Embeddings, embed, embed_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from torch import nn


@dataclass(frozen=True)
class Model:
    """An encoder with its preprocessing, ready to embed photos.

    Args:
        spec: what `load` finds it again by, from any working directory.
        card: its facts.
        engine: runs the encoder and computes the vectors of `output`.
        weights_digest: SHA-256 of its weights.
        build: makes the encoder as a PyTorch module.
        head: a linear classifier of its features, where it has one.
        class_names: of the head's outputs.
        scores: how the head's logits become probabilities: `softmax` or `sigmoid`.
        output: the encoder's output that its vectors are.
        aligned_dim: number of leading dimensions of `aligned` that its vectors keep; 0 for features.
        alignment: the map from features to the output `aligned`, for either `output`; None if the encoder has none.
        alignment_digest: SHA-256 of its file; empty if the alignment is part of the weights.
        features_engine: computes features if `engine` computes `aligned`; None if the file has no features.
        logits: runs encoder and classifier in one, where an exported folder holds both.
    """

    spec: str
    card: ModelCard
    engine: Engine
    weights_digest: str
    build: Callable[[], nn.Module]
    head: Head | None = None
    class_names: tuple[str, ...] = ()
    scores: Scores = "softmax"
    logits: Engine | None = None
    output: Output = "features"
    aligned_dim: int = 0
    alignment: Alignment | None = None
    alignment_digest: str = ""
    features_engine: Engine | None = None

    @property
    def preprocess(self) -> Preprocess:
        """How photos become arrays."""
        return self.card.preprocess

    @property
    def dim(self) -> int:
        """The length of its vectors."""
        return self.aligned_dim if self.output == "aligned" else self.card.embedding_dim

    @property
    def vectors_digest(self) -> str:
        """SHA-256 of everything that determines its vectors, except the preprocessing: `weights_digest` for features.

        It depends on the output, the number of dimensions and the alignment. Libraries, embeddings folders, caches and
        reports are bound to it.
        """
        return vectors_digest(self.weights_digest, self.output, self.dim, self.alignment_digest)

    def with_features(self) -> Model:
        """The same encoder with features as its output, which its classifier reads.

        Raises:
            ConfigError: its file has only the output `aligned`.
        """
        if self.output == "features":
            return self
        if self.features_engine is None:
            raise ConfigError(f"{self.card.name} has only the output aligned; expected an encoder with features.")
        return replace(self, output="features", aligned_dim=0, engine=self.features_engine)

    @functools.cached_property
    def encoder(self) -> nn.Module:
        """The encoder as an `nn.Module`: `(N, 3, H, W)` to features `(N, D)`, in evaluation mode, on the CPU.

        It gives features for every `output`, because fine-tuning starts from them.

        Raises:
            MissingDependencyError: PyTorch is not installed.
        """
        return self.build()

    @functools.cached_property
    def network(self) -> nn.Module:
        """`(N, 3, H, W)` to the vectors of `output`, not normalized, in evaluation mode, on the CPU.

        Raises:
            MissingDependencyError: PyTorch is not installed.
        """
        if self.output == "features" or self.alignment is None:
            return self.encoder
        import torch
        from torch import nn

        matrix = torch.from_numpy(self.alignment.matrix[: self.dim])
        projection = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
        projection.weight = nn.Parameter(matrix, requires_grad=False)
        return nn.Sequential(self.encoder, projection).eval()

    @overload
    def embed(
        self,
        images: Any,
        *,
        errors: Literal["raise"] = "raise",
        batch_size: int = 32,
        normalize: bool = True,
    ) -> NDArray[np.float32]: ...

    @overload
    def embed(
        self, images: Any, *, errors: Literal["skip"], batch_size: int = 32, normalize: bool = True
    ) -> Embeddings: ...

    def embed(
        self,
        images: Any,
        *,
        errors: Literal["raise", "skip"] = "raise",
        batch_size: int = 32,
        normalize: bool = True,
    ) -> NDArray[np.float32] | Embeddings:
        """Vectors of images: `(N, D)` float32, unit L2 norm, in input order.

        Args:
            images: one image or an iterable of them: paths, PIL images, `(H, W, 3)` uint8 arrays,
                `(3, H, W)` tensors (uint8, or float in [0, 1]). An iterator is read as it is needed.
            errors: `raise` stops at the first image that cannot be read; `skip` goes on and returns
                `Embeddings`, with the vectors, their input positions and the failures.
            batch_size: images an inference call, at least 1.
            normalize: False returns the encoder's output unchanged.

        Raises:
            ImageError: an image cannot be read, with `errors="raise"`.
            ConfigError: an argument is out of range.
        """
        if errors not in ("raise", "skip"):
            raise ConfigError(f"embed got errors={errors!r}; expected 'raise' or 'skip'.")
        result = embed(
            self.engine,
            self.preprocess,
            _several(images),
            dim=self.dim,
            skip=errors == "skip",
            batch_size=batch_size,
            normalize=normalize,
        )
        return result if errors == "skip" else result.vectors

    def classify(self, images: Any, *, batch_size: int = 32) -> Classification:
        """Class names and probabilities of images, by the folder's head.

        Args:
            images: as `embed` takes them.
            batch_size: images an inference call, at least 1.

        Raises:
            ConfigError: the model has no head.
            ImageError: an image cannot be read.
        """
        if self.logits is not None:
            found = embed(
                self.logits,
                self.preprocess,
                _several(images),
                dim=len(self.class_names),
                skip=False,
                batch_size=batch_size,
                normalize=False,
            )
            return Classification(self.class_names, probabilities(found.vectors, self.scores))
        if self.head is None:
            raise ConfigError(
                f"{self.card.name} has no classifier, only features. `python -m training.finetune` trains one."
            )
        features = self.with_features().embed(images, batch_size=batch_size, normalize=False)
        logits = features @ self.head.weight.T + self.head.bias
        return Classification(self.class_names, probabilities(logits, self.scores))

    def stream(
        self,
        images: Iterable[Any],
        *,
        batch_size: int = 32,
        decode: Callable[[Any, int], Image.Image] | None = None,
    ) -> Iterator[EmbeddedBatch]:
        """Unit vectors batch by batch, for more images than memory holds; failures come with their batch.

        Args:
            images: as `embed` takes them.
            batch_size: images an inference call.
            decode: from one of `images`, and the pixels its short side must keep, to an RGB image.
        """
        return embed_stream(self.engine, self.preprocess, images, batch_size=batch_size, decode=decode)


def _several(images: Any) -> Iterable[Any]:
    """`images` as an iterable of images: a single path, image, array or tensor becomes a list of one."""
    single = (
        isinstance(images, (str, os.PathLike))
        or hasattr(images, "convert")
        or (hasattr(images, "shape") and len(images.shape) == 3)
    )
    return [images] if single else images
