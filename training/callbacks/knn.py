"""k-NN accuracy during training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from mvmr_zoo.architectures import Encoder
from mvmr_zoo.datasets import ImageSet, embed_images
from mvmr_zoo.evaluate import knn
from mvmr_zoo.images import Preprocess
from mvmr_zoo.inference import TorchEngine
from training.callbacks.ema import averaged_encoder
from training.callbacks.log import Every, write
from training.config import TaskConfig
from training.console import say
from training.data import Plan, Split

BANK_PER_CLASS = 100
"""Training images per class that queries are compared with."""
QUERIES_PER_CLASS = 100
"""Images per class whose class is predicted. The standard error is 1.5 points for ten classes."""
BANK_IMAGES = 5000
"""Training images in total. The limit keeps a measurement to seconds for any number of classes."""
QUERY_IMAGES = 2000
"""Queries in total."""


class KnnResult(NamedTuple):
    """A k-NN measurement.

    Args:
        accuracy: Share of correct predictions, in [0, 1].
        queries: Number of images whose class was predicted.
        bank: Number of images that the queries were compared with.
        held_out: Whether the queries are held out of training.
        px: Size of the images in pixels.
    """

    accuracy: float
    queries: int
    bank: int
    held_out: bool
    px: int

    def __str__(self) -> str:
        queries = f"{self.queries:,} held-out images" if self.held_out else f"{self.queries:,} training images"
        bank = f"{self.bank:,} {'' if self.held_out else 'other '}training images"
        return f"k-NN accuracy {self.accuracy:.3f} ({queries}, {bank}, {self.px} px)"


def knn_accuracy(encoder: Encoder, preprocess: Preprocess, data: ImageSet, split: Split) -> KnnResult:
    """k-NN accuracy of the backbone's features, on the encoder's device.

    Args:
        encoder: The encoder. It is left in training mode.
        preprocess: Preprocessing of the finished encoder.
        data: All images.
        split: The held-out images are the queries. If there are none, half of each class's training images are
            queries and half are the bank.
    """
    held_out = len(split.held_out) > 0
    train, pool = split if held_out else _halves(data.labels, split.train)
    bank = _sample(data.labels, train, BANK_PER_CLASS, BANK_IMAGES)
    queries = _sample(data.labels, pool, QUERIES_PER_CLASS, QUERY_IMAGES)
    bank_features = image_features(encoder, preprocess, data, bank)
    query_features = image_features(encoder, preprocess, data, queries)
    accuracy = knn(bank_features, data.labels[bank], query_features, data.labels[queries]).accuracy
    return KnnResult(accuracy, len(queries), len(bank), held_out, preprocess.crop_px)


def image_features(
    encoder: Encoder, preprocess: Preprocess, data: ImageSet, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The backbone's features of some images, not normalized: `(len(rows), D)`. Leaves the encoder in training mode."""
    engine = TorchEngine(encoder, device=next(encoder.parameters()).device.type)
    found = embed_images(engine, preprocess, data, rows, dim=encoder.embedding_dim)
    encoder.train()
    return found


def knn_every(config: TaskConfig, plan: Plan, labels: NDArray[np.int64]) -> int:
    """Optimizer steps between measurements; 0 if nothing is measured."""
    if not config.monitor.knn_every_epochs or len(np.unique(labels[labels >= 0])) < 2:
        return 0
    return max(1, round(config.monitor.knn_every_epochs * plan.batches_per_epoch / plan.accumulate))


class KnnMonitor(pl.Callback):
    """Logs `knn/held_out` (or `knn/train`) every n optimizer steps and at the end, with the averaged weights if any.

    Args:
        data: All images of the run.
        split: Training and held-out images.
        every_steps: Optimizer steps between measurements, at least 1.
        preprocess: Preprocessing of the finished encoder.
    """

    result: KnnResult | None = None
    """The last measurement."""

    def __init__(self, data: ImageSet, split: Split, every_steps: int, preprocess: Preprocess) -> None:
        self._data = data
        self._split = split
        self._every = Every(every_steps, ends=False)
        self._preprocess = preprocess

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Measure, log and print if due. The first process does this, and the others wait at the next step."""
        at_end = trainer.global_step == trainer.max_steps
        if not at_end and self._every.due(trainer.global_step, trainer.max_steps):
            self._measure(trainer, averaged_encoder(trainer, pl_module))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the final weights, while they are still on their device."""
        self._measure(trainer, averaged_encoder(trainer, pl_module))

    def _measure(self, trainer: pl.Trainer, encoder: Encoder) -> None:
        if not trainer.is_global_zero:
            return
        self.result = knn_accuracy(encoder, self._preprocess, self._data, self._split)
        write(trainer, {f"knn/{'held_out' if self.result.held_out else 'train'}": self.result.accuracy})
        say(f"Step {trainer.global_step:,}: {self.result}")


def _halves(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two halves of `rows`, each with half of every class."""
    by_class = rows[np.argsort(labels[rows], kind="stable")]
    return by_class[0::2], by_class[1::2]


def _sample(labels: NDArray[np.int64], rows: NDArray[np.int64], per_class: int, total: int) -> NDArray[np.int64]:
    """At most `per_class` of the labeled `rows` of each class, and at most `total` in all."""
    classes = np.unique(labels[rows][labels[rows] >= 0])
    each = min(per_class, max(1, total // max(1, len(classes))))
    return np.concatenate([rows[labels[rows] == label][:each] for label in classes[:total]])
