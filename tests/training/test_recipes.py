"""The recipes: that each can be read, and that the paper's have the values of its released code.

Source: https://github.com/vkinakh/mv-mr, its eight configurations and what its code fixes.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from mvmr_zoo.datasets import open_images
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.models.catalog import CATALOG, PREPROCESSING
from training.cli import parser
from training.config import DistillConfig, FinetuneConfig, OptimConfig, PretrainConfig, TaskConfig
from training.data.subsets import stratified_split, subset_file
from training.data.views import kernel_px
from training.optimizer import lr_factor, make_optimizer
from training.student import projector
from training.targets.representations import build_representation

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "training" / "recipes"
RECIPES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))

GROUPS = {
    "ssl": ("stl10", "imagenet", "cifar20"),
    "kd": ("imagenet_clip_kd", "stl10_clip_kd", "cifar100_clip_kd"),
    "semi": ("imagenet_semi1", "imagenet_semi10"),
    "ours": (
        "cifar10", "imagenette", "imagenette_kd", "imagenette_kd_cached_views", "imagenette_kd_same_view",
        "imagenette_semi1", "imagenette_semi10", "photos_kd",
    ),
}  # fmt: skip
GROUPS["mvmr"] = (*GROUPS["ssl"], *GROUPS["kd"])
GROUPS["paper"] = (*GROUPS["mvmr"], *GROUPS["semi"])
GROUPS["small"] = ("stl10", "cifar20", "cifar100_clip_kd")
"""Names of several recipes, for the tables below."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR = ((0.491, 0.482, 0.447), (0.247, 0.243, 0.261))
FIVE = ("pixels", "scattering", "hog", "local_deviation", "augmented_pixels")
ALL_OF_THE_PHOTO = "the photo as it is"
RESIZED_256 = "short side 256, center 224"

