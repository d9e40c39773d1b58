"""An exponential moving average of the weights."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging

from mvmr_zoo.architectures import Encoder


class Ema(EMAWeightAveraging):
    """Lightning's moving average of weights and batch norm statistics; the finished encoder has the average.

    Args:
        decay: Decay of the average, in (0, 1).
        start: First optimizer step whose weights are averaged.
    """

    def __init__(self, decay: float, *, start: int) -> None:
        super().__init__(decay=decay, update_starting_at_step=start)

    @property
    def module(self) -> pl.LightningModule | None:
        """The module with averaged weights, or None outside training and before the first averaged step."""
        if self._average_model is None or not self._average_model.n_averaged:
            return None
        module: pl.LightningModule = self._average_model.module  # type: ignore[assignment]
        return module


def averaged_module(trainer: pl.Trainer, module: pl.LightningModule) -> pl.LightningModule:
    """The module with averaged weights if the run averages them, otherwise the module itself."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    averages = [callback.module for callback in callbacks if isinstance(callback, Ema)]
    return averages[0] if averages and averages[0] is not None else module


def averaged_encoder(trainer: pl.Trainer, module: pl.LightningModule) -> Encoder:
    """The encoder of `averaged_module`."""
    encoder = averaged_module(trainer, module).encoder
    assert isinstance(encoder, Encoder)
    return encoder
