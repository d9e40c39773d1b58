"""The options of a run on the GPU, its configuration, and the arms of the recipe search.

The configuration is that of `training.distill`, so that a run reads the same views and minimizes the same loss, and
its result becomes a checkpoint folder in the same way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mvmr_zoo
from mvmr_zoo.checkpoint import BASE_KIND
from mvmr_zoo.images import IMAGENET_MEAN, IMAGENET_STD
from training.config import (
    DataConfig,
    DistillConfig,
    DistillLossConfig,
    MonitorConfig,
    OptimConfig,
    RunConfig,
    StudentConfig,
    TeacherConfig,
    TrainerConfig,
    ViewConfig,
)
from training.data import AugmentConfig, SizeStage


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that decides the weights of a run, beside the photos.

    Args:
        name: Name of the run and of its checkpoint folder.
        student: Architecture of the student.
        projector: Widths of the projector's hidden layers. Its last layer has the dimension of the targets.
        adapt: Start from the published weights of `student`, with frozen batch norm and a fitted projector.
        teachers: Model specs of the teachers.
        teacher_px: Side of the teacher's images. None uses its own size.
        dim: Number of principal components of the teachers' embeddings. None uses the embeddings of one teacher.
        whitening: See `training.targets.fit_space`.
        sizes: Sides of the student's views, each with the share of the run at which it starts.
        encoder_px: Side of the finished encoder's images.
        min_scale: Smallest share of the photo's area in a crop.
        color: Strength of the changes of brightness, contrast and saturation.
        mixup: See `training.config.ViewConfig`.
        fixed_views: Number K of fixed views of each photo. 0 draws new views in each epoch.
        similarity: Weight of the similarity to a bank of past embeddings of the teacher, at a temperature of 0.07.
        views: Views in the whole run.
        batch: Views in a step.
        limit: Largest number of photos. None uses all.
        min_side: Least short side of a packed photo that is trained on.
        lr: Peak learning rate.
        weight_decay: Weight decay of matrices and kernels.
        schedule: `cosine` or `wsd`, warm-up, stable and decay.
        decay: Share of the run in which `wsd` decays.
        ema: Decay of the moving average of the weights.
        canvas: Side of the squares in which photos are held.
        seed: Random seed.
        precision: Precision on the device.
        workers: Number of processes that draw views.
    """

    name: str
    student: str
    projector: tuple[int, ...] = ()
    adapt: bool = False
    teachers: tuple[str, ...] = ("effnet-lite:0",)
    teacher_px: int | None = None
    dim: int | None = None
    whitening: float = 0.0
    sizes: tuple[tuple[float, int], ...]
    encoder_px: int
    min_scale: float = 0.25
    color: float = 0.3
    mixup: float = 0.0
    fixed_views: int = 0
    similarity: float = 0.0
    views: int
    batch: int
    limit: int | None = None
    min_side: int = 0
    lr: float
    weight_decay: float = 0.05
    schedule: Literal["cosine", "wsd"] = "cosine"
    decay: float = 0.3
    ema: float
    canvas: int
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "bf16"
    workers: int = 12

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Options:
        """The options from JSON, whose lists are tuples here."""
        return cls(**{name: _tuples(value) for name, value in values.items()})

    def config(
        self, output: str, *, photos: int, sources: Sequence[str], target_dim: int, note: str = ""
    ) -> DistillConfig:
        """The configuration of `training.distill`.

        Args:
            output: Folder of the run.
            photos: Number of training photos.
            sources: Their sources.
            target_dim: Dimension of the targets.
            note: A paragraph for the model card.
        """
        mean, std = normalization(self.student)
        return DistillConfig(
            data=DataConfig(train=tuple(sources), name="photos", limit=self.limit, held_out=0.0, workers=self.workers),
            run=RunConfig(output=output, name=self.name, seed=self.seed, save_every_minutes=2.0, note=note),
            views=ViewConfig(
                sizes=tuple(SizeStage(start=start, px=px) for start, px in self.sizes),
                encoder_px=self.encoder_px,
                mean=mean,
                std=std,
                augment=AugmentConfig(
                    policy="paper",
                    where="device",
                    min_scale=self.min_scale,
                    brightness=self.color,
                    contrast=self.color,
                    saturation=self.color,
                    hue=0.0,
                    gray=0.02 if self.adapt else 0.05,
                    blur=0.0,
                ),
                k=self.fixed_views,
                mixup=self.mixup,
            ),
            student=StudentConfig(
                architecture=self.student,
                projector=(*self.projector, target_dim),
                start_from=self.student if self.adapt else None,
                freeze_batch_norm=self.adapt,
                fit_projector=self.adapt,
            ),
            teacher=TeacherConfig(
                spec=self.teachers[0] if len(self.teachers) == 1 else self.teachers,
                view="same",
                px=self.teacher_px if len(self.teachers) == 1 else None,
                dim=self.dim,
                whitening=self.whitening,
                cached=self.fixed_views > 0,
            ),
            loss=DistillLossConfig(
                invariance=0.0, variance=0.0, views=0.0, teacher=1.0, regression=1.0, similarity=self.similarity
            ),
            optim=OptimConfig(
                peak_lr=self.lr,
                weight_decay=self.weight_decay,
                batch_size=self.batch,
                clip_norm=1.0,
                epochs=self.views / self.batch / max(1, photos // self.batch),
                schedule=self.schedule,
                decay=self.decay,
                ema=self.ema,
            ),
            monitor=MonitorConfig(every_steps=50, knn_every_epochs=0.0, linear_lr=0.0),
            trainer=TrainerConfig(precision=self.precision),
        )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def normalization(architecture: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of the student's input: EfficientNet-Lite's own, else ImageNet's."""
    if architecture.startswith(BASE_KIND):
        own = mvmr_zoo.load(architecture).preprocess
        return own.mean, own.std
    return IMAGENET_MEAN, IMAGENET_STD


BASE_ARM = Options(
    name="base",
    student="timm:efficientnet_lite0",
    sizes=((0.0, 96),),
    encoder_px=128,
    views=204_800,
    batch=256,
    lr=1.5e-3,
    ema=0.99,
    canvas=128,
)
"""The recipe from which each arm differs by one change."""

FEW_PHOTOS = 12_500
"""Photos of the arms with fixed views. Each is seen 16 times, so that 4 or 8 fixed views are repeated."""


def arms(base: Options, few: int = FEW_PHOTOS) -> list[Options]:
    """The arms of the recipe search, the most important first. Weights with and without average come from each arm.

    Args:
        base: The recipe from which each arm differs by one change.
        few: Number of photos of the arms with fixed views, and of their own base.
    """
    made: list[Options] = []

    def arm(name: str, **change: object) -> None:
        made.append(dataclasses.replace(base, name=name, **change))  # type: ignore[arg-type]

    arm("base")
    arm("queue", similarity=0.5)
    arm("base-seed1", seed=1)
    arm("queue-seed1", seed=1, similarity=0.5)
    arm("components", dim=512, whitening=0.25)
    arm("regnet_x_400mf", student="regnet_x_400mf")
    arm("teacher-lite2", teachers=("effnet-lite:2",))
    arm("teacher-160px", teacher_px=160)
    arm("weight-decay-0.005", weight_decay=0.005)
    arm("mlp", projector=(2048,))
    arm("mixup", mixup=1.0)
    arm("resnet18", student="resnet18")
    arm("mobilenet_v3_large", student="mobilenet_v3_large")
    arm("ghostnet_100", student="timm:ghostnet_100")
    arm("few-live", limit=few)
    arm("few-k4", limit=few, fixed_views=4)
    arm("few-k8", limit=few, fixed_views=8)
    arm("teachers-lite0-lite2", teachers=("effnet-lite:0", "effnet-lite:2"), dim=1280)
    return made


def shared_views(options: Options) -> Options:
    """The options that decide the views and targets of a batch. Runs with the same ones share their targets."""
    return dataclasses.replace(
        options,
        name="",
        student="",
        projector=(),
        adapt=False,
        similarity=0.0,
        lr=1.0,
        weight_decay=0.0,
        schedule="cosine",
        decay=0.5,
        ema=0.0,
        precision="fp32",
    )


def adapted(student: str, px: int, views: int) -> Options:
    """EfficientNet-Lite adapted to `px`: `training/recipes/photos_kd.yaml` with new views in every epoch."""
    return Options(
        name=f"{student.replace(':', '')}-{px}-photos-kd",
        student=student,
        adapt=True,
        teachers=(student,),
        dim=512,
        whitening=0.25,
        sizes=((0.0, px),),
        encoder_px=px,
        min_scale=0.4,
        color=0.2,
        views=views,
        batch=256,
        min_side=96,
        lr=5e-4,
        weight_decay=0.005,
        schedule="wsd",
        decay=0.4,
        ema=0.998,
        canvas=192,
    )


def from_scratch(student: str, views: int) -> Options:
    """The long run: 64, then 96, then 128 px."""
    return Options(
        name=f"{student.split(':')[-1]}-photos-kd",
        student=student,
        sizes=((0.0, 64), (0.4, 96), (0.8, 128)),
        encoder_px=160,
        dim=512,
        whitening=0.25,
        similarity=0.5,
        views=views,
        batch=1024,
        lr=2.5e-3,
        schedule="wsd",
        decay=0.2,
        ema=0.999,
        canvas=128,
    )
