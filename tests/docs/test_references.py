"""The reference pages name every public name and every command, and code in README and docs is valid."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import mvmr_zoo
import training

ROOT = Path(__file__).parents[2]
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "index.md"})
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "reference" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_python_reference() -> None:
    listed = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference" / "python.md").read_text(), re.MULTILINE)
    public = [f"{each.__name__}.{name}" for each in (mvmr_zoo, training) for name in each.__all__]
    assert sorted(listed) == sorted(public)


def test_every_public_name_has_documentation() -> None:
    for package in (mvmr_zoo, training):
        for name in package.__all__:
            if callable(value := getattr(package, name)):
                assert value.__doc__, name


def test_the_command_reference_is_what_the_commands_say() -> None:
    assert (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8") == generator().reference()


def test_every_command_and_option_has_a_help_text() -> None:
    for line in generator().reference().splitlines():
        if line.startswith("| ") and line not in ("| option | |", "| --- | --- |"):
            assert not line.endswith("|  |"), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_parse_and_use_names_that_exist(page: Path) -> None:
    for code in BLOCK.findall(page.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("mvmr_zoo", "training"):
                module = importlib.import_module(str(node.module))
                for each in node.names:
                    assert hasattr(module, each.name), f"{page.name}: {node.module}.{each.name}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mvmr_zoo":
                assert hasattr(mvmr_zoo, node.attr), f"{page.name}: mvmr_zoo.{node.attr}"
