"""One run: from its options to weights. It continues from its last state where there is one."""

from __future__ import annotations

import dataclasses
import functools
import json
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.gpu_training.dev import DevSet, dev_sets, dev_vectors
from benchmarks.gpu_training.figures import Vectors, append_figures, background
from benchmarks.gpu_training.module import (
    SAMPLE_VIEWS,
    Answers,
    GpuModule,
    Kept,
    Views,
    fixed_targets,
    target_space,
)
from benchmarks.gpu_training.options import Options, shared_views
from benchmarks.gpu_training.pack import Canvases
from benchmarks.gpu_training.photos import DrawnViews, Photos, resized
from mvmr_zoo._io import write_whole
from training.callbacks import Every, Health, averaged_module
from training.checkpointing import FILE, check_same_run
from training.config import DistillConfig
from training.data import Split, stratified_split
from training.module import MVMRModule
from training.targets import Teacher, Teachers, TeacherSpace
from training.trainer import Setup, fit

RESULT, OPTIONS, SPACE, CURVE = "result.safetensors", "options.json", "space.safetensors", "curve.jsonl"
ALIGNMENT_VIEWS = 512
"""Views by whose features the dimensions of `aligned` are ordered."""


@dataclass(frozen=True)
class Material:
    """What all runs share.

    Args:
        pack: Folder of shards.
        canvases: The training photos.
        device: Device of the training.
    """

    pack: Path
    canvases: Canvases
    device: torch.device

    @functools.cached_property
    def photos(self) -> Photos:
        """All photos on the device."""
        return Photos(torch.from_numpy(self.canvases.pixels).to(self.device))


@dataclass(frozen=True)
class Outcome:
    """A run, finished or cut.

    Args:
        config: Its configuration.
        module: The trained module.
        weights: The state of the module, `averaged` and after the `last` step.
        space: The space of its targets.
        steps: Number of finished steps.
        finished: Whether these are all steps.
        seconds: Time of the training in this process.
        images_per_s: Views per second in the second half of it.
    """

    config: DistillConfig
    module: GpuModule
    weights: dict[str, dict[str, Tensor]]
    space: TeacherSpace
    steps: int
    finished: bool
    seconds: float
    images_per_s: float


