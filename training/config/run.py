"""Options: the output of a run, its measurements, and its hardware."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mvmr_zoo.errors import require
from mvmr_zoo.models import CATALOG

RESERVED_NAMES = ("cache", "logs", "last.ckpt")
"""Names that a run uses in its output folder beside the checkpoint folder."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where the results are written, and what the model card says.

    Args:
        output: Folder for logs, `last.ckpt` and the finished checkpoint folder.
        name: Name of the checkpoint folder and of the model. It must not be in the catalog.
        seed: Random seed for initialization, order and augmentation.
        save_every_minutes: How often `last.ckpt` is written.
        license: License of the weights for the model card, for example `apache-2.0`. With `not stated`, the model can
            only be published in a private repository.
        note: A paragraph for the model card that explains its results.
        published: Result that the paper reports for this run, as text. Empty if it reports none.
    """

    output: str
    name: str
    seed: int = 0
    save_every_minutes: float = 10.0
    license: str = "not stated"
    note: str = ""
    published: str = ""

    def __post_init__(self) -> None:
        """Raise ConfigError for a name that cannot be used, or an interval out of range."""
        plain = Path(self.name).name == self.name and self.name not in ("", ".", "..", *RESERVED_NAMES)
        require(plain, "run.name", self.name, f"a plain folder name other than {', '.join(RESERVED_NAMES)}")
        require(
            self.name not in CATALOG,
            "run.name",
            self.name,
            "a name that is not in the catalog, because `mvmr_zoo.load` finds the catalog's model by it",
        )
        positive = math.isfinite(self.save_every_minutes) and self.save_every_minutes > 0
        require(positive, "run.save_every_minutes", self.save_every_minutes, "a positive number")


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """What is measured during training. No option here changes the encoder's weights.

    Args:
        every_steps: How often loss terms, correlations and spread are logged, in optimizer steps. The first and the
            last step are always logged.
        knn_every_epochs: How often k-NN accuracy is measured, in epochs. 0 disables it.
        linear_lr: Learning rate of the online linear head. 0 disables the head.
        collapse_rank: Stop if the effective rank of the embeddings stays below this. 0 disables the check.
    """

    every_steps: int = 10
    knn_every_epochs: float = 1.0
    linear_lr: float = 1e-3
    collapse_rank: float = 1.5

    def __post_init__(self) -> None:
        """Raise ConfigError for a frequency, a rate or a rank out of range."""
        require(self.every_steps >= 1, "monitor.every_steps", self.every_steps, "at least 1")
        for name in ("knn_every_epochs", "linear_lr"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0, f"monitor.{name}", value, "at least 0")
        require(self.collapse_rank >= 0, "monitor.collapse_rank", self.collapse_rank, "at least 0")


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Hardware, precision and log format of a run.

    Args:
        accelerator: `auto` uses a GPU if PyTorch finds one.
        devices: Processes on this machine, one per device. Under torchrun, torchrun's number is used instead.
        nodes: Number of machines.
        precision: `bf16` and `fp16` are mixed precision. The loss is always computed in fp32.
        compile: Compile the encoder with `torch.compile`. Compilation takes a minute or more.
        tensorboard: Write TensorBoard logs in addition to the CSV logs.
    """

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for fewer than one device or machine."""
        require(self.devices >= 1, "trainer.devices", self.devices, "at least 1")
        require(self.nodes >= 1, "trainer.nodes", self.nodes, "at least 1")

    @property
    def local_ranks(self) -> int:
        """Processes on this machine: `devices`, or torchrun's number if torchrun started this process."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", self.devices))

    @property
    def ranks(self) -> int:
        """Processes of the whole run."""
        return int(os.environ.get("WORLD_SIZE", self.local_ranks * self.nodes))
