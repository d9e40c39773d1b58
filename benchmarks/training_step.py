"""The time of a training step outside the network's forward and backward, with cached and with live targets.

    python benchmarks/training_step.py IMAGENETTE [--px 96] [--batch 64] [--steps 16] [--rounds 3]

Runs `training.distill` and `training.pretrain` on 600 photos with a ResNet-18, two workers, warm caches and all
measurements within a step, and takes the median time between the starts of two steps. Between runs, on the idle
machine, the same network runs forward and backward on a batch in memory. Rounds alternate.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training import distill, pretrain
from training.cli import parser
from training.config import DistillConfig, PretrainConfig, TaskConfig
from training.module import MVMRModule
from training.student import make_encoder, projector

RECIPES = Path(__file__).parents[1] / "training" / "recipes"
PER_CLASS = 60
WARM = 6
"""Steps at the start of a run that are not counted: workers start, memory is mapped."""

QUIET = {"monitor.every_steps": 10**6, "monitor.linear_lr": 0}
RUNS: dict[str, tuple[type[TaskConfig], Callable[..., Any], dict[str, object]]] = {
    "distillation, cached teacher": (DistillConfig, distill, {}),
    "distillation, cached teacher, no monitors": (DistillConfig, distill, QUIET),
    "distillation, live teacher": (DistillConfig, distill, {"teacher.cached": "false"}),
    "distillation, cached teacher of 4 views": (DistillConfig, distill, {"teacher.view": "same", "views.k": 4}),
    "distillation, live teacher of the same view": (
        DistillConfig,
        distill,
        {"teacher.view": "same", "teacher.cached": "false"},
    ),
    "pretraining, cached representations": (PretrainConfig, pretrain, {}),
    "pretraining, cached representations, no monitors": (PretrainConfig, pretrain, QUIET),
    "pretraining, live representations": (PretrainConfig, pretrain, {"representations.cached": "false"}),
}


def some_photos(imagenette: Path, folder: Path) -> Path:
    """Links to a few photos of each class."""
    for category in sorted((imagenette / "train").iterdir()):
        (folder / category.name).mkdir(parents=True)
        for photo in sorted(category.iterdir())[:PER_CLASS]:
            (folder / category.name / photo.name).symlink_to(photo.resolve())
    return folder


def configured(kind: type[TaskConfig], options: dict[str, object]) -> TaskConfig:
    """A recipe with options changed."""
    file = "imagenette_kd.yaml" if kind is DistillConfig else "imagenette.yaml"
    read = parser(kind, None)
    words = [f"--{name}={value}" for name, value in options.items()]
    values = vars(read.instantiate(read.parse_args(["--config", str(RECIPES / file), *words])))
    return kind(**{name: value for name, value in values.items() if name in kind.__dataclass_fields__})


def step_seconds(run: Callable[..., Any], config: TaskConfig) -> float:
    """The median time from the start of one step to the next."""
    stamps: list[float] = []
    plain_step = MVMRModule.training_step

    def stamped(self: MVMRModule, *arguments: Any) -> torch.Tensor:
        stamps.append(time.perf_counter())
        return plain_step(self, *arguments)

    MVMRModule.training_step = stamped  # type: ignore[method-assign]
    try:
        run(config)
    finally:
        MVMRModule.training_step = plain_step  # type: ignore[method-assign]
    return statistics.median(b - a for a, b in zip(stamps[WARM:], stamps[WARM + 1 :], strict=False))


def network_seconds(config: TaskConfig, rounds: int = 8) -> float:
    """The median time of encoder and projector alone, forward and backward, on as many views."""
    encoder = make_encoder(config.student).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    head = projector(encoder.embedding_dim, config.student.projector)
    loss = config.loss  # type: ignore[attr-defined]
    views = 2 if max(loss.invariance, loss.variance, loss.views) > 0 else 1
    px = config.views.sizes[0].px
    images = torch.randn(config.optim.batch_size, 3, px, px).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        torch.stack([head(encoder(images)).square().mean() for _ in range(views)]).sum().backward()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("imagenette", type=Path)
    arguments.add_argument("--px", type=int, default=96)
    arguments.add_argument("--batch", type=int, default=64)
    arguments.add_argument("--steps", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    steps: dict[str, list[float]] = {name: [] for name in RUNS}
    network: dict[str, list[float]] = {name: [] for name in RUNS}
    with tempfile.TemporaryDirectory() as place:
        photos = some_photos(given.imagenette, Path(place) / "photos")
        for number in range(given.rounds + 1):  # the first fills the caches
            for name, (kind, run, changed) in RUNS.items():
                options = {
                    "data.train": photos,
                    "data.held_out": 0,
                    "data.cache": Path(place) / "cache",
                    "run.output": Path(place) / f"{number} {name}",
                    "views.sizes": f"[{{start: 0.0, px: {given.px}}}]",
                    "optim.batch_size": given.batch,
                    "optim.epochs": given.steps / (10 * PER_CLASS // given.batch),
                    **changed,
                }
                config = configured(kind, options)
                if number:
                    network[name].append(network_seconds(config))
                    steps[name].append(step_seconds(run, config))
                    print(f"{name}: step {steps[name][-1]:.3f} s, network {network[name][-1]:.3f} s", flush=True)
                elif "cached" in name and "no monitors" not in name:
                    run(config)
    print(f"\n{given.px} px, batch {given.batch}\n\n| run | step, ms | network, ms | outside it |")
    print("| --- | --- | --- | --- |")
    for name in RUNS:
        whole, inside = statistics.median(steps[name]), statistics.median(network[name])
        share = statistics.median(1 - b / a for a, b in zip(steps[name], network[name], strict=True))
        print(f"| {name} | {1000 * whole:.0f} | {1000 * inside:.0f} | {100 * share:.0f} % |")


if __name__ == "__main__":
    main()