class StopAt(pl.Callback):
    """Ends a run at a time of `time.monotonic`. `CheckpointWriter` writes the state, as it does on any SIGTERM."""

    def __init__(self, end: float) -> None:
        self._end = end

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Send SIGTERM to this process if the time is over."""
        if time.monotonic() > self._end and trainer.global_step < trainer.max_steps:
            signal.raise_signal(signal.SIGTERM)


class Clock(pl.Callback):
    """Notes the time of every step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        """Note the time. The training step has waited for the device."""
        self.times.append(time.monotonic())

    def images_per_s(self, batch: int) -> float:
        """Views per second in the second half of the steps."""
        late = self.times[len(self.times) // 2 :]
        return batch * (len(late) - 1) / (late[-1] - late[0]) if len(late) > 1 else 0.0


class Curve(pl.Callback):
    """Measures the averaged weights on the dev sets, and appends a line to the run's curve.

    Args:
        sets: The dev sets.
        every_steps: Optimizer steps between measurements.
        path: The file of the curve.
        batch: Views in a step.
        executor: Where retrieval is measured.
    """

    def __init__(self, sets: list[DevSet], every_steps: int, path: Path, batch: int, executor: Executor) -> None:
        self._sets = sets
        self._every = Every(every_steps, ends=False)
        self._path = path
        self._batch = batch
        self._executor = executor
        self.pending: list[Future[None]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Measure if it is time, and after the last step."""
        step = trainer.global_step
        if self._every.due(step, trainer.max_steps) or step == trainer.max_steps:
            averaged = averaged_module(trainer, pl_module)
            assert isinstance(averaged, MVMRModule)
            labels = {each.name: each.labels for each in self._sets}
            facts = {"views": step * self._batch}
            vectors = dev_vectors(averaged, self._sets)
            self.pending.append(self._executor.submit(append_figures, self._path, facts, vectors, labels))


def train(
    options: Options,
    material: Material,
    output: Path,
    *,
    end: float | None = None,
    kept: dict[Options, Kept] | None = None,
    callbacks: Sequence[pl.Callback] = (),
    allow_change: bool = False,
) -> Outcome:
    """Train until the end of the run or the end of the time.

    Args:
        options: The run.
        material: The photos.
        output: Folder of the run. A run that was cut continues from `last.ckpt` in it.
        end: Time of `time.monotonic` at which training stops. None is without limit.
        kept: Targets that runs share if they draw the same views. Those of this run are added.
        callbacks: Measurements.
        allow_change: Continue with other options if the saved state fits.
    """
    output.mkdir(parents=True, exist_ok=True)
    canvases, last = material.canvases, output / FILE
    rows = np.flatnonzero(canvases.sizes.min(axis=1) >= options.min_side)
    labels = canvases.images.labels[rows]
    split = Split(rows[stratified_split(labels, 0.0, options.seed, limit=options.limit).train], rows[:0])
    teachers = [_teacher(spec, options.teacher_px) for spec in options.teachers]
    facts = {
        "photos": len(split.train),
        "sources": [canvases.images.class_names[label] for label in np.unique(canvases.images.labels[split.train])],
        "target_dim": options.dim or teachers[0].dim,
    }
    config = options.config(str(output), **facts)
    resume = last.exists()
    if resume:
        check_same_run(last, config, canvases.identity, allow_change=allow_change)
    setup = Setup(data=canvases.images, split=split, identity=canvases.identity, resume_from=last if resume else None)
    plan = setup.plan(config)
    drawn = DrawnViews(canvases.sizes, split.train, config.views)
    views = Views(material.photos, drawn, plan, max(each.preprocess.crop_px for each in teachers))
    if kept is None:
        shared = Kept(_space(output, config, teachers, views))
    else:
        if shared_views(options) not in kept:
            kept[shared_views(options)] = Kept(_space(output, config, teachers, views), known={})
        shared = kept[shared_views(options)]
    teach = Teachers(teachers, shared.space)
    fixed = fixed_targets(teach, views, options.workers) if options.fixed_views else None
    torch.manual_seed(options.seed)
    module = GpuModule(config, views, Answers(teach, fixed, shared.known), facts["target_dim"]).to(material.device)
    if options.adapt and not resume:
        sample = enumerate(views.first(SAMPLE_VIEWS, options.workers))
        module.fit_projector(module.example(batch, number) for number, batch in sample)
    write_whole(output / OPTIONS, json.dumps({"options": dataclasses.asdict(options), **facts}, indent=1).encode())
    clock = Clock()
    stop = [] if end is None else [StopAt(end)]
    began = time.monotonic()
    try:
        fit(module, drawn, config, setup, plan, [Health(config.monitor), *callbacks, clock, *stop])
    except SystemExit:  # Lightning's exception after SIGTERM
        print("The run is not finished. The same command continues it.", flush=True)
    spent = time.monotonic() - began
    saved = torch.load(last, weights_only=True, map_location="cpu")
    averaged, steps = saved["state_dict"], int(saved["global_step"])
    return Outcome(
        config=config,
        module=module.to(material.device),
        weights={"averaged": averaged, "last": saved.get("current_model_state", averaged)},
        space=shared.space,
        steps=steps,
        finished=steps == plan.total_steps,
        seconds=spent,
        images_per_s=clock.images_per_s(options.batch),
    )


@functools.cache
def _teacher(spec: str, px: int | None) -> Teacher:
    return Teacher(spec, px)


def _space(output: Path, config: DistillConfig, teachers: list[Teacher], views: Views) -> TeacherSpace:
    """The space of the targets. It is stored with the run, because a GPU may compute it a little differently again."""
    path = output / SPACE
    if not path.exists():
        mean, projection = target_space(config.teacher, teachers, views, config.data.workers)
        save_file({"mean": mean} | ({} if projection is None else {"projection": projection}), path)
    stored = load_file(path)
    return TeacherSpace(stored["mean"], stored.get("projection"))


def vectors_of(outcome: Outcome, sets: list[DevSet], weights: str) -> Vectors:
    """The dev vectors with the `averaged` weights or those of the `last` step."""
    outcome.module.load_state_dict(outcome.weights[weights])
    return dev_vectors(outcome.module, sets)


@torch.no_grad()
def write_result(outcome: Outcome, output: Path) -> None:
    """Write what `convert` needs: averaged encoder and projector, the space, and the features of some views."""
    module = outcome.module
    module.load_state_dict(outcome.weights["averaged"])
    module.eval()
    px, features = outcome.config.views.encoder_px, []
    for drawn in module.views.first(ALIGNMENT_VIEWS, 0):
        features.append(module.encoder(module.normalize(resized(module.views.crops(drawn), px))).float())
    kept = {
        name: each for name, each in outcome.weights["averaged"].items() if name.startswith(("encoder.", "projector."))
    }
    kept |= {"features": torch.cat(features), "space.mean": outcome.space.mean}
    if outcome.space.projection is not None:
        kept["space.projection"] = outcome.space.projection
    save_file({name: each.cpu().contiguous() for name, each in kept.items()}, output / RESULT)
    stored = json.loads((output / OPTIONS).read_text())
    facts = {"views": outcome.steps * outcome.config.optim.batch_size, "device": device_name(module.device)}
    write_whole(output / OPTIONS, json.dumps(stored | facts, indent=1).encode())


def device_name(device: torch.device) -> str:
    """The name of the GPU, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def long_run(
    options: Options, material: Material, output: Path, *, end: float, measure_every: int, allow_change: bool
) -> None:
    """Train for a time, measure the curve, and write the averaged weights, whether the run has finished or not.

    Args:
        options: The run.
        material: The photos.
        output: Folder of the run.
        end: Time of `time.monotonic` at which training stops.
        measure_every: Views between measurements.
        allow_change: Continue with other options if the saved state fits.
    """
    config = options.config(str(output), photos=options.batch, sources=["photos"], target_dim=1)
    sets = dev_sets(material.pack / "dev", config.views)
    with background(1) as executor:
        curve = Curve(sets, max(1, measure_every // options.batch), output / CURVE, options.batch, executor)
        outcome = train(options, material, output, end=end, callbacks=[curve], allow_change=allow_change)
        write_result(outcome, output)
        for future in curve.pending:
            future.result()
    views = outcome.steps * options.batch
    state = "finished" if outcome.finished else "not finished"
    print(f"{views:,} of {options.views:,} views, {state}; {outcome.images_per_s:,.0f} views/s", flush=True)