RELEASED: tuple[tuple[str, str, object], ...] = (
    # optimizer
    ("paper", "optim.name", "adam"),
    ("paper", "optim.weight_decay", 1e-6),
    ("paper", "optim.decay_vectors", True),
    ("paper", "optim.clip_norm", None),
    ("paper", "optim.ema", 0.0),
    ("paper", "optim.peak_lr", 1e-4),
    ("cifar20", "optim.peak_lr", 2e-4),
    ("paper", "optim.batch_size", 256),
    ("cifar20", "optim.batch_size", 512),
    ("paper", "optim.accumulate", 1),
    ("imagenet", "optim.accumulate", 8),
    # schedule
    ("paper", "optim.schedule", "cosine"),
    ("ssl", "optim.epochs", 1000),
    ("kd", "optim.epochs", 200),
    ("semi", "optim.epochs", 100),
    ("mvmr", "warm-up epochs", 10),
    ("semi", "warm-up epochs", 0),
    ("ssl", "optim.warmup_shape", "linear"),
    ("kd", "optim.warmup_shape", "constant"),
    ("ssl", "first learning rate", 1e-6),
    ("ssl", "last learning rate", 1e-6),
    ("kd", "last learning rate", 0.0),
    ("semi", "last learning rate", 0.0),
    # machine and monitors
    ("paper", "trainer.precision", "fp16"),
    ("paper", "run.seed", 0),
    ("paper", "data.workers", 16),
    ("paper", "monitor.knn_every_epochs", 1),
    ("mvmr", "monitor.every_steps", 100),
    ("mvmr", "monitor.linear_lr", 1e-4),
    # images
    ("stl10", "data.train", "stl10:train+unlabeled"),
    ("imagenet", "data.train", "imagenet/train"),
    ("cifar20", "data.train", "cifar20"),
    ("stl10_clip_kd", "data.train", "stl10:train+unlabeled"),
    ("imagenet_clip_kd", "data.train", "imagenet/train"),
    ("cifar100_clip_kd", "data.train", "cifar100"),
    ("semi", "data.train", "imagenet/train"),
    ("paper", "data.held_out", 0.0),
    ("paper", "data.limit", None),
    ("imagenet_semi1", "share", 0.01),
    ("imagenet_semi10", "share", 0.1),
    ("semi", "label_smoothing", 0.0),
    # plain view
    ("paper", "sizes", (224,)),
    ("stl10", "sizes", (96,)),
    ("stl10_clip_kd", "sizes", (96,)),
    ("cifar20", "sizes", (32,)),
    ("cifar100_clip_kd", "sizes", (32,)),
    ("paper", "plain view", RESIZED_256),
    ("stl10", "plain view", ALL_OF_THE_PHOTO),
    ("stl10_clip_kd", "plain view", ALL_OF_THE_PHOTO),
    ("cifar20", "plain view", ALL_OF_THE_PHOTO),
    ("cifar100_clip_kd", "plain view", ALL_OF_THE_PHOTO),
    ("paper", "normalization", IMAGENET),
    ("cifar20", "normalization", CIFAR),
    ("cifar100_clip_kd", "normalization", CIFAR),
    # augmented view: named `custom` there, `paper` here
    ("paper", "views.augment.policy", "paper"),
    ("paper", "views.augment.parameters.crop", "resized"),
    ("paper", "views.augment.parameters.min_scale", 0.08),
    ("paper", "views.augment.parameters.interpolation", "bilinear"),
    ("paper", "views.augment.parameters.flip", 0.5),
    ("paper", "views.augment.parameters.brightness", 0.8),
    ("paper", "views.augment.parameters.contrast", 0.8),
    ("paper", "views.augment.parameters.saturation", 0.8),
    ("paper", "views.augment.parameters.hue", 0.2),
    ("paper", "views.augment.parameters.jitter", 0.8),
    ("paper", "views.augment.parameters.gray", 0.2),
    ("paper", "views.augment.parameters.blur", 1.0),
    ("paper", "blur kernel", 23),
    ("stl10", "blur kernel", 9),
    ("stl10_clip_kd", "blur kernel", 9),
    ("cifar20", "blur kernel", 3),
    ("cifar100_clip_kd", "blur kernel", 3),
    ("cifar20", "views.augment.policy", "cifar20"),
    ("cifar20", "views.augment.parameters.min_scale", 0.2),
    ("cifar20", "views.augment.parameters.interpolation", "bicubic"),
    ("cifar20", "views.augment.parameters.brightness", 0.4),
    ("cifar20", "views.augment.parameters.contrast", 0.4),
    ("cifar20", "views.augment.parameters.saturation", 0.4),
    ("cifar20", "views.augment.parameters.hue", 0.1),
    ("cifar20", "views.augment.parameters.gray", 0.1),
    ("cifar20", "views.augment.parameters.blur", 0.0),
    ("cifar100_clip_kd", "views.augment.policy", "cifar"),
    ("cifar100_clip_kd", "views.augment.parameters.crop", "padded"),
    ("cifar100_clip_kd", "views.augment.parameters.min_scale", 1.0),
    ("cifar100_clip_kd", "views.augment.parameters.brightness", 0.0),
    ("cifar100_clip_kd", "views.augment.parameters.contrast", 0.0),
    ("cifar100_clip_kd", "views.augment.parameters.saturation", 0.0),
    ("cifar100_clip_kd", "views.augment.parameters.hue", 0.0),
    ("cifar100_clip_kd", "views.augment.parameters.jitter", 0.0),
    ("cifar100_clip_kd", "views.augment.parameters.gray", 0.0),
    ("cifar100_clip_kd", "views.augment.parameters.blur", 0.0),
    ("paper", "views.k", 0),
    ("paper", "views.mixup", 0.0),
    # second augmented view
    ("ssl", "views.second_view.parameters.min_scale", 0.08),
    ("ssl", "views.second_view.parameters.brightness", 0.8),
    ("ssl", "views.second_view.parameters.contrast", 0.8),
    ("ssl", "views.second_view.parameters.saturation", 0.8),
    ("ssl", "views.second_view.parameters.hue", 0.2),
    ("ssl", "views.second_view.parameters.jitter", 0.8),
    ("ssl", "views.second_view.parameters.gray", 0.2),
    ("ssl", "views.second_view.parameters.blur", 1.0),
    # network
    ("paper", "student.architecture", "resnet50"),
    ("stl10", "student.architecture", "resnet50-small"),
    ("cifar20", "student.architecture", "resnet50-small"),
    ("cifar100_clip_kd", "student.architecture", "resnet50-small"),
    ("mvmr", "student.projector", (8192, 8192, 8192)),
    ("paper", "student.zero_init_residual", True),
    ("mvmr", "student.start_from", None),
    ("semi", "student.start_from", "resnet50-imagenet"),
    # loss
    ("mvmr", "loss.std_margin", 1),
    ("mvmr", "loss.invariance", 1),
    ("mvmr", "loss.variance", 1),
    ("mvmr", "loss.views", 1),
    ("mvmr", "loss.estimator", "biased"),
    ("kd", "loss.teacher", 1),
    ("kd", "loss.regression", 0),
    ("kd", "loss.similarity", 0),
    # targets
    ("ssl", "representations", dict.fromkeys(FIVE, 1.0)),
    ("ssl", "representations.px", None),
    ("ssl", "scattering.scales", 2),
    ("ssl", "scattering.orientations", 8),
    ("ssl", "scattering.max_order", 2),
    ("ssl", "hog.bins", 24),
    ("ssl", "hog.cell_px", 8),
    ("ssl", "local_deviation.window", 3),
    ("kd", "teacher.spec", "open_clip:ViT-B-16/laion400m_e32"),
    ("kd", "teacher.view", "plain"),
)
"""Recipe or group, option, released value. A later row for a single recipe replaces that of its group."""


