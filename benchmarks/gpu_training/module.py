"""The training module, which makes its views and the teacher's embeddings on the device."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.gpu_training.photos import DrawnView, DrawnViews, Photos, resized
from training.config import DistillConfig, TeacherConfig
from training.data import Draw, Example, Plan
from training.losses import DistillationLoss
from training.losses.regression import TEACHER
from training.module import MVMRModule
from training.targets import Teacher, Teachers, TeacherSpace, fit_space

SAMPLE_VIEWS = 8192
"""Views for the space of the targets, and for the first projector."""


@dataclass(frozen=True)
class Answers:
    """The teachers' targets of a run.

    Args:
        teach: The teachers.
        fixed: `(N * k, T)` float16, the targets of the K fixed views of every photo. None without fixed views.
        known: Targets by batch, kept for runs that draw the same views. None keeps none.
    """

    teach: Teachers
    fixed: Tensor | None = None
    known: dict[int, Tensor] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Answers:
        """Return the answers themselves, so that the averaged copy of a training module shares them."""
        return self

    def __call__(self, drawn: DrawnView, number: int, crops: Tensor) -> Tensor:
        """The targets `(N, T)` of batch `number`."""
        if self.fixed is not None:
            return self.fixed[drawn.target_row].float()
        if self.known is None:
            return self.teach(crops)
        if number not in self.known:
            self.known[number] = self.teach(crops).half()
        return self.known[number].float()


@dataclass(frozen=True)
class Views:
    """Draws views on the CPU and crops them on the device.

    Args:
        photos: The photos.
        drawn: The views of the run's training photos.
        plan: The batches of the run.
        teacher_px: Side of the largest teacher's images.
    """

    photos: Photos
    drawn: DrawnViews
    plan: Plan
    teacher_px: int

    def __deepcopy__(self, memo: dict[int, Any]) -> Views:
        """Return the views themselves, so that the averaged copy of a training module shares them."""
        return self

    def crops(self, drawn: DrawnView) -> Tensor:
        """The crops `(N, 3, S, S)` uint8, of the teachers' size or larger."""
        return self.photos.crop(drawn, max(self.teacher_px, self.photos.pixels.shape[-1]))

    def batches(self, batches: list[list[Draw]], workers: int) -> Iterator[DrawnView]:
        """The views of some batches, on the device."""
        for batch in DataLoader(self.drawn, batch_sampler=batches, num_workers=workers):
            yield DrawnView(*(each.to(self.photos.pixels.device) for each in batch))

    def first(self, count: int, workers: int) -> Iterator[DrawnView]:
        """The first batches of the run, at least `count` views if the run has them."""
        number = min(math.ceil(count / self.plan.batch_size), self.plan.total_batches)
        return self.batches([self.plan.batch(i) for i in range(number)], workers)


class GpuModule(MVMRModule):
    """`MVMRModule` for a batch of `DrawnView`.

    Args:
        config: Configuration of the run.
        views: The views of the run.
        answers: The targets of the run.
        dim: Dimension of the targets.
    """

    def __init__(self, config: DistillConfig, views: Views, answers: Answers, dim: int) -> None:
        # with mixup, the teacher receives the mixed images
        live = {TEACHER: answers.teach} if config.views.mixup > 0 else {}
        loss = DistillationLoss(teacher_dim=dim, **dataclasses.asdict(config.loss))
        super().__init__(config, loss, live, views.plan.total_steps)
        self.views = views
        self.answers = answers

    def training_step(self, batch: DrawnView, batch_idx: int) -> Tensor:  # type: ignore[override]
        """The loss of one batch."""
        return super().training_step(self.example(batch, batch_idx), batch_idx)

    @torch.no_grad()
    def example(self, drawn: DrawnView, number: int) -> Example:
        """The views and targets of batch `number`."""
        nothing = torch.empty(0)
        with torch.autocast(drawn.affine.device.type, enabled=False):
            crops = self.views.crops(drawn)
            source = resized(crops, self.views.teacher_px)
            targets = {} if self.live else {TEACHER: self.answers(drawn, number, source)}
            augmented = resized(crops, int(drawn.px[0]))
        return Example(
            augmented=augmented,
            color=drawn.color,
            other=nothing,
            other_color=nothing,
            plain=nothing,
            source=source if self.live else nothing,
            targets=targets,
            mix=drawn.mix,
            label=torch.full_like(drawn.photo, -1),
        )


def target_space(config: TeacherConfig, teachers: list[Teacher], views: Views, workers: int) -> TeacherSpace:
    """The space of the targets, from the teachers' embeddings of the first views of the run."""
    parts: list[list[Tensor]] = [[] for _ in teachers]
    whole = TeacherSpace(torch.zeros(sum(teacher.dim for teacher in teachers)))
    teach = Teachers(teachers, whole)
    for drawn in views.first(SAMPLE_VIEWS, workers):
        joined = teach(resized(views.crops(drawn), views.teacher_px)).cpu()
        for part, rows in zip(parts, joined.split([teacher.dim for teacher in teachers], dim=1), strict=True):
            part.append(rows)
    samples = [torch.cat(part) for part in parts]
    if config.dim is None:
        return TeacherSpace(samples[0].mean(dim=0))
    return fit_space([sample.numpy() for sample in samples], config.dim, config.whitening)


def fixed_targets(teach: Teachers, views: Views, workers: int) -> Tensor:
    """The targets of the K fixed views of every training photo: `(N * K, T)` float16, at `DrawnView.target_row`."""
    plan, k = views.plan, views.drawn.config.k
    px = views.drawn.config.largest_px
    draws = [Draw(photo, px, 0, epoch) for epoch in range(k) for photo in range(len(views.drawn.rows))]
    batches = [draws[start : start + plan.batch_size] for start in range(0, len(draws), plan.batch_size)]
    table: Tensor | None = None
    for drawn in views.batches(batches, workers):
        rows = teach(resized(views.crops(drawn), views.teacher_px)).half()
        if table is None:
            table = rows.new_zeros(len(views.photos.pixels) * k, rows.shape[1])
        table[drawn.target_row] = rows
    assert table is not None
    return table


@dataclass(frozen=True)
class Kept:
    """What runs that draw the same views share.

    Args:
        space: The space of the targets.
        known: Targets by batch. None keeps none.
    """

    space: TeacherSpace
    known: dict[int, Tensor] | None = None
