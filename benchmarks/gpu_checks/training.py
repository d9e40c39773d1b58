"""Trains on CUDA with the functions of `training`, and compares the first loss with that of fp32 on the CPU."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_checks.bench import Bench, Figures, SkippedError, expect

TOLERANCES = {"fp32": 1e-3, "bf16": 5e-3, "fp16": 1e-3}
"""Largest relative difference of the first step's loss from fp32 on the CPU, with equal weights and views.

One rounding is up to 2^-9 (0.002) of a value in bf16. It is up to 2^-12 (0.0002) in fp16 and TF32. cuDNN uses TF32 for
fp32. Rounding errors of single values cancel in the statistics of a batch: bf16 on a CPU differs by 1e-4 with 32 images
and by 1e-3 with 8. The tolerances are a few times the largest rounding. The loss itself is always computed in fp32.
"""
WARM = 5
"""Steps that are not timed."""
NAME = "encoder"


class Step(NamedTuple):
    """A training step: its number from 0, when it began, its loss and the loss's terms."""

    number: int
    began: float
    total: Tensor
    terms: dict[str, Tensor]


class _EnoughError(Exception):
    """Ends a run whose required steps are done."""


def train(config: Any, *, stop_at: int = -1, terminate_at: int = -1, resume: bool = False) -> list[Step]:
    """Run `training.pretrain` or `training.distill`, and return its steps.

    Args:
        config: PretrainConfig or DistillConfig.
        stop_at: Stop without a result after the loss of this step. -1 runs to the finished checkpoint.
        terminate_at: Send SIGTERM to this process in this step. -1 disables it.
        resume: Continue the run.

    Raises:
        DifferenceError: A loss is not finite.
    """
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    import training
    from training.module import MVMRModule

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its import sets INFO
    steps: list[Step] = []
    plain = MVMRModule.training_step

    def recorded(self: MVMRModule, *arguments: Any) -> Tensor:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        began, number = time.perf_counter(), self.global_step
        loss = plain(self, *arguments)
        steps.append(Step(number, began, *self.record.loss))
        if number == stop_at:
            raise _EnoughError
        if number == terminate_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    run: Callable[..., Any] = training.distill if isinstance(config, training.DistillConfig) else training.pretrain
    MVMRModule.training_step = recorded  # type: ignore[assignment,method-assign]
    try:
        with contextlib.suppress(_EnoughError, SIGTERMException):
            run(config, resume=resume)
    finally:
        MVMRModule.training_step = plain  # type: ignore[method-assign]
    expect(all(step.total.isfinite() for step in steps), "a loss is not finite")
    return steps


def configured(
    bench: Bench,
    name: str,
    device: str,
    *,
    precision: str = "fp32",
    steps: int = 20,
    **more: Any,
) -> Any:
    """A run of the paper's five representations, computed in every step, with color on the device.

    Args:
        bench: Sizes. Quick runs train a ResNet-8 for 6 steps, others a ResNet-18 for `steps`.
        name: Name of the output folder.
        device: `cpu` or `cuda`.
        precision: See TrainerConfig.
        steps: Optimizer steps.
        **more: Further sections, and the options `mixup`, `projector`, `ema` and `compile`. With `teacher`, the run is
            a distillation.
    """
    from training import config as c
    from training.data import AugmentConfig
    from training.data.sampler import SizeStage

    total = 6 if bench.quick else steps
    return (c.DistillConfig if "teacher" in more else c.PretrainConfig)(
        data=c.DataConfig(train=str(bench.photos[0].parent), held_out=0.0, workers=_workers(bench)),
        run=c.RunConfig(output=str(bench.folder / f"{name}-{device}"), name=NAME),
        views=c.ViewConfig(
            sizes=(SizeStage(start=0.0, px=bench.px),),
            encoder_px=bench.px,
            augment=AugmentConfig(where="device"),
            mixup=more.pop("mixup", 0.0),
        ),
        student=c.StudentConfig(
            architecture="resnet8" if bench.quick else "resnet18",
            projector=more.pop("projector", (32, 32) if bench.quick else (2048, 1280)),
        ),
        optim=c.OptimConfig(
            batch_size=bench.batch,
            epochs=total * bench.batch / len(bench.photos),
            warmup=0.0,
            ema=more.pop("ema", 0.0),
        ),
        monitor=c.MonitorConfig(every_steps=10**6, knn_every_epochs=0, linear_lr=0),
        trainer=c.TrainerConfig(
            accelerator=device,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            compile=more.pop("compile", False),
        ),
        **more,
    )


