"""k-NN accuracy on held-out photos while training runs. The test split is never read."""

from __future__ import annotations

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from mvmr_zoo.datasets import LabelledPhotos
from mvmr_zoo.encoder import Encoder
from mvmr_zoo.evaluate import knn
from mvmr_zoo.features import embed
from mvmr_zoo.runtime import TorchEngine
from training.distiller import Distiller
from training.photos import Split
from training.views import student_preprocess

BANK_PER_CLASS = 100
"""Train photos a class that the held-out ones are compared with: enough to see progress, and cheap."""


def knn_accuracy(encoder: Encoder, px: int, photos: LabelledPhotos, split: Split) -> float:
    """k-NN accuracy of the backbone's features of held-out photos among some train photos, in [0, 1]."""
    labels = photos.labels
    bank = np.concatenate(
        [split.train[labels[split.train] == label][:BANK_PER_CLASS] for label in range(len(photos.class_names))]
    )
    engine = TorchEngine(encoder, device=next(encoder.parameters()).device.type)

    def features(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        paths = [photos.paths[row] for row in rows]
        return embed(engine, student_preprocess(px), paths, dim=encoder.embedding_dim, skip=False).vectors

    result = knn(features(bank), labels[bank], features(split.held_out), labels[split.held_out])
    return result.accuracy


class KnnMonitor(pl.Callback):
    """Logs `knn/held_out` every n steps, at the size the finished encoder reads.

    Args:
        photos: all photos of the run.
        split: which are held out.
        every_steps: how often.
    """

    def __init__(self, photos: LabelledPhotos, split: Split, every_steps: int) -> None:
        self._photos = photos
        self._split = split
        self._every_steps = every_steps

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Measure, log and print when it is time."""
        step = trainer.global_step
        if step % self._every_steps or not len(self._split.held_out):
            return
        assert isinstance(pl_module, Distiller)
        accuracy = self.measure(pl_module)
        pl_module.log("knn/held_out", accuracy)
        px = pl_module.config.views.encoder_px
        print(f"step {step}: k-NN of held-out photos at {px} px {accuracy:.3f}", flush=True)

    def measure(self, module: Distiller) -> float:
        """k-NN accuracy of the encoder as it is now, in [0, 1]; the module is in training mode afterwards."""
        accuracy = knn_accuracy(module.encoder, module.config.views.encoder_px, self._photos, self._split)
        module.train()
        return accuracy
