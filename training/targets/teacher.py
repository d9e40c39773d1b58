"""A teacher's embeddings: cached, computed in every step, or read from an embeddings folder.

The teacher receives the plain photo, or with `view: same` the crop and flip of the student's view. It has its own
preprocessing.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

import mvmr_zoo
from mvmr_zoo.datasets import ImageFolder, ImageSet, Subset, embed_images
from mvmr_zoo.embed.folder import read_embeddings
from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.images import Preprocess
from mvmr_zoo.inference import Engine, traced_engine
from training.config import CacheConfig, TeacherConfig, ViewConfig
from training.config.objective import PRECOMPUTED
from training.console import say
from training.data import cached_view, crop_image, read_for_views, to_tensor
from training.targets.cache import Producer, cached_rows
from training.targets.principal_components import TeacherSpace

SAMPLE_IMAGES = 4096
"""Number of images for the mean of a live teacher's embeddings, whose standard error is 1/64 of their deviation, and
for the principal components of any teacher's embeddings."""
_BATCH = 64


class Teacher:
    """A teacher that takes uint8 images on any device.

    Args:
        spec: Model spec of the teacher.
        px: Side of its images in pixels. None is the side of its own preprocessing.
    """

    def __init__(self, spec: str, px: int | None = None) -> None:
        say(f"Loading the teacher {spec}")
        # only CPU runs use ONNX Runtime, whose graph takes seconds to trace
        self.model = mvmr_zoo.load(spec, device="cpu", runtime="torch" if torch.cuda.is_available() else "onnx")
        own = self.model.preprocess
        self.preprocess: Preprocess = own if px is None else own.scaled(px)
        self.name = self.model.card.name
        self.dim = self.model.dim
        if self.model.engine.reads != "normalized":
            raise ConfigError(
                f"The teacher {spec} is an export with built-in preprocessing; expected one that takes normalized "
                "images. Use its checkpoint, or teacher.view: plain with teacher.cached: true."
            )
        self._network: nn.Module | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        """Return the teacher itself, so that the averaged copy of a training module shares it."""
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of its weights and preprocessing."""
        return hashlib.sha256(f"{self.model.vectors_digest} {self.preprocess.digest}".encode()).hexdigest()

    def __call__(self, images: Tensor) -> Tensor:
        """Embed images `(N, 3, px, px)`, uint8 or float in [0, 1]. Returns `(N, T)` float32, not normalized.

        The embeddings are on the device of the images. A CPU uses ONNX Runtime, which is several times as fast as
        PyTorch there. Other devices use PyTorch.
        """
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        mean, std = (
            torch.tensor(value, device=images.device).view(1, 3, 1, 1)
            for value in (self.preprocess.mean, self.preprocess.std)
        )
        normalized = (scaled - mean) / std
        if images.device.type == "cpu":
            return torch.from_numpy(self._engine(normalized.contiguous().numpy()))
        with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16):
            embeddings: Tensor = self._module(images.device)(normalized.contiguous(memory_format=torch.channels_last))
        return embeddings.float().clone()

    @functools.cached_property
    def _engine(self) -> Engine:
        """ONNX Runtime for images of the teacher's size."""
        if self.preprocess.crop_px == self.model.preprocess.crop_px:
            return self.model.engine
        return traced_engine(self.model.network, size_px=self.preprocess.crop_px)

    def _module(self, device: torch.device) -> nn.Module:
        """The network on a device."""
        if self._network is None or next(self._network.parameters()).device != device:
            network = self.model.network.eval().requires_grad_(False)
            self._network = network.to(device).to(memory_format=torch.channels_last)
        return self._network


class Teachers:
    """Several teachers that receive the same images, each at its own size.

    Args:
        teachers: At least one teacher.
        space: Maps their concatenated embeddings to targets.
    """

    def __init__(self, teachers: Sequence[Teacher], space: TeacherSpace) -> None:
        self.teachers = teachers
        self.space = space

    def __call__(self, images: Tensor) -> Tensor:
        """Map images `(N, 3, px, px)` of the largest teacher's size, uint8 or float in [0, 1], to targets `(N, D)`."""
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return self.space(torch.cat([teacher(_resized(scaled, teacher)) for teacher in self.teachers], dim=1))


def _resized(images: Tensor, teacher: Teacher) -> Tensor:
    px = teacher.preprocess.crop_px
    if images.shape[-1] == px:
        return images
    return F.interpolate(images, (px, px), mode="bicubic", antialias=True).clamp(0, 1)


def teacher_rows(
    spec: str, config: TeacherConfig, views: ViewConfig, data: ImageSet, folder: Path, *, width: int | None = None
) -> NDArray[np.floating[Any]]:
    """One teacher's embeddings, not normalized: `(N, T)`, or `(N * views.k, T)` with `view: same`.

    Args:
        spec: The teacher. The vectors of `embeddings:FOLDER` are read. Any other spec is loaded and run.
        config: Its options.
        views: The student's views.
        data: The images.
        folder: Folder of caches.
        width: That T must have, or None for any.

    Raises:
        ConfigError: T is not `width`.
        UnknownModelError, CheckpointError, MissingDependencyError: The teacher cannot be loaded.
        DataError: The cache or the folder does not fit the images.
        ImageError: An image cannot be read.
    """
    if spec.startswith(PRECOMPUTED):
        rows = _precomputed(Path(spec.removeprefix(PRECOMPUTED)), data)
        check_width(spec, rows.shape[1], width)
        return rows
    if config.view == "same":
        producer = _view_producer(Teacher(spec, config.px), views, data)
    else:
        producer = _plain_producer(spec, config.px, data)
    check_width(spec, producer.dim, width)
    return cached_rows(folder, data, producer, config.cache)


