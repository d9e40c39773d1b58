"""Finds a representation by its name or its import path."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, get_args, get_origin, get_type_hints

from torch import Tensor

from mvmr_zoo.errors import ConfigError, closest
from training.config.expected import expected
from training.targets.representations.hog import Hog
from training.targets.representations.local_deviation import LocalDeviation
from training.targets.representations.pixels import Pixels
from training.targets.representations.scattering import Scattering


class Representation(Protocol):
    """A fixed function that maps each image independently."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map images `(N, 3, H, W)` float32 in [0, 1] to `(N, K)` float."""
        ...


REPRESENTATIONS: dict[str, type] = {
    "pixels": Pixels,
    "local_deviation": LocalDeviation,
    "hog": Hog,
    "scattering": Scattering,
}


def build_representation(kind: str, options: Mapping[str, Any]) -> Representation:
    """The representation with a name in `REPRESENTATIONS`, or at an import path `package.module:Name`.

    Args:
        kind: The name or the path of a class. Its constructor's parameters are its options.
        options: Options by name. The others keep their defaults.

    Raises:
        ConfigError: There is no such name, module or option, or a value has another type.
    """
    made = REPRESENTATIONS[kind] if kind in REPRESENTATIONS else _imported(kind)
    parameters = [name for name in inspect.signature(made).parameters if name not in ("args", "kwargs")]
    hints = get_type_hints(made.__init__)  # type: ignore[misc]
    for name, value in options.items():
        if name not in parameters:
            near = closest(name, parameters)[:1] or parameters
            raise ConfigError(f"Representation {kind} has no option {name}. It has: {', '.join(near) or 'none'}.")
        if name in hints and not _fits(value, hints[name]):
            raise ConfigError(f"{kind}.{name} is {value!r}; expected {expected(hints[name])}.")
    representation: Representation = made(**options)
    return representation


def representation_digest(representation: Representation, options: Mapping[str, Any]) -> str:
    """SHA-256 of everything that the values depend on beside the images: class, options and source.

    The source is this whole package for its own classes, and the file of the class for a custom one.

    Args:
        representation: A result of `build_representation`.
        options: The options it was built with.
    """
    made = type(representation)
    bound = inspect.signature(made).bind(**options)
    bound.apply_defaults()
    file = Path(inspect.getfile(made))
    files = sorted(file.parent.glob("*.py")) if made in REPRESENTATIONS.values() else [file]
    source = b"".join(each.read_bytes() for each in files)
    text = f"{made.__module__}:{made.__qualname__} {sorted(bound.arguments.items())}"
    return hashlib.sha256(text.encode() + source).hexdigest()


def _imported(kind: str) -> type:
    path, separator, name = kind.partition(":")
    if not separator:
        near = closest(kind, REPRESENTATIONS)[:1]
        hint = f" Closest: {near[0]}." if near else ""
        raise ConfigError(
            f"No representation is named {kind!r}; expected one of {', '.join(REPRESENTATIONS)}, "
            f"or an import path `package.module:Name`.{hint}"
        )
    try:
        found = getattr(importlib.import_module(path), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"Representation {kind} cannot be imported: {error}.") from None
    if not inspect.isclass(found):
        raise ConfigError(f"Representation {kind} is a {type(found).__name__}; expected a class.")
    return found


def _fits(value: object, hint: Any) -> bool:
    """Whether a value has the type of a parameter."""
    if get_origin(hint) is None:
        return type(value) is hint or (hint is float and type(value) is int) or (hint is type(None) and value is None)
    arguments = get_args(hint)
    return value in [a for a in arguments if isinstance(a, (str, int))] or any(
        _fits(value, a) for a in arguments if isinstance(a, type)
    )
