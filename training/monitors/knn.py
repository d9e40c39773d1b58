"""k-NN accuracy on held-out images while training runs."""

from __future__ import annotations

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from mvmr_zoo.datasets import ImageSet, embed_images
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.evaluate import knn
from mvmr_zoo.preprocess import Preprocess
from mvmr_zoo.runtime import TorchEngine
from training.config import TaskConfig
from training.monitors.log import Every, write
from training.plan import Plan
from training.split import Split

BANK_PER_CLASS = 100
"""Train images a class that the held-out ones are compared with: enough to see progress, and cheap."""
HELD_OUT_PER_CLASS = 100
"""Held-out images a class that are judged: a standard error of 1.5 points for ten classes."""


def knn_accuracy(encoder: Encoder, preprocess: Preprocess, data: ImageSet, split: Split) -> float:
    """k-NN accuracy of the backbone's features of held-out images among some train images, in [0, 1]."""
    bank = _some(data.labels, split.train, BANK_PER_CLASS)
    queries = _some(data.labels, split.held_out, HELD_OUT_PER_CLASS)
    train = image_features(encoder, preprocess, data, bank)
    test = image_features(encoder, preprocess, data, queries)
    return knn(train, data.labels[bank], test, data.labels[queries]).accuracy


def image_features(
    encoder: Encoder, preprocess: Preprocess, data: ImageSet, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The backbone's features of some images, not normalised: `(len(rows), D)`.

    The encoder is in training mode afterwards.
    """
    engine = TorchEngine(encoder, device=next(encoder.parameters()).device.type)
    found = embed_images(engine, preprocess, data, rows, dim=encoder.embedding_dim)
    encoder.train()
    return found


def knn_every(config: TaskConfig, plan: Plan, split: Split) -> int:
    """Optimiser steps from one measurement to the next; 0 where nothing can or shall be measured."""
    if not config.monitor.knn_every_epochs or not len(split.held_out):
        return 0
    return max(1, round(config.monitor.knn_every_epochs * plan.batches_per_epoch / plan.accumulate))


class KnnMonitor(pl.Callback):
    """Logs `knn/held_out` every n optimiser steps, at the size the finished encoder reads.

    Args:
        data: all images of the run.
        split: which are held out.
        every_steps: how often, at least 1.
        preprocess: of the finished encoder.
    """

    def __init__(self, data: ImageSet, split: Split, every_steps: int, preprocess: Preprocess) -> None:
        self._data = data
        self._split = split
        self._every = Every(every_steps)
        self._preprocess = preprocess

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Measure, log and print when it is time; one process does, the others wait at the next step."""
        step = trainer.global_step
        if not self._every.due(step) or not trainer.is_global_zero:
            return
        encoder = pl_module.encoder
        assert isinstance(encoder, Encoder)
        accuracy = knn_accuracy(encoder, self._preprocess, self._data, self._split)
        write(trainer, {"knn/held_out": accuracy})
        print(f"step {step}: k-NN of held-out images at {self._preprocess.crop_px} px {accuracy:.3f}", flush=True)


def _some(labels: NDArray[np.int64], rows: NDArray[np.int64], per_class: int) -> NDArray[np.int64]:
    """At most so many of `rows` of each class; none without a label."""
    return np.concatenate([rows[labels[rows] == label][:per_class] for label in np.unique(labels[labels >= 0])])
