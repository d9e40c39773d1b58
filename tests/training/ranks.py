"""One optimiser step of a learner without batch norm, alone or under torchrun: `python ranks.py OUT`."""

from __future__ import annotations

import sys
import warnings

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from training.examples import Example
from training.learner import Learner
from training.loss import LossConfig
from training.objective import Objective
from training.plan import Draw, Plan, RemainingBatches

from training.config import DataConfig, OptimConfig, PretrainConfig, RunConfig, StudentConfig, ViewConfig

N = 8


class Generated(Dataset[Example]):
    """Examples that need no file."""

    def __getitem__(self, draw: Draw) -> Example:
        generator = torch.Generator().manual_seed(draw.photo)
        views = torch.rand(2, 3, 8, 8, generator=generator)
        references = {"pixels": torch.rand(5, generator=generator)}
        nothing = torch.empty(0)
        label, px, seed = (torch.tensor(value) for value in (draw.photo % 2, 8, draw.seed))
        return Example(views[0], nothing, (views[1] * 255).byte(), nothing, references, label, px, seed)


def main(output: str) -> None:
    warnings.simplefilter("ignore")
    plan = Plan(photos=N, batch_size=N, epochs=2, sizes=ViewConfig().sizes, seed=0)
    config = PretrainConfig(
        data=DataConfig(train="unused"),
        run=RunConfig(output=output, name="model"),
        student=StudentConfig(architecture="resnet8x4", projector=(6,)),
        optim=OptimConfig(name="sgd", peak_lr=0.5, weight_decay=0, warmup=0, batch_size=N),
    )
    torch.manual_seed(0)
    objective = Objective(
        loss=LossConfig(memory=N), weights={"pixels": 1.0}, regression=0.0, target="", target_mean=None
    )
    module = Learner(config, objective, {}, plan.total_steps)
    module.encoder = nn.Sequential(nn.Conv2d(3, 7, 3), nn.Tanh(), nn.Flatten(), nn.Linear(7 * 36, 256))
    devices = config.trainer.local_ranks

    class Steps(pl.LightningDataModule):
        def train_dataloader(self) -> DataLoader[Example]:
            share = RemainingBatches(plan, 0, rank=self.trainer.global_rank, ranks=self.trainer.world_size)
            return DataLoader(Generated(), batch_sampler=share)

    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_steps=plan.total_steps,
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, Steps())
    if trainer.is_global_zero:
        torch.save({"weights": module.state_dict(), "loss": module.seen.loss.total.detach()}, output)


if __name__ == "__main__":
    main(sys.argv[1])