class Departure(NamedTuple):
    """A difference on purpose. An `option` with a dot is one of the configuration, and is checked."""

    recipes: str
    option: str
    released: object
    ours: object
    reason: str


DEPARTURES: tuple[Departure, ...] = (
    Departure("ssl", "representations.sign", "released", "paper", "the released sign undoes what the paper maximizes"),
    Departure("ssl", "hog.mode", "released", "linear", "1 - magnitude makes flat areas vote as much as edges"),
    Departure("ssl", "input of the representations", "normalized", "in [0, 1]", "one cache for every normalization"),
    Departure(
        "ssl", "second augmented view", "of the normalized plain view, one draw a batch",
        "of the photo in [0, 1], one draw an image", "color changes are defined on [0, 1]",
    ),
    Departure("cifar20", "order of color and crop", "color first", "crop first", "the crop costs less"),
    Departure("paper", "arithmetic of color", "8 bits", "float", "no rounding between changes"),
    Departure("imagenet", "views.augment.where", "workers", "device", "the same values, computed for a whole batch"),
    Departure(
        "imagenet_clip_kd", "views.augment.where", "workers", "device", "the same values, computed for a whole batch"
    ),
    Departure("paper", "decoding of JPEG", "whole", "scaled where much larger than needed", "faster"),
    Departure("mvmr", "precision of the loss", "fp16 of z / 32", "fp32", "roots and clamps lose digits"),
    Departure("mvmr", "smallest distance", 0.01, 0.0, "equal rows have distance zero, with finite gradients"),
    Departure("mvmr", "deviation in the hinge", "std", "sqrt(var + 1e-4)", "finite gradient at zero"),
    Departure("paper", "several processes", "batch, loss and batch norm of each", "of all together", "no dependence"),
    Departure("paper", "period of the learning rate", "micro-batches, or an epoch", "the run", "one decay a run"),
    Departure("kd", "teacher's input", "the student's, enlarged to 224", "its own preprocessing", "as it was trained"),
    Departure("kd", "teacher in checkpoints", True, False, "large, and published by others"),
    Departure("paper", "choice of the checkpoint", "best on the test split", "the last", "the test split is read once"),
    Departure(
        "mvmr", "online linear head", "extra labeled batches, which move batch norm", "the batch's own features",
        "a measurement must not change the weights",
    ),
    Departure("semi", "subset of labels", "drawn with replacement", "stratified, in a file", "repeatable"),
    Departure("semi", "initialization of the classifier", "random", "zero", "independent of the seed"),
    Departure("small", "initialization of the small stem", "uniform", "normal, fan-out", "as in other convolutions"),
    Departure("paper", "random seeds", "when modules are imported", "run.seed", "imports have no effects"),
    Departure("voc07", "protocol of VOC07", "SGD on train, micro-AP on val", "trainval, test, mean AP", "VOC's own"),
    Departure("voc07", "normalization of VOC07", "8 digits", "4 digits", "a hundredth of an 8-bit step"),
    Departure("linear", "linear evaluation", "best epoch on the test split", "linear protocols", "test is read once"),
)  # fmt: skip

