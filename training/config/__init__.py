"""Every option of a run, as frozen dataclasses that are checked when they are made.

images     DataConfig, ViewConfig
network    StudentConfig
optim      OptimConfig
objective  RepresentationsConfig, TeacherConfig, LossConfig, DistillLossConfig
run        RunConfig, MonitorConfig, TrainerConfig
here       PretrainConfig, DistillConfig, FinetuneConfig: the three commands
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mvmr_zoo.errors import ConfigError, require
from training.config.images import DataConfig, ViewConfig
from training.config.network import StudentConfig
from training.config.objective import (
    CacheConfig,
    DistillLossConfig,
    LossConfig,
    RepresentationConfig,
    RepresentationsConfig,
    TeacherConfig,
)
from training.config.optim import OptimConfig
from training.config.run import MonitorConfig, RunConfig, TrainerConfig

__all__ = [
    "CacheConfig",
    "DataConfig",
    "DistillConfig",
    "DistillLossConfig",
    "FinetuneConfig",
    "LossConfig",
    "MonitorConfig",
    "OptimConfig",
    "PretrainConfig",
    "RepresentationConfig",
    "RepresentationsConfig",
    "RunConfig",
    "StudentConfig",
    "TaskConfig",
    "TeacherConfig",
    "TrainerConfig",
    "ViewConfig",
]


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """Options of all three commands.

    Args:
        data: The images.
        run: Where the results are written.
        views: The student's views of the images.
        student: The network.
        optim: The optimizer.
        monitor: What is measured during training.
        trainer: Hardware and precision.
    """

    data: DataConfig
    run: RunConfig
    views: ViewConfig = field(default_factory=ViewConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    @property
    def cache_folder(self) -> Path:
        """The folder of cached representations and teacher embeddings."""
        return Path(self.data.cache) if self.data.cache is not None else Path(self.run.output) / "cache"


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TaskConfig):
    """A run of MV-MR without labels; see `TaskConfig`.

    Args:
        representations: The fixed representations that embeddings are compared with.
        loss: Other loss terms.
    """

    representations: RepresentationsConfig = field(default_factory=RepresentationsConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError if no term has a positive weight, or for mixup or fixed views, which need a teacher."""
        weights = [self.loss.invariance, self.loss.variance, self.loss.views]
        weights += [term.weight for term in self.representations.terms]
        require(max(weights) > 0, "loss and representations.terms", weights, "at least one positive weight")
        require(self.views.mixup == 0, "views.mixup", self.views.mixup, "0, because mixup needs a teacher")
        require(self.views.k == 0, "views.k", self.views.k, "0, because fixed views need a teacher")
        fit = self.student.fit_projector
        require(not fit, "student.fit_projector", fit, "false, because it needs a teacher")


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TaskConfig):
    """A distillation run; see `TaskConfig`.

    Args:
        teacher: The teacher.
        loss: The terms and their weights.
    """

    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    loss: DistillLossConfig = field(default_factory=DistillLossConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for options of views, teacher and loss that conflict with each other."""
        same, mixup, k = self.teacher.view == "same", self.views.mixup, self.views.k
        require(mixup == 0 or same, "views.mixup", mixup, "0, or teacher.view: same, so that targets are mixed too")
        require(k == 0 or same, "views.k", k, "0, or teacher.view: same, so that the teacher receives the fixed views")
        loss = self.loss
        plain = max(loss.invariance, loss.views)
        require(
            mixup == 0 or plain == 0,
            "views.mixup",
            mixup,
            "0, or loss.invariance and loss.views 0, because they compare a mixed image with one plain view",
        )
        require(
            mixup == 0 or self.optim.batch_size // self.trainer.ranks % 2 == 0,
            "optim.batch_size",
            self.optim.batch_size,
            "an even number of images per process, because mixup mixes pairs",
        )
        require(
            not same or not self.teacher.cached or k > 0,
            "views.k",
            k,
            "at least 1 with teacher.view: same and teacher.cached: true, or set teacher.cached to false",
        )
        require(
            not (same and self.teacher.precomputed),
            "teacher.view",
            self.teacher.view,
            "plain, because an embeddings folder contains one vector per photo",
        )
        require(
            loss.follows_teacher or not self.student.fit_projector,
            "student.fit_projector",
            self.student.fit_projector,
            "false, or a positive loss.regression or loss.similarity",
        )


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TaskConfig):
    """Supervised fine-tuning of a whole encoder on few labels; see `TaskConfig`.

    `student.projector`, `student.fit_projector`, `monitor.linear_lr` and `monitor.collapse_rank` have no effect here.

    Args:
        share: Share of each class to train on, in (0, 1], held-out images excluded.
        subset: File that lists these images. It is written if it does not exist; otherwise it is read and checked.
            None uses `subset-SHARE.csv` in `run.output`.
        label_smoothing: Label smoothing of the cross-entropy, in [0, 1).
    """

    share: float = 1.0
    subset: str | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of range, or without an encoder to start from."""
        require(0 < self.share <= 1, "share", self.share, "a number above 0 and at most 1")
        require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "in [0, 1)")
        require(self.views.mixup == 0, "views.mixup", self.views.mixup, "0, because labels are not mixed")
        require(self.views.k == 0, "views.k", self.views.k, "0, because fixed views need a teacher")
        if self.student.start_from is None:
            raise ConfigError("student.start_from is not given; expected the model spec of the encoder to fine-tune.")