def pretrain_steps(bench: Bench, precision: str) -> Figures:
    """Pretraining in one precision: the first loss, the speed, and the finished encoder."""
    if precision == "fp16" and bench.device != "cuda":
        raise SkippedError("fp16 needs CUDA")
    steps_wanted = 60 if precision == "bf16" else 20
    config = configured(bench, f"pretrain-{precision}", bench.device, precision=precision, steps=steps_wanted)
    steps = train(config)
    figures = _compared(steps[0], _reference(bench), precision) | _speed(bench, steps)
    return figures | _finished(bench, config)


def distillation(bench: Bench) -> Figures:
    """bf16 with a live teacher of the same views, mixup, a moving average of the weights, and the similarity term."""
    from mvmr_zoo.architectures import BACKBONES
    from training.config import DistillLossConfig, TeacherConfig

    architecture = "resnet8" if bench.quick else "resnet18"
    options: dict[str, Any] = {
        "teacher": TeacherConfig(spec=bench.untrained(architecture, bench.px), view="same", cached=False),
        "loss": DistillLossConfig(
            invariance=0, variance=0, views=0, teacher=1, regression=1, similarity=1, memory_bank=4 * bench.batch
        ),
        "projector": (BACKBONES[architecture][1],),  # one linear layer gives the finished encoder `aligned`
        "mixup": 1.0,
        "ema": 0.9,
    }
    config = configured(bench, "distill", bench.device, precision="bf16", **options)
    steps = train(config)
    expected = train(configured(bench, "distill-reference", "cpu", **options), stop_at=0)[0]
    expect("similarity" in steps[-1].terms, f"the terms are {sorted(steps[-1].terms)}, without similarity")
    figures = _compared(steps[0], expected, "bf16") | _speed(bench, steps)
    return figures | _finished(bench, config, output="aligned")


def resume(bench: Bench) -> Figures:
    """Stop a run by SIGTERM in its fourth of six steps and resume it. Its last loss equals that of an unstopped run.

    Batch norm and Adam amplify differences in the order of sums, so the last loss has a wider tolerance.
    """
    config = configured(bench, "resume", bench.device, steps=6)
    stopped = [step.number for step in train(config, terminate_at=3)]
    resumed = train(config, resume=True)
    whole = train(configured(bench, "resume-reference", bench.device, steps=6), stop_at=5)
    expect(stopped == [0, 1, 2, 3], f"the stopped run made the steps {stopped}, not 0 to 3")
    numbers = [step.number for step in resumed]
    expect(numbers == [4, 5], f"the resumed run made the steps {numbers}, not 4 and 5")
    last, expected = resumed[-1].total.item(), whole[-1].total.item()
    difference = abs(last - expected) / abs(expected)
    expect(difference <= 0.03, f"the last loss is {last:.4f} after a resume and {expected:.4f} without one")
    return {"last_loss": last, "last_loss_unstopped": expected, "relative_difference": difference}