KEYS = {
    "batch_size": "optim.batch_size",
    "epochs": "optim.epochs",
    "warmup_epochs": "warm-up epochs",
    "log_every": "monitor.every_steps",
    "eval_every": "monitor.knn_every_epochs",
    "n_workers": "data.workers",
    "fp16": "trainer.precision",
    "accumulate_grad_batches": "optim.accumulate",
    "normalize_z": ("false in all; embeddings are never normalized",),
    "fine_tune_from": "student.start_from",
    "std_margin": "loss.std_margin",
    "optimizer": "optim.name",
    "wd": "optim.weight_decay",
    "lr": "optim.peak_lr",
    "scheduler": "optim.schedule",
    "dataset.name": "data.train",
    "dataset.size": "sizes",
    "dataset.n_classes": ("read from the data",),
    "dataset.path": "data.train",
    "dataset.aug_policy": "views.augment.policy",
    "dataset.percentage": "share",
    "scatnet.J": "scattering.scales",
    "scatnet.shape": "sizes",
    "scatnet.L": "scattering.orientations",
    "encoder_type": "student.architecture",
    "encoder.out_dim": "student.projector",
    "encoder.small_kernel": "student.architecture",
    "hog.nbins": "hog.bins",
    "hog.pool": "hog.cell_px",
    "clip.model_name": "teacher.spec",
    "clip.pretrained": "teacher.spec",
    "num_features": ("the architecture's",),
    "num_classes": ("read from the data",),
    "comment": ("the name of a folder of logs",),
}
"""Every key of the eight configurations, and the option that a table above has for it, or (why there is none,)."""

WITHOUT_A_RECIPE = {
    "data.root": "where named data sets lie on a machine; on the command line",
    "data.cache": "where a machine has room; on the command line",
    "subset": "a file of the user's; on the command line",
    "label_smoothing": "off in every run here; standard in fine-tuning",
    "monitor.collapse_rank": "stops runs that failed; the default suits all",
    "optim.clip_norm": "for runs that diverge",
    "representations.cache.dtype": "the default suits all",
    "representations.px": "the default suits all",
    "representations.sign": "benchmarks/signs_and_estimators.py",
    "representations.terms.options": "docs/training.md",
    "representations.terms.weight": "docs/training.md",
    "run.license": "the user decides",
    "run.note": "the user decides",
    "run.save_every_minutes": "the default suits all",
    "run.seed": "on the command line",
    "teacher.px": "for teachers that read several sizes",
    "trainer.accelerator": "the machine's; on the command line",
    "trainer.compile": "the machine's; on the command line",
    "trainer.devices": "the machine's; on the command line",
    "trainer.nodes": "the machine's; on the command line",
    "trainer.tensorboard": "on the command line",
    "views.augment.flip": "0 for images whose left and right differ, such as text",
    "views.seed": "on the command line",
}
"""Options that no recipe sets, and what they are for."""


def command(recipe: str) -> type[TaskConfig]:
    """The configuration that a recipe is one of."""
    if "semi" in recipe:
        return FinetuneConfig
    return DistillConfig if "_kd" in recipe else PretrainConfig


@functools.cache
def config(recipe: str) -> Any:
    """The recipe, as its command reads it."""
    made = command(recipe)
    read = parser(made, None)
    values = vars(read.instantiate(read.parse_args(["--config", str(FOLDER / f"{recipe}.yaml")])))
    return made(**{field.name: values[field.name] for field in dataclasses.fields(made)})


def plain_view(made: TaskConfig) -> str:
    prepared = made.views.preprocess(made.views.largest_px)
    assert made.views.encoder_preprocess == prepared
    if prepared.resize_px == prepared.crop_px:
        return ALL_OF_THE_PHOTO
    return f"short side {prepared.resize_px}, center {prepared.crop_px}"


DERIVED: dict[str, Callable[[Any], object]] = {
    "warm-up epochs": lambda made: round(made.optim.warmup * made.optim.epochs, 9),
    "first learning rate": lambda made: made.optim.peak_lr * lr_factor(made.optim, 10**6, 0),
    "last learning rate": lambda made: made.optim.peak_lr * lr_factor(made.optim, 10**6, 10**6),
    "sizes": lambda made: tuple(stage.px for stage in made.views.sizes),
    "plain view": plain_view,
    "normalization": lambda made: (tuple(made.views.mean), tuple(made.views.std)),
    "blur kernel": lambda made: kernel_px(made.views.largest_px),
    "representations": lambda made: {term.kind: term.weight for term in made.representations.terms},
}
"""Values in the units of the released code."""


def value(recipe: str, option: str) -> Any:
    """An option's value in a recipe: a path into the configuration, `KIND.PARAMETER`, or a name in `DERIVED`."""
    made = config(recipe)
    if option in DERIVED:
        return DERIVED[option](made)
    first, _, rest = option.partition(".")
    if first in FIVE:
        (term,) = (term for term in made.representations.terms if term.kind == first)
        return getattr(build_representation(first, term.options), rest)
    return functools.reduce(getattr, option.split("."), made)


