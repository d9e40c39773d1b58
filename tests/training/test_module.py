"""One training step: mixing, the terms of the loss, and two processes that are one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from mvmr_zoo.errors import TrainingError
from training.config import (
    DataConfig,
    DistillConfig,
    DistillLossConfig,
    RunConfig,
    StudentConfig,
    TeacherConfig,
    ViewConfig,
)
from training.data import Example
from training.losses import DistillationLoss
from training.module import MVMRModule

SCRIPT = Path(__file__).with_name("ranks.py")


class Seen(nn.Module):
    """An encoder that keeps what it reads."""

    embedding_dim = 12
    images: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.images = []

    def forward(self, images: Tensor) -> Tensor:
        self.images.append(images)
        return images.mean(dim=3).flatten(1)


def module(mixup: float, **more: object) -> MVMRModule:
    config = DistillConfig(
        data=DataConfig(train="unused"),
        run=RunConfig(output="unused", name="unused"),
        student=StudentConfig(architecture="resnet8x4", projector=(5,)),
        views=ViewConfig(mixup=mixup, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        teacher=TeacherConfig(view="same", cached=False),
        loss=DistillLossConfig(invariance=0, variance=0, views=0),
    )
    made = MVMRModule(config, DistillationLoss(invariance=0, variance=0, views=0), total_steps=1, **more)
    made._trainer = SimpleNamespace(world_size=1, global_step=0, global_rank=0)
    made.encoder, made.projector = Seen(), nn.Linear(12, 5)
    return made


def example(n: int = 6) -> Example:
    generator = torch.Generator().manual_seed(0)
    nothing = torch.empty(0)
    return Example(
        augmented=torch.rand(n, 3, 4, 4, generator=generator),
        color=nothing,
        other=nothing,
        other_color=nothing,
        plain=nothing,
        source=torch.randint(256, (n, 3, 4, 4), dtype=torch.uint8, generator=generator),
        targets={"teacher": torch.randn(n, 7, generator=generator)},
        mix=torch.rand(n, generator=generator),
        label=torch.arange(n),
    )


def naive_mix(rows: Tensor, shares: Tensor) -> Tensor:
    """Pairs of neighbors; the share of the first counts for both."""
    mixed = []
    for i in range(len(rows)):
        partner, share = (i + 1 if i % 2 == 0 else i - 1), float(shares[i - i % 2])
        mixed.append(share * rows[i] + (1 - share) * rows[partner])
    return torch.stack(mixed)


def test_images_and_targets_are_mixed_with_the_same_shares() -> None:
    batch, made = example(), module(1.0, live={})
    made.training_step(batch, 0)
    torch.testing.assert_close(made.encoder.images[0], naive_mix(batch.augmented, batch.mix))
    torch.testing.assert_close(made.record.targets["teacher"], naive_mix(batch.targets["teacher"], batch.mix))
    assert (made.record.targets["teacher"] - batch.targets["teacher"]).abs().mean() > 0.1


def test_a_live_teacher_sees_the_mixed_image() -> None:
    seen: list[Tensor] = []

    def teacher(images: Tensor) -> Tensor:
        seen.append(images)
        return images.flatten(1)

    batch, made = example(), module(1.0, live={"teacher": teacher})
    made.training_step(batch, 0)
    torch.testing.assert_close(seen[0], naive_mix(batch.source.float() / 255, batch.mix))
    torch.testing.assert_close(made.record.targets["teacher"], seen[0].flatten(1))


def test_without_mixup_nothing_is_mixed() -> None:
    batch, made = example(), module(0.0, live={})
    made.training_step(batch, 0)
    assert torch.equal(made.encoder.images[0], batch.augmented)
    assert torch.equal(made.record.targets["teacher"], batch.targets["teacher"])


def test_a_plain_view_that_no_term_reads_is_not_encoded() -> None:
    batch, made = example(), module(0.0, live={})
    made.training_step(batch, 0)
    assert len(made.encoder.images) == 1
    assert made.record.z0 is None
    made.training_step(batch._replace(plain=torch.zeros(6, 3, 4, 4, dtype=torch.uint8)), 0)
    assert len(made.encoder.images) == 3


def test_a_loss_that_is_not_finite_names_its_terms() -> None:
    made = module(0.0, live={})
    batch = example()
    batch.targets["teacher"][0] = torch.nan
    with pytest.raises(TrainingError, match="became NaN or infinite at step 0, in teacher"):
        made.training_step(batch, 0)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, dict[str, dict[str, Tensor]]]]:
    """What `ranks.py` saved, by number of processes."""
    found = {}
    for processes in (1, 2):
        output = tmp_path_factory.mktemp("ranks") / "steps.pt"
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"] if processes > 1 else []
        command = [sys.executable, "-W", "ignore", *launch, str(SCRIPT), str(output)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[2])
        assert done.returncode == 0, done.stderr
        found[processes] = torch.load(output, weights_only=True)
    return found


@pytest.mark.parametrize("case", ["pretrain", "distill", "mixup"])
def test_two_processes_take_the_steps_of_one(
    case: str, steps: dict[int, dict[str, dict[str, dict[str, Tensor]]]]
) -> None:
    one, two = (steps[processes][case] for processes in (1, 2))
    expected = {
        "pretrain": {"invariance", "variance", "views", "pixels", "augmented_pixels"},
        "distill": {"invariance", "variance", "views", "teacher", "regression", "similarity"},
        "mixup": {"teacher", "regression", "similarity"},
    }
    assert set(one["terms"]) == expected[case]
    for part in ("terms", "weights"):
        for name, value in one[part].items():
            torch.testing.assert_close(two[part][name], value, rtol=0, atol=1e-5, msg=f"{case} {name}")
    moved = max((one["weights"][name] - value).abs().max() for name, value in one["before"].items())
    assert moved > 1e-3


def test_wide_live_targets_are_exchanged_as_sketches(steps: dict[int, dict[str, dict[str, dict[str, Tensor]]]]) -> None:
    """Squared distances vary by sqrt(2 / 8192) = 1.6 %, so that a correlation keeps two digits."""
    one, two = (steps[processes]["wide"] for processes in (1, 2))
    assert one["targets"]["wide"].shape[1] > 8192 == two["targets"]["wide"].shape[1]
    ratio = (torch.pdist(two["targets"]["wide"]) / torch.pdist(one["targets"]["wide"])) ** 2
    assert 0 < (ratio - 1).abs().max() < 5 * (2 / 8192) ** 0.5
    torch.testing.assert_close(two["terms"]["wide"], one["terms"]["wide"], rtol=0, atol=0.016)
    assert two["terms"]["wide"] != one["terms"]["wide"]