def check_width(spec: str, dim: int, width: int | None) -> None:
    """Raise ConfigError unless a teacher of `dim` features fits a projector of `width`, where that matters."""
    if width not in (None, dim):
        raise ConfigError(
            f"The last width of student.projector is {width}, but the targets have {dim} dimensions ({spec}). "
            "loss.regression and loss.similarity need them to be equal. Change the last width, or set both weights "
            "to 0."
        )


def _plain_producer(spec: str, px: int | None, data: ImageSet) -> Producer:
    """Embeddings of the whole photos."""
    if px is not None:
        return _resized_producer(Teacher(spec, px), data)
    say(f"Loading the teacher {spec}")
    model = mvmr_zoo.load(spec)
    digest = hashlib.sha256(f"{model.vectors_digest} {model.preprocess.digest}".encode()).hexdigest()
    compute = functools.partial(embed_images, model.engine, model.preprocess, data, dim=model.dim)
    return Producer(name=model.card.name, digest=digest, dim=model.dim, compute=compute)


def _resized_producer(teacher: Teacher, data: ImageSet) -> Producer:
    """Embeddings of the whole photos at the teacher's `px`."""
    return Producer(
        name=f"{teacher.name}-{teacher.preprocess.crop_px}px",
        digest=teacher.digest,
        dim=teacher.dim,
        compute=functools.partial(_embed_plain, teacher, data),
    )


def teacher_mean(rows: NDArray[np.floating[Any]], chosen: NDArray[np.int64], repeats: int = 1) -> Tensor:
    """The mean of the rows of the chosen images, `(T,)` float32.

    Args:
        rows: `(N * repeats, T)`.
        chosen: Indices of the images.
        repeats: Rows per image.
    """
    total = np.zeros(rows.shape[1])
    every = (chosen[:, None] * repeats + np.arange(repeats)).ravel()
    for start in range(0, len(every), 4096):
        total += np.asarray(rows[every[start : start + 4096]], np.float64).sum(axis=0)
    return torch.from_numpy(total / len(every)).float()


def sampled_rows(
    teacher: Teacher, data: ImageSet, rows: NDArray[np.int64], folder: Path, cache: CacheConfig
) -> NDArray[np.floating[Any]]:
    """A live teacher's embeddings `(M, T)` of `SAMPLE_IMAGES` plain images drawn from `rows`. They are cached."""
    sample = Subset(data, np.sort(np.random.default_rng(6).permutation(rows)[:SAMPLE_IMAGES]))
    return cached_rows(folder, sample, _resized_producer(teacher, sample), cache)


def _embed_plain(teacher: Teacher, data: ImageSet, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    crop = teacher.preprocess.crop
    needed = 2 * teacher.preprocess.resize_px
    with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
        images = list(pool.map(lambda i: to_tensor(crop(read_for_views(data, int(i), needed))), indices))
    return _in_batches(teacher, images)


def _view_producer(teacher: Teacher, views: ViewConfig, data: ImageSet) -> Producer:
    """Embeddings of the K cached views of every photo, exactly as `ViewDataset` crops them."""
    policy, k = views.augment.parameters, views.k
    px, resample = teacher.preprocess.crop_px, teacher.preprocess.resampling

    def one(index: int) -> Tensor:
        row, repeat = divmod(index, k)
        image = read_for_views(data, row, views.cached_view_px)
        return to_tensor(crop_image(image, px, policy, cached_view(views, image.size, row, repeat), resample))

    def compute(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
            images = list(pool.map(one, indices.tolist()))
        return _in_batches(teacher, images)

    # the color options are left out, because they change no crop
    geometry = (policy.crop, policy.min_scale, policy.flip, views.largest_px, views.cached_view_px)
    text = f"{teacher.digest} {geometry}"
    return Producer(
        name=f"{teacher.name}-{k}-views",
        digest=hashlib.sha256(text.encode()).hexdigest(),
        dim=teacher.dim,
        compute=compute,
        repeats=k,
        facts={"views": k, "view_seed": views.seed},
    )


def _in_batches(teacher: Teacher, images: list[Tensor]) -> NDArray[np.float32]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parts = [torch.stack(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    return np.concatenate([teacher(part.to(device)).cpu().numpy() for part in parts])


def _precomputed(folder: Path, data: ImageSet) -> NDArray[np.float32]:
    if not isinstance(data, ImageFolder):
        raise DataError(f"{data.name} has no file names. An embeddings folder works with a folder of photos only.")
    found = read_embeddings(folder)
    names = [data.describe(index) for index in range(len(data))]
    position = _positions(folder, enumerate(found.image_paths), set(names))
    if not position:  # absolute paths, as most programs write them
        depths = {name.count("/") + 1 for name in names}
        tails = ((row, "/".join(path.split("/")[-n:])) for row, path in enumerate(found.image_paths) for n in depths)
        position = _positions(folder, tails, set(names))
    missing = [name for name in names if name not in position]
    if missing:
        raise DataError(
            f"{folder} has no embedding for {len(missing)} of {len(names)} images of {data.name}, for example "
            f"{missing[0]}. Its image_path must be the path below the data set's folder, or end with it."
        )
    rows = found.rows(np.asarray([position[name] for name in names], np.int64))
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise DataError(f"{folder}: the embedding of {names[int(np.argmin(finite))]} contains NaN or infinite values.")
    return rows


def _positions(folder: Path, paths: Iterable[tuple[int, str]], wanted: set[str]) -> dict[str, int]:
    """The row of each wanted name."""
    found: dict[str, int] = {}
    for row, name in paths:
        if name in wanted and found.setdefault(name, row) != row:
            raise DataError(f"{folder} has two embeddings for {name}. Use a folder of these images only.")
    return found
