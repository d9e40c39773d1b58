"""Steps of modules without batch norm, alone or under torchrun: `python ranks.py OUT`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from training.config import (
    DataConfig,
    DistillConfig,
    DistillLossConfig,
    OptimConfig,
    PretrainConfig,
    RunConfig,
    StudentConfig,
    TaskConfig,
    TeacherConfig,
    ViewConfig,
)
from training.data import Draw, Example, Plan, RemainingBatches
from training.losses import DistillationLoss, MVMRLoss
from training.module import MVMRModule

N = 8
STEPS = 3
ONE_VIEW = {"invariance": 0.0, "variance": 0.0, "views": 0.0}


class Generated(Dataset[Example]):
    """Examples that need no file."""

    def __init__(self, target: str, *, with_plain: bool) -> None:
        self.target = target
        self.with_plain = with_plain

    def __getitem__(self, draw: Draw) -> Example:
        generator = torch.Generator().manual_seed(draw.photo)
        views = torch.rand(4, 3, 8, 8, generator=generator)
        nothing = torch.empty(0)
        return Example(
            augmented=views[0],
            color=nothing,
            other=views[1],
            other_color=nothing,
            plain=(views[2] * 255).byte() if self.with_plain else nothing,
            source=(views[3] * 255).byte(),
            targets={self.target: torch.randn(6, generator=generator)} if self.target else {},
            mix=torch.rand((), generator=generator),
            label=torch.tensor(draw.photo % 2),
        )


def wide(images: Tensor) -> Tensor:
    """10,000 fixed random combinations of the pixels."""
    matrix = torch.randn(192, 10_000, generator=torch.Generator().manual_seed(1))
    return (images.float() / 255).flatten(1) @ matrix


def run(
    config: TaskConfig,
    loss: MVMRLoss,
    dataset: Generated,
    *,
    live: Mapping[str, Callable[[Tensor], Tensor]],
    second_view: bool = False,
) -> dict[str, dict[str, Tensor]] | None:
    """A few steps; what the first process saw last."""
    plan = Plan(photos=N, batch_size=N, epochs=STEPS, sizes=config.views.sizes, seed=0)
    torch.manual_seed(0)
    module = MVMRModule(config, loss, live, plan.total_steps, second_view=second_view)
    module.encoder = nn.Sequential(nn.Conv2d(3, 7, 3), nn.Tanh(), nn.Flatten(), nn.Linear(7 * 36, 256))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    devices = config.trainer.local_ranks

    class Steps(pl.LightningDataModule):
        def train_dataloader(self) -> DataLoader[Example]:
            share = RemainingBatches(plan, 0, rank=self.trainer.global_rank, ranks=self.trainer.world_size)
            return DataLoader(dataset, batch_sampler=share)

    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_steps=plan.total_steps,
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, Steps())
    if not trainer.is_global_zero:
        return None
    record = module.record
    return {"weights": module.state_dict(), "before": before, "terms": record.loss.terms, "targets": record.targets}


def main(output: str) -> None:
    warnings.simplefilter("ignore")
    common = {
        "data": DataConfig(train="unused"),
        "run": RunConfig(output=output, name="model"),
        "student": StudentConfig(architecture="resnet8x4", projector=(6,)),
        "optim": OptimConfig(name="sgd", peak_lr=0.02, weight_decay=0, warmup=0, batch_size=N),
    }
    plain, mixed = (
        PretrainConfig(**common),
        DistillConfig(
            **common,
            views=ViewConfig(mixup=1.0),
            teacher=TeacherConfig(view="same", cached=False),
            loss=DistillLossConfig(**ONE_VIEW),
        ),
    )
    two_terms = {"regression": 1.0, "similarity": 1.0, "memory_bank": 12, "teacher_dim": 6}
    mean = torch.full((6,), 0.1)
    found = {
        "pretrain": run(
            plain,
            MVMRLoss({"pixels": 1.0, "augmented_pixels": 0.5}),
            Generated("pixels", with_plain=True),
            live={},
            second_view=True,
        ),
        "distill": run(
            plain, DistillationLoss(**two_terms, teacher_mean=mean), Generated("teacher", with_plain=True), live={}
        ),
        "mixup": run(
            mixed,
            DistillationLoss(**two_terms, **ONE_VIEW),
            Generated("", with_plain=False),
            live={"teacher": lambda images: torch.tanh(images.flatten(1)[:, ::32] * 4 - 2)},
        ),
        "wide": run(plain, MVMRLoss({"wide": 1.0}), Generated("", with_plain=True), live={"wide": wide}),
    }
    if found["pretrain"] is not None:
        torch.save(found, output)


if __name__ == "__main__":
    main(sys.argv[1])
