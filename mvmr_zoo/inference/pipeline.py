"""Embed many images in order: decoding overlaps with inference, and failures are collected."""

from __future__ import annotations

import itertools
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias, cast

import numpy as np
from PIL import Image

from mvmr_zoo._io import counted
from mvmr_zoo.errors import CheckpointError, ConfigError, ImageError
from mvmr_zoo.images import Cancellation, PhotoFile, decode_pool, read_image, read_photo, upright_rgb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from mvmr_zoo.errors import Stage
    from mvmr_zoo.images import PhotoFacts, Preprocess, Reads
    from mvmr_zoo.inference.engines import Engine

ImageInput: TypeAlias = (
    "str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.uint8] | NDArray[np.floating[Any]] | Tensor"
)
"""One image: a path, an encoded file as bytes or as an open binary file, a PIL image, an array `(H, W)`, `(H, W, 3)` or
`(H, W, 4)`, or a tensor `(3, H, W)` or `(4, H, W)`. Arrays and tensors are uint8, or float in [0, 1]."""

DRAFT_MARGIN = 2
"""A JPEG may be decoded at reduced size while its short side keeps this many times `resize_px`."""

_BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Failure:
    """One image that could not be embedded.

    Args:
        row: Position in the input.
        name: Path of the image, or a description.
        stage: The step that failed.
        reason: The cause.
    """

    row: int
    name: str
    stage: Stage
    reason: str


@dataclass(frozen=True)
class Embeddings:
    """The result of `Model.embed_with_failures`.

    Args:
        vectors: `(N, D)` float32, one row per readable image, in input order.
        rows: `(N,)` int64, the input position of each vector.
        failures: One per unreadable image.
    """

    vectors: NDArray[np.float32]
    rows: NDArray[np.int64]
    failures: list[Failure]


class DecodedImage(NamedTuple):
    """A decoded image.

    Args:
        image: RGB image.
        facts: What the caller wants to know of the image later. It is returned with the vector.
    """

    image: Image.Image
    facts: Any = None


class _PreparedImage(NamedTuple):
    row: int
    name: str
    pixels: NDArray[Any]
    facts: Any


class EmbeddedBatch(NamedTuple):
    """Vectors of consecutive images.

    Args:
        vectors: `(n, D)` float32.
        rows: Input position of each vector.
        facts: Facts of each vector's `DecodedImage`.
        failures: Images that could not be embedded.
    """

    vectors: NDArray[np.float32]
    rows: list[int]
    facts: list[Any]
    failures: list[Failure]


def embed_stream(
    engine: Engine,
    preprocess: Preprocess,
    sources: Iterable[Any],
    *,
    dim: int,
    batch_size: int = 32,
    decode_threads: int | None = None,
    normalize: bool = True,
    decode: Callable[[Any, int], DecodedImage] | None = None,
    with_hash: bool = False,
) -> Iterator[EmbeddedBatch]:
    """Vectors batch by batch, in input order, holding a few batches of images in memory.

    Args:
        engine: Runs the encoder.
        preprocess: The preprocessing of the encoder.
        sources: Images, each an `ImageInput` or a `PhotoFile`. They are read lazily. A `PhotoFile` is decoded in a
            process with limits of time and memory, and its facts are its `PhotoFacts`.
        dim: D, the length of the vectors.
        batch_size: Images per inference call.
        decode_threads: Threads that decode while the engine runs; None uses one per core.
        normalize: Scale vectors to unit L2 norm.
        decode: Function that decodes a source in a decode thread. Its second argument is the minimum length of the
            image's short side in pixels. None uses `as_image`.
        with_hash: Compute the `sha256` of the facts of each `PhotoFile`.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; expected at least 1.")
    preparation = _Preparation(preprocess, engine.reads, decode, with_hash, Cancellation())
    numbered = enumerate(sources)
    threads = decode_threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[list[Future[_PreparedImage | Failure]]] = deque()

        def submit() -> None:
            batch = list(itertools.islice(numbered, batch_size))
            if batch:
                waiting.append([pool.submit(preparation, row, source) for row, source in batch])

        try:
            for _ in range(_BATCHES_AHEAD):
                submit()
            while waiting:
                results = [future.result() for future in waiting.popleft()]
                submit()
                yield _run(engine, results, dim=dim, normalize=normalize)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            preparation.cancellation.cancel()


def embed(
    engine: Engine, preprocess: Preprocess, sources: Iterable[Any], *, dim: int, skip: bool, **options: Any
) -> Embeddings:
    """All vectors of `embed_stream` in one array.

    Args:
        engine: Runs the encoder.
        preprocess: The preprocessing of the encoder.
        sources: See `embed_stream`.
        dim: D, the width of the result even when it has no rows.
        skip: Collect failures instead of raising the first.
        **options: Options of `embed_stream`.

    Raises:
        ImageError: An image failed and `skip` is false.
    """
    vectors: list[NDArray[np.float32]] = [np.empty((0, dim), np.float32)]
    rows: list[int] = []
    failures: list[Failure] = []
    for batch in embed_stream(engine, preprocess, sources, dim=dim, **options):
        if batch.failures and not skip:
            failed = batch.failures[0]
            raise ImageError(failed.name, failed.stage, failed.reason)
        if batch.rows:
            vectors.append(batch.vectors)
        rows += batch.rows
        failures += batch.failures
    return Embeddings(np.concatenate(vectors), np.asarray(rows, np.int64), failures)


def as_image(source: ImageInput, min_px: int | None = None, cancellation: Cancellation | None = None) -> Image.Image:
    """Decode or convert one image to RGB.

    Args:
        source: The image.
        min_px: Decode a large JPEG at a reduced size with a short side of at least this many pixels. None decodes
            every pixel.
        cancellation: Stops a costly photo from another thread.

    Raises:
        ImageError: The file cannot be read, or the array is not an image.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_image(source, min_px=min_px, cancellation=cancellation)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return read_photo("bytes", content=bytes(source), min_px=min_px, cancellation=cancellation).image
    if isinstance(source, Image.Image):
        return upright_rgb(source, getattr(source, "filename", "") or "PIL image")
    if isinstance(source, np.ndarray):
        return _from_array(source, "array")
    if hasattr(source, "read"):
        name = _file_name(cast("BinaryIO", source))
        return read_photo(name, content=source.read(), min_px=min_px, cancellation=cancellation).image
    if hasattr(source, "detach"):  # a tensor, without importing torch
        tensor = source.detach().cpu()
        array = (tensor.float() if tensor.dtype.is_floating_point else tensor).numpy()
        return _from_array(array.transpose(1, 2, 0) if array.ndim == 3 else array, "tensor")
    raise ImageError(
        type(source).__name__,
        "open",
        "not an image: pass a path, bytes, an open file, a PIL image, an array or a tensor",
    )


