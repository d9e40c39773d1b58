"""Every option of a run, as frozen dataclasses checked when they are made.

data      DataConfig, ViewConfig
student   StudentConfig, OptimConfig
references    RepresentationsConfig, TeacherConfig: what embeddings are made dependent on
run       RunConfig, MonitorConfig, TrainerConfig
here      PretrainConfig, DistillConfig, FinetuneConfig: the three commands
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mvmr_zoo.errors import ConfigError
from training.config.data import DataConfig, SizeStage, ViewConfig
from training.config.references import RepresentationConfig, RepresentationsConfig, TeacherConfig
from training.config.run import MonitorConfig, RunConfig, TrainerConfig
from training.config.student import OptimConfig, StudentConfig
from training.loss import DistillLossConfig, LossConfig
from training.require import require

__all__ = [
    "DataConfig",
    "DistillConfig",
    "FinetuneConfig",
    "MonitorConfig",
    "OptimConfig",
    "PretrainConfig",
    "RepresentationConfig",
    "RepresentationsConfig",
    "RunConfig",
    "SizeStage",
    "StudentConfig",
    "TaskConfig",
    "TeacherConfig",
    "TrainerConfig",
    "ViewConfig",
]


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What all three commands take.

    Args:
        data: which images.
        run: where things go.
        views: how the student sees the images.
        student: what is trained.
        optim: how it is trained.
        monitor: what is watched.
        trainer: what it runs on.
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
        """Where cached representations and teacher embeddings lie."""
        return Path(self.data.cache) if self.data.cache is not None else Path(self.run.output) / "cache"


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TaskConfig):
    """A run of MV-MR without labels: see `TaskConfig`, and

    Args:
        representations: what embeddings are made dependent on.
        loss: the other terms, and the estimator.
    """

    representations: RepresentationsConfig = field(default_factory=RepresentationsConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError where nothing at all would be learnt."""
        weights = [self.loss.invariance, self.loss.variance, self.loss.views]
        weights += [term.weight for term in self.representations.terms]
        require(max(weights) > 0, "loss and representations.terms", weights, "one weight above 0 at least")


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TaskConfig):
    """A distillation run: see `TaskConfig`, and

    Args:
        teacher: whom the student learns from.
        loss: the terms and their weights.
    """

    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    loss: DistillLossConfig = field(default_factory=DistillLossConfig)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TaskConfig):
    """Supervised fine-tuning of a whole encoder, on few labels: see `TaskConfig`, and below.

    `student.projector`, `monitor.linear_lr` and `monitor.collapse_rank` mean nothing here.

    Args:
        share: of each class's images that are not held out, in (0, 1]: those are trained on.
        subset: file that lists them; written where it does not exist, read and checked where it does.
            None is `subset-SHARE.csv` in the run's output.
        label_smoothing: in [0, 1).
    """

    share: float = 1.0
    subset: str | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigError for a share or a smoothing that cannot be, or nothing to start from."""
        require(0 < self.share <= 1, "share", self.share, "above 0, at most 1")
        require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "in [0, 1)")
        if self.student.start_from is None:
            raise ConfigError("student.start_from is not given; expected the model spec of the encoder to fine-tune.")
