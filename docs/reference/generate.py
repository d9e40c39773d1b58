"""Write `docs/reference/cli.md` from the commands' own help.

python docs/reference/generate.py            # write it
python docs/reference/generate.py --check    # fail if it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import typer
from typer.core import TyperArgument, TyperGroup

FILE = Path(__file__).with_name("cli.md")
_INTRODUCTION = """# Command line

This page is generated from the commands' own help by `python docs/reference/generate.py`.

[Training](../training.md) describes the training commands `python -m training.pretrain`, `training.distill` and
`training.finetune`. Run them with `--help` to list all options.
"""


def programs() -> dict[str, typer.Typer]:
    """The programs with a Typer command line, by the name that is typed."""
    from demo.cli import app as demo
    from export.cli import app as export
    from mvmr_zoo.cli.app import app as zoo
    from training.push import app as push

    return {"mvmr-zoo": zoo, "mvmr-export": export, "mvmr-demo": demo, "python -m training.push": push}


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all its subcommands, by the words that are typed."""
    yield name, command
    if isinstance(command, TyperGroup):
        for each in command.commands.values():
            yield from commands(each, f"{name} {each.name}")


def reference() -> str:
    """The text of the page."""
    parts = [_INTRODUCTION]
    for name, app in programs().items():
        for words, command in commands(typer.main.get_command(app), name):
            level = "##" if words == name else "###"
            parts.append(f"{level} {words}\n\n{_description(command)}")
            parts.append(_options(command))
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _description(command: click.Command) -> str:
    text = click.unstyle(command.help or "").replace("\f", "").strip()
    return f"{text}\n"


def _options(command: click.Command) -> str:
    context = click.Context(command, info_name=command.name)
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, TyperArgument):
            names = f"`{(parameter.name or '').upper()}`"
            text = getattr(parameter, "help", None) or ""
        elif record is None or "--help" in parameter.opts:
            continue
        else:
            names = ", ".join(f"`{each}`" for each in [*parameter.opts, *parameter.secondary_opts])
            text = getattr(parameter, "help", None) or ""
        default = _default(parameter)
        rows.append(f"| {names} | {text}{default} |".replace("[", "\\["))
    return "\n".join(["| option | |", "| --- | --- |", *rows]) + "\n" if rows else ""


def _default(parameter: click.Parameter) -> str:
    value = parameter.default
    if isinstance(parameter, TyperArgument) or callable(value) or value in (None, False, (), []):
        return ""
    return "" if "Default" in (getattr(parameter, "help", None) or "") else f" Default: {value}."


if __name__ == "__main__":
    if "--check" not in sys.argv:
        FILE.write_text(reference(), encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != reference():
        sys.exit(f"{FILE} is not what the commands say; run `python docs/reference/generate.py`.")