def _file_name(file: BinaryIO) -> str:
    """The name of an open file for messages. Files in memory have none."""
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "open file"


def _from_array(array: NDArray[Any], kind: str) -> Image.Image:
    """The RGB image of `(H, W)`, `(H, W, 3)` or `(H, W, 4)`, uint8 or float in [0, 1]."""
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    floating = np.issubdtype(array.dtype, np.floating)
    if not shaped or min(array.shape[:2]) < 1 or not (array.dtype == np.uint8 or floating):
        shape = "(H, W), (H, W, 3) or (H, W, 4)" if kind == "array" else "(H, W), (3, H, W) or (4, H, W)"
        raise ImageError(
            kind, "open", f"has shape {array.shape} and dtype {array.dtype}; expected {shape}, uint8 or float in [0, 1]"
        )
    if floating:
        if not np.isfinite(array).all() or array.min() < -1e-3 or array.max() > 1 + 1e-3:
            raise ImageError(kind, "open", "contains float values outside [0, 1]; expected float in [0, 1]")
        array = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return upright_rgb(Image.fromarray(np.ascontiguousarray(array)), kind)


@dataclass(frozen=True)
class _Preparation:
    """Turns sources into input arrays of an engine. Runs in the decode threads."""

    preprocess: Preprocess
    reads: Reads
    decode: Callable[[Any, int], DecodedImage] | None
    with_hash: bool
    cancellation: Cancellation

    def __call__(self, row: int, source: Any) -> _PreparedImage | Failure:
        min_px = DRAFT_MARGIN * self.preprocess.resize_px
        try:
            if isinstance(source, PhotoFile):
                pixels, facts = self._isolated(source, min_px)
            else:
                image, facts = self._decoded(source, min_px)
                pixels = self.preprocess.prepare(image, self.reads)
            return _PreparedImage(row, _name_of(source), pixels, facts)
        except ImageError as error:
            return Failure(row, error.path, error.stage, error.reason)
        except Exception as error:  # an error in one image must not stop the others
            return Failure(row, _name_of(source), "preprocess", f"{type(error).__name__}: {error}")

    def _decoded(self, source: Any, min_px: int) -> DecodedImage:
        if self.decode is not None:
            return self.decode(source, min_px)
        return DecodedImage(as_image(source, min_px, self.cancellation))

    def _isolated(self, source: PhotoFile, min_px: int) -> tuple[NDArray[Any], PhotoFacts]:
        whole = self.reads == "photo"
        photo = decode_pool().decode(
            source,
            min_px=min_px,
            crop=None if whole else self.preprocess,
            with_hash=self.with_hash,
            cancellation=self.cancellation,
        )
        return photo.pixels if whole else self.preprocess.arrange(photo.pixels, self.reads), photo.facts


def _name_of(source: Any) -> str:
    """The path of an image, or its type."""
    if isinstance(source, PhotoFile):
        return source.path
    return os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__


def _run(engine: Engine, results: list[_PreparedImage | Failure], *, dim: int, normalize: bool) -> EmbeddedBatch:
    failures = [result for result in results if isinstance(result, Failure)]
    images = [result for result in results if isinstance(result, _PreparedImage)]
    if not images:
        return EmbeddedBatch(np.empty((0, 0), np.float32), [], [], failures)
    arrays = [image.pixels for image in images]
    vectors = engine(arrays if engine.reads == "photo" else np.stack(arrays))
    if vectors.shape != (len(images), dim):
        raise CheckpointError(
            f"The encoder returned an array of shape {vectors.shape} for {counted(len(images), 'image')}; "
            f"expected {(len(images), dim)}."
        )
    problems = [_problem(vector, normalize=normalize) for vector in vectors]
    if any(problems):
        failures += [Failure(i.row, i.name, "embed", p) for i, p in zip(images, problems, strict=True) if p]
        failures.sort(key=lambda failure: failure.row)
        images = [image for image, problem in zip(images, problems, strict=True) if not problem]
        vectors = vectors[[not problem for problem in problems]]
    if normalize:
        vectors = unit(vectors)
    return EmbeddedBatch(vectors, [image.row for image in images], [image.facts for image in images], failures)


def _problem(vector: NDArray[np.float32], *, normalize: bool) -> str:
    """Why a vector cannot be used. Empty if it can."""
    if not np.isfinite(vector).all():
        return "the encoder's output is not finite"
    return "the encoder's output is zero" if normalize and not vector.any() else ""


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of `(N, D)` scaled to unit L2 norm; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)
