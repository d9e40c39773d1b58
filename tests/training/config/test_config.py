"""Options that do not fit: each refused by name, before anything is opened."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mvmr_zoo.errors import ConfigError
from training.config import (
    CacheConfig,
    DataConfig,
    DistillConfig,
    DistillLossConfig,
    FinetuneConfig,
    LossConfig,
    MonitorConfig,
    OptimConfig,
    PretrainConfig,
    RepresentationConfig,
    RepresentationsConfig,
    RunConfig,
    StudentConfig,
    TaskConfig,
    TeacherConfig,
    TrainerConfig,
    ViewConfig,
)

COMMON = {"data": DataConfig(train="photos"), "run": RunConfig(output="runs", name="mine")}
SAME = TeacherConfig(view="same", cached=False)
FLAT = DistillLossConfig(invariance=0, views=0, regression=1)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (PretrainConfig, {"views": ViewConfig(mixup=0.2)}, r"views\.mixup is 0\.2; expected 0, because .* a teacher"),
        (PretrainConfig, {"views": ViewConfig(k=2)}, r"views\.k is 2; expected 0, because .* a teacher"),
        (
            PretrainConfig,
            {
                "loss": LossConfig(invariance=0, variance=0, views=0),
                "representations": RepresentationsConfig(terms=(RepresentationConfig(kind="hog", weight=0),)),
            },
            "at least one positive weight",
        ),
        (DistillConfig, {"views": ViewConfig(mixup=0.2)}, r"views\.mixup is 0\.2; expected 0, or teacher\.view: same"),
        (DistillConfig, {"views": ViewConfig(k=2)}, r"views\.k is 2; expected 0, or teacher\.view: same"),
        (DistillConfig, {"views": ViewConfig(mixup=1), "teacher": SAME}, r"loss\.invariance and loss\.views 0"),
        (
            DistillConfig,
            {"views": ViewConfig(mixup=1), "teacher": SAME, "loss": FLAT, "optim": OptimConfig(batch_size=7)},
            r"optim\.batch_size is 7; expected an even number of images per process",
        ),
        (
            DistillConfig,
            {
                "views": ViewConfig(mixup=1),
                "teacher": SAME,
                "loss": FLAT,
                "optim": OptimConfig(batch_size=6),
                "trainer": TrainerConfig(devices=2),
            },
            r"optim\.batch_size is 6; expected an even number of images per process",
        ),
        (DistillConfig, {"teacher": TeacherConfig(view="same")}, r"views\.k is 0; expected at least 1 with"),
        (
            DistillConfig,
            {"teacher": TeacherConfig(view="same", spec="embeddings:x"), "views": ViewConfig(k=2)},
            r"teacher\.view is same; expected plain, because an embeddings folder contains one vector per photo",
        ),
        (FinetuneConfig, {}, r"student\.start_from is not given"),
        (FinetuneConfig, {"views": ViewConfig(mixup=1)}, r"mixup is 1; expected 0, because labels are not mixed"),
        (FinetuneConfig, {"views": ViewConfig(k=1)}, r"views\.k is 1"),
        (FinetuneConfig, {"share": 0}, "share is 0"),
        (FinetuneConfig, {"label_smoothing": 1}, "label_smoothing is 1"),
    ],
)
def test_options_that_do_not_fit_each_other(kind: type[TaskConfig], options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        kind(**{**COMMON, **options})


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (RunConfig, {"name": "../elsewhere"}, r"run\.name is \.\./elsewhere; expected a plain folder name"),
        (RunConfig, {"name": "cache"}, r"run\.name is cache"),
        (RunConfig, {"name": "resnet50-clip-kd"}, "expected a name that is not in the catalog"),
        (RunConfig, {"save_every_minutes": 0}, r"run\.save_every_minutes is 0; expected a positive number"),
        (RunConfig, {"save_every_minutes": math.nan}, r"run\.save_every_minutes is nan"),
        (DataConfig, {"train": ()}, r"data\.train is \(\); expected at least one source"),
        (DataConfig, {"held_out": 0.6}, r"data\.held_out is 0\.6"),
        (DataConfig, {"limit": 0}, r"data\.limit is 0"),
        (DataConfig, {"workers": -1}, r"data\.workers is -1"),
        (ViewConfig, {"k": -1}, r"views\.k is -1"),
        (ViewConfig, {"seed": -1}, r"views\.seed is -1"),
        (ViewConfig, {"mixup": -1}, r"views\.mixup is -1"),
        (ViewConfig, {"std": (0.0, 1.0, 1.0)}, r"views\.std is"),
        (ViewConfig, {"crop_ratio": 0}, r"views\.crop_ratio is 0"),
        (TeacherConfig, {"px": 4}, r"teacher\.px is 4; expected at least 8"),
        (LossConfig, {"std_margin": -1}, r"loss\.std_margin is -1"),
        (DistillLossConfig, {"temperature": 0}, r"loss\.temperature is 0"),
        (DistillLossConfig, {"invariance": 0, "variance": 0, "views": 0, "teacher": 0}, "at least one positive weight"),
        (
            RepresentationConfig,
            {"kind": "hog", "weight": -1},
            "weight of representation hog is -1; expected at",
        ),
        (RepresentationConfig, {"kind": "augmented_pixels", "options": {"a": 1}}, "expected none"),
        (MonitorConfig, {"every_steps": 0}, r"monitor\.every_steps is 0"),
        (MonitorConfig, {"knn_every_epochs": -1}, r"monitor\.knn_every_epochs is -1"),
        (TrainerConfig, {"devices": 0}, r"trainer\.devices is 0"),
    ],
)
def test_a_value_out_of_range_is_named(kind: type, options: dict[str, object], says: str) -> None:
    needed = {RunConfig: {"output": "runs", "name": "mine"}, DataConfig: {"train": "photos"}}.get(kind, {})
    with pytest.raises(ConfigError, match=says):
        kind(**{**needed, **options})


def test_a_large_memory_bank_costs_nothing_until_it_is_used() -> None:
    assert DistillLossConfig(similarity=1, memory_bank=10**12).memory_bank == 10**12


def test_the_cache_lies_in_the_output_unless_runs_share_it() -> None:
    assert PretrainConfig(**COMMON).cache_folder == Path("runs/cache")
    shared = DataConfig(train="photos", cache="shared")
    assert PretrainConfig(data=shared, run=COMMON["run"]).cache_folder == Path("shared")
    assert CacheConfig().dtype == "float16"
    assert StudentConfig().start_from is None
