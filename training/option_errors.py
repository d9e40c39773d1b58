"""Explains in one sentence why a command line is rejected: the option, its file, its value and what was expected."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import jsonargparse
import yaml

from mvmr_zoo._io import read_regular
from mvmr_zoo.errors import closest, describe_os_error, one_line
from training.config.expected import expected, mistake

_EXAMPLE = "for example `optim: {epochs: 10}`"


def refusal(error: Exception, arguments: Sequence[str], options: Sequence[str], config: type) -> str:
    """Explain why `arguments` were rejected.

    Args:
        error: The error of jsonargparse.
        arguments: The command-line arguments.
        options: All options of the command line, with their dashes.
        config: The dataclass of the configuration.
    """
    for sentence in _mistakes(list(arguments), options, config):
        return sentence
    if found := re.search(r"arguments are required: (.*)", str(error)):
        return _missing(re.split(r",\s*", found.group(1)))
    return one_line(error, limit=500)


def _missing(names: Sequence[str]) -> str:
    *first, last = names
    listed = f"{', '.join(first)} and {last} are" if first else f"{last} is"
    words = " ".join(f"--{name} {name.split('.')[-1].upper()}" for name in names)
    return f"{listed} not given. Add {words}, or set {'them' if first else 'it'} in the --config file."


def _mistakes(words: list[str], options: Sequence[str], config: type) -> Iterator[str]:
    """A sentence for each mistake, in the order of the command line."""
    while words:
        word = words.pop(0)
        name, separator, value = word.partition("=")
        name = name.removesuffix("+")  # jsonargparse appends to lists by `--option+ value`
        if not name.startswith("-"):
            yield f"Unexpected argument {word!r}. Options are written `--section.option value`."
        elif name not in options:
            near = closest(name, options)[:1]
            yield f"There is no option {name}." + (f" Closest: {near[0]}." if near else " --help lists them all.")
            return
        elif name in ("-h", "--help", "--print_config"):
            continue
        elif name in ("--resume", "--allow_config_change"):
            if separator:
                yield f"{name} takes no value, but {value!r} was given."
        elif not separator and not words:
            yield f"{name} needs a value: {_kind(name, config)}."
        else:
            value = value if separator else words.pop(0)
            if (
                wrong := _mistake_of_file(Path(value), config)
                if name == "--config"
                else _mistake_of_option(name, value, config)
            ):
                yield wrong


def _kind(name: str, config: type) -> str:
    return "a YAML file" if name == "--config" else expected(_hint(name, config))


def _mistake_of_option(name: str, text: str, config: type) -> str | None:
    """What is wrong with an option's value on the command line."""
    hint = _hint(name, config)
    if hint is str:
        return None
    try:
        value = jsonargparse.get_loader("yaml")(text)
    except yaml.YAMLError:
        value = text
    if dataclasses.is_dataclass(hint) and not isinstance(value, dict):
        return f"{name} names a section. Pass its options one by one, as `{name}.OPTION VALUE`."
    return mistake(value, hint, name.removeprefix("--"))


def _hint(name: str, config: Any) -> Any:
    found = config
    for part in name.removeprefix("--").split("."):
        found = get_type_hints(found)[part]
    return found


def _mistake_of_file(path: Path, config: type) -> str | None:
    try:
        text = read_regular(path).decode()
        values = jsonargparse.get_loader("yaml")(text)
    except OSError as error:
        return f"--config cannot be read. {describe_os_error(error)}"
    except UnicodeDecodeError:
        return f"{path} is not UTF-8 text; expected a YAML file."
    except yaml.YAMLError as error:
        return _yaml_mistake(path, text, error)
    if values is None or not isinstance(values, dict):
        what = "is empty" if not text.strip() else "does not map options to values"
        return f"{path} {what}; expected YAML, {_EXAMPLE}."
    values = {name: value for name, value in values.items() if name not in ("resume", "allow_config_change")}
    wrong = mistake(values, config, "")
    return f"{path}: {wrong}" if wrong else None


def _yaml_mistake(path: Path, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{path} is not YAML: {one_line(error)}."
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if line.lstrip(" ").startswith("\t"):
        return f"{path}, line {mark.line + 1}: the line starts with a tab. Indent with spaces."
    started = getattr(error, "context_mark", None)
    since = f" The incomplete part begins in line {started.line + 1}." if started is not None else ""
    return f"{path}, line {mark.line + 1} is not YAML: {getattr(error, 'problem', '')}.{since}"
