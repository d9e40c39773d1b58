"""Options: where a run goes, what watches it, what it runs on."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.require import require

RESERVED_NAMES = ("cache", "logs", "last.ckpt")
"""What a run writes into its output folder beside the checkpoint folder."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where things go.

    Args:
        output: folder for logs, `last.ckpt` and the finished checkpoint folder.
        name: name of the checkpoint folder.
        seed: of initialisation, order and augmentation.
        save_every_steps: how often `last.ckpt` is written.
        license: of the weights, as written in the checkpoint.
        note: a paragraph for the model card: what a reader of its figures must know.
        published: what the paper reports for this run, as text; "" where it reports nothing.
    """

    output: str
    name: str
    seed: int = 0
    save_every_steps: int = 200
    license: str = "apache-2.0"
    note: str = ""
    published: str = ""

    def __post_init__(self) -> None:
        """Raise ConfigError for a name that is no folder of its own, or a frequency below one."""
        plain = Path(self.name).name == self.name and self.name not in ("", ".", "..", *RESERVED_NAMES)
        require(plain, "run.name", self.name, f"a plain folder name, and none of {', '.join(RESERVED_NAMES)}")
        require(self.save_every_steps >= 1, "run.save_every_steps", self.save_every_steps, "at least 1")


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """What is watched while training. No option here changes the encoder's weights.

    Args:
        every_steps: how often terms, correlations and spread are logged, in optimiser steps.
        knn_every_epochs: how often k-NN accuracy is measured on held-out images; 0 never.
        linear_lr: learning rate of the online linear head; 0 trains none.
        collapse_rank: stop when the embeddings' effective rank stays below this; 0 never stops.
    """

    every_steps: int = 10
    knn_every_epochs: float = 1.0
    linear_lr: float = 1e-3
    collapse_rank: float = 1.5

    def __post_init__(self) -> None:
        """Raise ConfigError for a frequency, a rate or a rank that cannot be."""
        require(self.every_steps >= 1, "monitor.every_steps", self.every_steps, "at least 1")
        for name in ("knn_every_epochs", "linear_lr"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0, f"monitor.{name}", value, "at least 0")
        require(self.collapse_rank >= 0, "monitor.collapse_rank", self.collapse_rank, "at least 0")


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """What it runs on.

    Args:
        accelerator: `auto` takes a GPU where PyTorch finds one.
        devices: processes on this machine, one a device; under torchrun, its own number counts.
        nodes: machines.
        precision: `bf16` and `fp16` are mixed; the loss is computed in fp32 whatever it is.
        tensorboard: write TensorBoard logs beside the CSV ones.
    """

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    tensorboard: bool = True

    def __post_init__(self) -> None:
        """Raise ConfigError for fewer than one device or machine."""
        require(self.devices >= 1, "trainer.devices", self.devices, "at least 1")
        require(self.nodes >= 1, "trainer.nodes", self.nodes, "at least 1")

    @property
    def local_ranks(self) -> int:
        """Processes on this machine: `devices`, or torchrun's number where it started this one."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.devices))

    @property
    def ranks(self) -> int:
        """Processes of the whole run."""
        return int(os.environ.get("WORLD_SIZE", self.local_ranks * self.nodes))
