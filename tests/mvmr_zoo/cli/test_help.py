"""The help texts of every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from mvmr_zoo.cli.app import app

runner = CliRunner()


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    yield ()
    waiting: list[tuple[tuple[str, ...], object]] = [((), get_command(app))]
    while waiting:
        words, command = waiting.pop()
        if isinstance(command, TyperGroup):
            for name, below in command.commands.items():
                yield (*words, name)
                waiting.append(((*words, name), below))


def help_of(*words: str) -> str:
    done = runner.invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_is_plain_text(words: tuple[str, ...]) -> None:
    text = help_of(*words)
    assert "<bool>" not in text
    assert not re.search(r"^  \S.*\.\.\.$", text, re.MULTILINE), "a summary is longer than the line"
    assert all(len(line) <= 80 for line in text.splitlines())


def test_square_brackets_are_not_markup() -> None:
    assert "mvmr-zoo[gpu]" in help_of("search")
    assert "parquet:FILE[:COLUMN]" in " ".join(help_of("embed").split())


def test_min_percentile_is_about_random_pairs() -> None:
    assert "random photo pairs in the library" in " ".join(help_of("search").split())


def test_every_option_is_explained() -> None:
    def parameters(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
        for each in command.params:
            yield words, each.name, each.help or ""
        for name, below in getattr(command, "commands", {}).items():
            yield from parameters(below, (*words, name))

    found = list(parameters(get_command(app), ()))
    assert len(found) > 100
    assert not [(words, name) for words, name, text in found if not text.endswith(".")]
