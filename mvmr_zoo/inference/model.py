"""`Model`: an encoder with its preprocessing, ready to embed photos."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mvmr_zoo._io import progress_bar
from mvmr_zoo.checkpoint import Alignment, Head, ModelCard, Output, Scores, vectors_digest
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import Preprocess
from mvmr_zoo.inference.classifier import Classification, probabilities
from mvmr_zoo.inference.engines import Engine, LeadingDimensions, ProjectedEngine
from mvmr_zoo.inference.pipeline import EmbeddedBatch, Embeddings, ImageInput, embed, embed_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn


@dataclass(frozen=True)
class Model:
    """An encoder with its preprocessing, ready to embed photos.

    Args:
        spec: Spec with which `load` finds it from any working directory.
        card: Model card.
        engine: Runs the encoder and computes the vectors of `output`.
        weights_digest: SHA-256 of its weights.
        build: Makes the encoder as a PyTorch module.
        head: A linear classifier of its features, or None.
        class_names: Class names of the outputs of the head.
        scores: Function from logits of the head to probabilities: `softmax` or `sigmoid`.
        output: The encoder's output that its vectors are.
        aligned_dim: Number of leading dimensions of `aligned` that its vectors keep; 0 for features.
        alignment: The map from features to the output `aligned`, for either `output`; None if the encoder has none.
        alignment_digest: SHA-256 of its file; empty if the alignment is part of the weights.
        features_engine: Computes features if `engine` computes `aligned`; None if the file has no features.
        logits: Runs encoder and classifier together, if an exported folder holds both.
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

    @property
    def device(self) -> str:
        """`cpu` or `cuda`, where the engine runs."""
        return getattr(self.engine, "device", "cpu")

    def __repr__(self) -> str:
        """Name, output, dimension, image size and engine."""
        return (
            f"Model({self.card.name!r}, output={self.output!r}, dim={self.dim}, input_px={self.preprocess.crop_px}, "
            f"engine={self.engine.name!r}, device={self.device!r})"
        )

    def with_features(self) -> Model:
        """The same encoder with the output `features`, which its classifier reads.

        Raises:
            ConfigError: The file has only the output `aligned`.
        """
        if self.output == "features":
            return self
        if self.features_engine is None:
            raise ConfigError(f"{self.card.name} has only the output aligned; expected an encoder with features.")
        return replace(self, output="features", aligned_dim=0, engine=self.features_engine)

    def with_output(self, output: Output, dim: int | None = None) -> Model:
        """The same encoder with another output, without loading it again.

        Args:
            output: `features` or `aligned`.
            dim: Number of leading dimensions of `aligned` to keep. None keeps all.

        Raises:
            ConfigError: The model has no such output or dimension.
        """
        outputs = self.card.outputs
        if output not in outputs:
            raise ConfigError(f"output is {output!r}; {self.card.name} has {' and '.join(outputs)}.")
        if output == "features":
            if dim is not None:
                raise ConfigError(
                    f'dim is {dim}, but features are not ordered by importance. Omit dim, or use output="aligned".'
                )
            return self.with_features()
        available = outputs["aligned"] if self.alignment is not None else self.aligned_dim
        kept = available if dim is None else dim
        if not 1 <= kept <= available:
            raise ConfigError(
                f"dim is {dim}; expected 1 to {available}, the dimensions of aligned of {self.card.name}."
            )
        if self.output == "aligned" and kept == self.aligned_dim:
            return self
        engine: Engine
        if self.output == "aligned" and kept < self.aligned_dim:
            engine = LeadingDimensions(self.engine, kept)
        else:
            assert self.alignment is not None
            engine = ProjectedEngine(self.with_features().engine, self.alignment.matrix[:kept])
        features = self.features_engine if self.output == "aligned" else self.engine
        return replace(self, output="aligned", aligned_dim=kept, engine=engine, features_engine=features)

    @functools.cached_property
    def encoder(self) -> nn.Module:
        """The encoder as an `nn.Module`: `(N, 3, H, W)` to features `(N, D)`, in evaluation mode, on `device`.

        It computes features whatever `output` is, because fine-tuning starts from them.

        Raises:
            MissingDependencyError: PyTorch is not installed.
        """
        return self.build().to(self.device)

    @functools.cached_property
    def network(self) -> nn.Module:
        """A module from `(N, 3, H, W)` to the vectors of `output`, not normalized, in evaluation mode, on `device`.

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
        return nn.Sequential(self.encoder, projection.to(self.device)).eval()

    def embed(
        self,
        images: ImageInput | Iterable[ImageInput],
        *,
        output: Output | None = None,
        dim: int | None = None,
        batch_size: int = 32,
        normalize: bool = True,
        progress: bool = False,
    ) -> NDArray[np.float32]:
        """Embed images: vectors `(N, D)` float32 of unit L2 norm, in input order.

        Args:
            images: One image or an iterable of images. An iterator is read as needed.
            output: `features` or `aligned`. None is the output that the model was loaded with.
            dim: Number of leading dimensions of `aligned` to keep. None keeps all.
            batch_size: Images per inference call, at least 1.
            normalize: False returns the encoder's output unchanged.
            progress: Show a progress bar on standard error.

        Raises:
            ImageError: An image cannot be read. `embed_with_failures` skips such images.
            ConfigError: An argument is out of range, or the model has no such output.
        """
        return self._embed(
            images,
            output=output,
            dim=dim,
            batch_size=batch_size,
            normalize=normalize,
            progress=progress,
            skip=False,
        ).vectors

    def embed_with_failures(
        self,
        images: Iterable[ImageInput],
        *,
        output: Output | None = None,
        dim: int | None = None,
        batch_size: int = 32,
        normalize: bool = True,
        progress: bool = False,
    ) -> Embeddings:
        """Embed the images that can be read, and report the others.

        Args:
            images: See `embed`.
            output: See `embed`.
            dim: See `embed`.
            batch_size: See `embed`.
            normalize: See `embed`.
            progress: See `embed`.

        Raises:
            ConfigError: An argument is out of range, or the model has no such output.
        """
        return self._embed(
            images,
            output=output,
            dim=dim,
            batch_size=batch_size,
            normalize=normalize,
            progress=progress,
            skip=True,
        )

    def _embed(
        self,
        images: ImageInput | Iterable[ImageInput],
        *,
        output: Output | None,
        dim: int | None,
        batch_size: int,
        normalize: bool,
        progress: bool,
        skip: bool,
    ) -> Embeddings:
        model = self if output is None and dim is None else self.with_output(output or self.output, dim)
        sources = _several(images)
        with progress_bar("embedding") if progress else nullcontext() as report:
            if report is not None:
                sources = _counted(sources, report)
            return embed(
                model.engine,
                model.preprocess,
                sources,
                dim=model.dim,
                skip=skip,
                batch_size=batch_size,
                normalize=normalize,
            )

    def classify(self, images: ImageInput | Iterable[ImageInput], *, batch_size: int = 32) -> Classification:
        """Class names and probabilities of images, from the classifier of the model.

        Args:
            images: See `embed`.
            batch_size: Images per inference call, at least 1.

        Raises:
            ConfigError: The model has no classifier.
            ImageError: An image cannot be read.
        """
        if self.logits is not None:
            outputs = embed(
                self.logits,
                self.preprocess,
                _several(images),
                dim=len(self.class_names),
                skip=False,
                batch_size=batch_size,
                normalize=False,
            )
            return Classification(self.class_names, probabilities(outputs.vectors, self.scores))
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
        with_hash: bool = False,
    ) -> Iterator[EmbeddedBatch]:
        """Yield unit vectors batch by batch, for more images than fit in memory. Failures are in their batch.

        Args:
            images: Each as in `embed`, or a `PhotoFile`. See `embed_stream`.
            batch_size: Images per inference call.
            with_hash: Compute the SHA-256 of each `PhotoFile`.
        """
        return embed_stream(
            self.engine, self.preprocess, images, dim=self.dim, batch_size=batch_size, with_hash=with_hash
        )


def _several(images: ImageInput | Iterable[ImageInput]) -> Iterable[ImageInput]:
    """`images` as an iterable of images. A single image becomes a list of one. A 4-dimensional array is iterated."""
    single = (
        isinstance(images, (str, bytes, bytearray, os.PathLike))
        or hasattr(images, "convert")
        or hasattr(images, "read")
        or (hasattr(images, "shape") and len(images.shape) in (2, 3))
    )
    return cast("Iterable[ImageInput]", [images] if single else images)


def _counted(images: Iterable[ImageInput], report: Callable[[int, int], None]) -> Iterator[ImageInput]:
    """Yield the images, and report the number read and the total."""
    total = len(images) if isinstance(images, Sized) else 0
    for done, image in enumerate(images, start=1):
        yield image
        report(done, max(total, done))
