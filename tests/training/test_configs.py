"""The configurations that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from training.command import parser

from training.config import DistillConfig, FinetuneConfig, PretrainConfig, TaskConfig

FOLDER = Path(__file__).parents[2] / "training" / "configs"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
EXPECTED = {
    "cifar10.yaml", "cifar100_clip_kd.yaml", "cifar20.yaml", "imagenet.yaml", "imagenet_clip_kd.yaml",
    "imagenet_semi1.yaml", "imagenet_semi10.yaml", "imagenette.yaml", "imagenette_kd.yaml",
    "imagenette_semi1.yaml", "imagenette_semi10.yaml", "stl10.yaml", "stl10_clip_kd.yaml",
}  # fmt: skip
OURS = ("cifar10.yaml", "imagenette.yaml", "imagenette_kd.yaml", "imagenette_semi1.yaml", "imagenette_semi10.yaml")


def kind(name: str) -> type[TaskConfig]:
    if "semi" in name:
        return FinetuneConfig
    return DistillConfig if "_kd" in name else PretrainConfig


def test_every_run_of_the_paper_is_there() -> None:
    assert set(FILES) == EXPECTED


@pytest.mark.parametrize("name", FILES)
def test_it_can_be_read(name: str) -> None:
    read = parser(kind(name), None)
    values = vars(read.instantiate(read.parse_args(["--config", str(FOLDER / name)])))
    config = kind(name)(**{k: v for k, v in values.items() if k not in ("config", "resume", "allow_config_change")})
    assert config.run.name
    if name not in OURS:
        assert any(digit.isdigit() for digit in config.run.published)


@pytest.mark.parametrize("config", [PretrainConfig, DistillConfig, FinetuneConfig])
def test_print_config_shows_every_option(config: type[TaskConfig], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parser(config, None).parse_args(["--data.train=x", "--run.output=y", "--run.name=z", "--print_config"])
    shown = capsys.readouterr().out
    for option in ("peak_lr: ", "collapse_rank: ", "precision: ", "min_scale: ", "start_from: ", "accumulate: "):
        assert option in shown
