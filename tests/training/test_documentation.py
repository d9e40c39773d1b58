"""docs/training.md: its code runs, and every option that it names exists."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
import yaml

from training import cli
from training.config import DistillConfig, FinetuneConfig, PretrainConfig
from training.config.expected import mistake

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SECTIONS = "data|run|views|student|optim|monitor|trainer|representations|teacher|loss"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def options() -> set[str]:
    """Every option of the three commands, with its section and without dashes."""
    parsers = [cli.parser(config, None) for config in cli.COMMANDS.values()]
    return {name.removeprefix("--") for parser in parsers for name in parser._option_string_actions}


def test_the_training_loop_runs_and_lowers_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line]) <= 25
    torch.manual_seed(0)
    values: dict[str, object] = {}
    exec(compile(code, "docs/training.md", "exec"), values)
    printed = capsys.readouterr().out.splitlines()
    totals = [sum(map(float, re.findall(r" (-?[\d.]+)(?= |$)", line))) for line in printed]
    assert len(totals) == 5
    assert all(map(math.isfinite, totals))
    assert totals[-1] < totals[0]


def test_every_option_exists() -> None:
    known = options()
    named = set(re.findall(r"--([a-z_]+(?:\.[a-z_]+)*)", TEXT)) | set(
        re.findall(rf"`((?:{SECTIONS})\.[a-z_]+(?:\.[a-z_]+)*)[:`]", TEXT)
    )
    assert len(named) > 30
    assert named - {"device", "model", "nproc_per_node", "output", "section.option"} <= known  # of other commands


def test_every_recipe_is_listed() -> None:
    recipes = {path.name for path in (ROOT / "training" / "recipes").glob("*.yaml")}
    assert recipes == set(re.findall(r"(\w+\.yaml)", TEXT)) - {"run.yaml"}


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_is_a_configuration(block: str) -> None:
    config = PretrainConfig if "representations" in block else DistillConfig
    assert mistake(yaml.safe_load(block), config, "") is None


def test_the_quoted_refusal_is_what_is_printed() -> None:
    assert mistake({"optim": {"peak_lr": "fast"}}, FinetuneConfig, "") in TEXT
