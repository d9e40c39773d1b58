"""Describes in words which values an option accepts, and what is wrong with a given value."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mvmr_zoo.errors import closest

_WORDS: dict[object, tuple[str, str]] = {
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    str: ("text", "texts"),
    bool: ("true or false", "values true or false"),
    type(None): ("null", "nulls"),
}
"""Each type in words, singular and plural."""


def expected(hint: Any) -> str:
    """The accepted values of a type in words, for example `null or a number`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint][0]
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, types.UnionType):
        return " or ".join(expected(each) for each in sorted(arguments, key=lambda each: each is not type(None)))
    if origin is tuple:
        number = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"a list of {number}{_several(arguments[0])}"
    return _several(hint)


def _several(hint: Any) -> str:
    if dataclasses.is_dataclass(hint):
        return f"{{{', '.join(field.name for field in dataclasses.fields(hint))}}}"
    if hint in _WORDS:
        return _WORDS[hint][1]
    return "{name: value}" if get_origin(hint) in (dict, Mapping) else "values"


def mistake(value: object, hint: Any, name: str) -> str | None:
    """A sentence about the first value from YAML that does not fit its type. None if all values fit.

    Args:
        value: Value of an option, or a mapping for a section of options.
        hint: Its type; a dataclass for a section.
        name: Name of the option, such as `optim.peak_lr`; "" for a whole configuration.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _mistake_of_section(value, hint, name)
    if origin in (Union, types.UnionType):
        sections = [each for each in arguments if dataclasses.is_dataclass(each) and isinstance(value, Mapping)]
        if sections:
            return mistake(value, sections[0], name)
        lists = [each for each in arguments if get_origin(each) is tuple and isinstance(value, list)]
        if lists:
            return mistake(value, lists[0], name)
        fits = any(mistake(value, each, name) is None for each in arguments)
    elif origin is tuple and isinstance(value, list):
        inner = arguments[0]
        for index, each in enumerate(value):
            if wrong := mistake(each, inner, f"{name}[{index}]"):
                return wrong
        fits = arguments[-1] is Ellipsis or len(value) == len(arguments)
    elif origin is Literal:
        fits = value in arguments
    elif origin is not None:
        fits = isinstance(value, origin) and origin is not tuple
    elif hint is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        fits = type(value) is hint
    if fits:
        return None
    hint_at_quotes = f" Put quotes around it: '{value}'." if hint is str and isinstance(value, (int, float)) else ""
    return f"{name} is {shown(value)}; expected {expected(hint)}.{hint_at_quotes}"


def _mistake_of_section(values: Mapping[Any, object], section: Any, name: str) -> str | None:
    hints = get_type_hints(section)
    for key, value in values.items():
        full = f"{name}.{key}" if name else str(key)
        if key not in hints:
            near = closest(str(key), hints)[:1]
            hint = f"Closest: {near[0]}." if near else f"Known: {', '.join(hints)}."
            return (f"{name} has no option {key}. " if name else f"no section is named {key}. ") + hint
        if dataclasses.is_dataclass(hints[key]) and not isinstance(value, Mapping):
            return f"{full} is {shown(value)}; expected options, such as `{full}: {example(hints[key])}`."
        if wrong := mistake(value, hints[key], full):
            return wrong
    missing = [
        each.name
        for each in dataclasses.fields(section)
        if each.default is dataclasses.MISSING
        and each.default_factory is dataclasses.MISSING
        and each.name not in values
    ]
    if missing and "[" in name:  # list elements have no defaults from elsewhere, sections may be partial
        return f"{name} has no {missing[0]}; expected {_several(section)}."
    return None


def shown(value: object) -> str:
    """A value as YAML writes it, with quotes around text."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else repr(value)


def example(section: Any) -> str:
    """One option of a section, as YAML."""
    first = dataclasses.fields(section)[0].name
    return f"{{{first}: ...}}"