def released_rows() -> list[tuple[str, str, object]]:
    """One row for each recipe and option."""
    found = {}
    for group, option, released in RELEASED:
        for recipe in GROUPS.get(group, (group,)):
            found[recipe, option] = released
    return [(recipe, option, released) for (recipe, option), released in found.items()]


@pytest.mark.parametrize(("recipe", "option", "released"), released_rows())
def test_the_released_value(recipe: str, option: str, released: object) -> None:
    found = value(recipe, option)
    assert found == (pytest.approx(released, rel=1e-9, abs=1e-15) if isinstance(released, float) else released)


@pytest.mark.parametrize("departure", DEPARTURES, ids=lambda each: f"{each.recipes}-{each.option}")
def test_departures_differ(departure: Departure) -> None:
    assert departure.released != departure.ours
    assert departure.reason
    if "." in departure.option:
        for recipe in GROUPS.get(departure.recipes, (departure.recipes,)):
            assert value(recipe, departure.option) == departure.ours
            assert (recipe, departure.option) not in {row[:2] for row in released_rows()}


def test_the_document_names_every_departure() -> None:
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    section = text.split("## Departures from the released code")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert {row[0].strip(" `") for row in rows} == {departure.option for departure in DEPARTURES}
    assert all(len(row) == 4 and all(cell.strip() for cell in row) for row in rows)


def test_every_key_of_the_released_configurations_is_in_a_table() -> None:
    known = {option for _, option, _ in RELEASED} | {departure.option for departure in DEPARTURES}
    assert {option for option in KEYS.values() if isinstance(option, str)} <= known


@pytest.mark.parametrize("recipe", GROUPS["paper"])
def test_the_optimizer_decays_every_parameter(recipe: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = make_optimizer(network, config(recipe).optim)
    assert type(optimizer) is torch.optim.Adam
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4
    for group in optimizer.param_groups:
        assert (group["weight_decay"], group["betas"], group["eps"]) == (1e-6, (0.9, 0.999), 1e-8)


@pytest.mark.parametrize("recipe", ["stl10", "cifar20"])
def test_the_learning_rate_of_every_step_without_accumulation(recipe: str) -> None:
    """Up from 1e-6 in 10 epochs, down to 1e-6 by half a cosine, here with three steps per epoch."""
    optim = config(recipe).optim
    peak, warmup, total = optim.peak_lr, 30, 3000
    for step in range(total):
        if step < warmup:
            expected = (peak - 1e-6) * step / warmup + 1e-6
        else:
            turn = math.pi * (step - warmup) / (total - warmup)
            expected = 1e-6 + (peak - 1e-6) * (1 + math.cos(turn)) / 2
        assert peak * lr_factor(optim, total, step) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("recipe", GROUPS["kd"])
def test_distillation_holds_the_rate_and_then_lets_it_fall_once(recipe: str) -> None:
    factors = [lr_factor(config(recipe).optim, 600, step) for step in range(601)]
    assert factors[:31] == [1.0] * 31
    assert all(later < earlier for earlier, later in itertools.pairwise(factors[30:]))
    assert factors[-1] == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"initial_lr": 1.5}, r"optim\.initial_lr is 1\.5; expected a share in \[0, 1\]"),
        ({"initial_lr": 0.1, "warmup_shape": "constant"}, "expected no value with optim.warmup_shape: constant"),
    ],
)
def test_a_first_learning_rate_that_has_no_meaning(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        OptimConfig(**options)


def test_without_a_first_learning_rate_the_warm_up_starts_one_step_above_zero() -> None:
    optim = OptimConfig(warmup=0.1)
    assert [lr_factor(optim, 100, step) for step in range(11)] == pytest.approx([*(i / 10 for i in range(1, 11)), 1.0])


def test_the_projector_has_no_bias_and_ends_in_a_linear_layer() -> None:
    layers = projector(5, (8, 8, 8))
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in layers] == kinds
    assert all(layer.bias is None for layer in layers if isinstance(layer, nn.Linear))


def test_preprocessing_of_voc07() -> None:
    prepared = PREPROCESSING["voc07"]
    assert (prepared.resize_px, prepared.crop_px) == (330, 300)
    assert prepared.mean == pytest.approx((0.45704722, 0.43824774, 0.4061733), abs=5e-5)
    assert prepared.std == pytest.approx((0.23908591, 0.23509644, 0.2397309), abs=5e-5)