def ddp(bench: Bench) -> Figures:
    """One process with Lightning's DDP strategy, which the trainer uses for two or more processes.

    DDP reduces gradients through NCCL. The exchange of embeddings and of batch norm statistics is not covered, because
    it needs two or more processes.
    """
    import pytorch_lightning as pl
    import torch.distributed as dist

    plain, found, environment = pl.Trainer, [], dict(os.environ)
    cuda = bench.device == "cuda"

    def distributed(**options: Any) -> pl.Trainer:
        found.append(plain(**options | {"strategy": "ddp", "sync_batchnorm": cuda}))
        return found[-1]

    pl.Trainer = distributed  # type: ignore[assignment,misc]
    try:
        config = configured(bench, "ddp", bench.device, precision="bf16")
        steps = train(config)
        backend = dist.get_backend()
    finally:
        pl.Trainer = plain  # type: ignore[misc]
        if dist.is_initialized():
            dist.destroy_process_group()
        for name in os.environ.keys() - environment.keys():  # Lightning leaves LOCAL_RANK and others behind
            del os.environ[name]
    strategy = type(found[0].strategy).__name__
    expect(strategy == "DDPStrategy", f"the strategy is {strategy}")
    expect(backend == ("nccl" if cuda else "gloo"), f"the backend is {backend}")
    figures = _compared(steps[0], _reference(bench), "bf16") | _speed(bench, steps)
    return {"backend": backend} | figures | _finished(bench, config)


def compiled(bench: Bench) -> Figures:
    """`trainer.compile`: the time of the first step, which compiles, and the speed after it."""
    if bench.device != "cuda" and bench.quick:
        raise SkippedError("compiling takes too long for a quick rehearsal")
    from torch._dynamo.utils import counters

    config = configured(bench, "compile", bench.device, precision="bf16", compile=True)
    counters.clear()
    steps = train(config)
    expect(counters["frames"]["ok"] > 0, "torch.compile compiled nothing")
    figures = {"first_step_s": steps[1].began - steps[0].began} | _compared(steps[0], _reference(bench), "bf16")
    return figures | _speed(bench, steps) | _finished(bench, config)


@functools.cache
def _reference(bench: Bench) -> Step:
    """The first step of pretraining in fp32 on the CPU."""
    return train(configured(bench, "reference", "cpu"), stop_at=0)[0]


def _compared(first: Step, expected: Step, precision: str) -> Figures:
    """The first loss on the device and on the CPU. Raises DifferenceError if they differ by more than the tolerance."""
    expect(
        first.terms.keys() == expected.terms.keys(),
        f"the terms are {sorted(first.terms)}, not {sorted(expected.terms)}",
    )
    loss, reference, tolerance = first.total.item(), expected.total.item(), TOLERANCES[precision]
    difference = abs(loss - reference) / abs(reference)
    expect(difference <= tolerance, f"the first loss is {loss:.5f}, {reference:.5f} on the CPU; at most {tolerance:g}")
    each = {name: abs(term.item() - expected.terms[name].item()) for name, term in first.terms.items()}
    worst = max(each, key=each.__getitem__)
    return {
        "first_loss": loss,
        "first_loss_cpu_fp32": reference,
        "relative_difference": difference,
        "tolerance": tolerance,
        "largest_term_difference": {worst: each[worst]},
    }


def _speed(bench: Bench, steps: list[Step]) -> Figures:
    """Images per second including file reads, and the fastest tenth of the steps, whose photos were loaded already."""
    began = [step.began for step in steps[min(WARM, len(steps) - 2) :]]
    times = np.diff(began)
    return {
        "last_loss": steps[-1].total.item(),
        "batch": bench.batch,
        "px": bench.px,
        "workers": _workers(bench),
        "images_per_s": bench.batch * len(times) / float(times.sum()),
        "median_step_ms": 1000 * statistics.median(times.tolist()),
        "fastest_step_ms": 1000 * float(np.quantile(times, 0.1)),
    }


def _finished(bench: Bench, config: Any, output: str = "features") -> Figures:
    """Compare the embeddings of the finished checkpoint folder on the device with those on the CPU."""
    import mvmr_zoo

    folder = Path(config.run.output) / NAME
    here, there = (
        mvmr_zoo.load(folder, device=device, runtime="torch", output=output).embed(bench.photos[:8])  # type: ignore[arg-type]
        for device in (bench.device, "cpu")
    )
    cosine = float((here * there).sum(axis=1).min())
    expect(cosine >= 0.999, f"the finished encoder's embeddings have cosine {cosine:.5f} with the CPU's")
    return {"finished_min_cosine": cosine}


def _workers(bench: Bench) -> int:
    return 0 if bench.quick else min(8, os.cpu_count() or 1)