def test_every_recipe_is_in_a_group() -> None:
    assert set(RECIPES) == {*GROUPS["paper"], *GROUPS["ours"]}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipe_can_be_read(recipe: str) -> None:
    made = config(recipe)
    assert made.run.name not in CATALOG
    assert made.run.license == "not stated"
    assert made.run.note == ""
    assert Path(made.run.output) == Path("runs") / recipe
    assert bool(made.run.published) == (recipe in GROUPS["paper"])


def test_names_are_unique() -> None:
    assert len({config(recipe).run.name for recipe in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_header_states_command_cost_and_expected_figure(recipe: str) -> None:
    lines = (FOLDER / f"{recipe}.yaml").read_text(encoding="utf-8").splitlines()
    header = [line for line in lines if line.startswith("#")]
    name = {PretrainConfig: "pretrain", DistillConfig: "distill", FinetuneConfig: "finetune"}[command(recipe)]
    assert f" -m training.{name} --config training/recipes/{recipe}.yaml" in header[1]
    assert any(line.startswith("# Cost: ") for line in header)
    assert any(line.startswith("# Expected: ") for line in header)
    for figure in re.findall(r"\d+\.\d+", config(recipe).run.published):
        assert figure in "\n".join(header)


@pytest.mark.parametrize("recipe", ["imagenette_kd_same_view", "imagenette_kd_cached_views"])
def test_distillations_of_the_same_view(recipe: str) -> None:
    made = config(recipe)
    assert made.teacher.view == "same"
    assert made.teacher.spec == "effnet-lite:0"
    assert made.student.projector == (1280,)
    assert made.teacher.cached == (made.views.k > 0)
    if made.views.k == 0:
        assert made.views.mixup > 0
        assert made.loss.similarity > 0
        assert made.optim.ema > 0
        assert made.optim.schedule == "wsd"


def options(made: type, prefix: str = "") -> Iterator[str]:
    """Dotted names of every option of a configuration."""
    hints = typing.get_type_hints(made)
    for field in dataclasses.fields(made):
        within = [each for each in _types(hints[field.name]) if dataclasses.is_dataclass(each)]
        if within:
            yield from options(within[0], f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _types(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in typing.get_args(hint):
        yield from _types(argument)


def keys(tree: object, prefix: str = "") -> Iterator[str]:
    """Dotted names of every key of a YAML file."""
    if isinstance(tree, dict):
        for key, below in tree.items():
            yield prefix + key
            yield from keys(below, f"{prefix}{key}.")
    elif isinstance(tree, list):
        for each in tree:
            yield from keys(each, prefix)


def test_every_option_has_a_use() -> None:
    every = {option for made in (PretrainConfig, DistillConfig, FinetuneConfig) for option in options(made)}
    every = {option.replace("views.second.", "views.augment.") for option in every}  # the same class
    used = {key for recipe in RECIPES for key in keys(yaml.safe_load((FOLDER / f"{recipe}.yaml").read_text()))}
    assert every - used == set(WITHOUT_A_RECIPE)


@pytest.mark.parametrize("made", [PretrainConfig, DistillConfig, FinetuneConfig])
def test_print_config_shows_every_option(made: type[TaskConfig], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parser(made, None).parse_args(["--data.train=x", "--run.output=y", "--run.name=z", "--print_config"])
    shown = capsys.readouterr().out
    for option in ("peak_lr: ", "initial_lr: ", "collapse_rank: ", "precision: ", "min_scale: ", "start_from: "):
        assert option in shown


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_the_committed_subsets_are_those_of_imagenette(share: float, tmp_path: Path) -> None:
    folder = Path(os.environ.get("MVMR_DATA", ""), "imagenette", "train")
    if "MVMR_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("MVMR_DATA has no imagenette")
    images = open_images(str(folder))
    committed, fresh = FOLDER / "subsets" / f"imagenette-{share:g}.csv", tmp_path / "subset.csv"
    subset_file(fresh, images, share, 0, stratified_split(images.labels, 0.05, 0).train)
    assert committed.read_bytes() == fresh.read_bytes()
    chosen = subset_file(committed, images, share, 0, np.empty(0, np.int64))
    assert len(chosen) == pytest.approx(share * len(images), rel=0.1)
