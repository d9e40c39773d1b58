"""Weight files that a user names: `KIND:NAME@FILE`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo.architectures import differences
from mvmr_zoo.errors import CheckpointError, UnknownModelError, one_line
from mvmr_zoo.models.weights_file import read_weights_file

if TYPE_CHECKING:
    from torch import Tensor, nn


def split_file(name: str) -> tuple[str, Path | None]:
    """NAME and FILE of `NAME@FILE`; None without a file.

    Raises:
        UnknownModelError: there is no such file.
    """
    network, separator, file = name.partition("@")
    if not separator:
        return network, None
    path = Path(os.path.expanduser(file))
    if not path.is_file():
        raise UnknownModelError(f"{path} is not a file. Expected the weights of {network}, as .safetensors or .pth.")
    return network, path


def unavailable(spec: str, error: Exception, *, file_spec: str = "", origin: str = "the file") -> UnknownModelError:
    """The error for weights that are neither here nor to be had: what to get, and how to name it then."""
    return UnknownModelError(
        f"The weights of {spec} are not on this machine and cannot be downloaded ({one_line(error)}). "
        f"Get {origin} elsewhere and give {file_spec or spec}@FILE."
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or a PyTorch state dict, read without executing anything in it.

    Raises:
        CheckpointError: neither the one nor the other.
    """
    found = read_weights_file(path)
    for key in ("state_dict", "model"):
        if isinstance(found.get(key), dict):
            found = found[key]
    state = {name.removeprefix("module."): value for name, value in found.items() if hasattr(value, "shape")}
    if not state:
        raise CheckpointError(f"{path} holds no tensors.")
    return state


def fill(module: nn.Module, path: Path, *, ignore: tuple[str, ...] = ()) -> None:
    """Load a weights file into a network.

    Args:
        module: the network.
        path: of the file.
        ignore: beginnings of names that the network may lack: classifiers that were cut off.

    Raises:
        CheckpointError: names or shapes are another network's; says which.
    """
    found = {name: value for name, value in read_weights(path).items() if not name.startswith(ignore or ("\0",))}
    if wrong := differences(found, module.state_dict()):
        raise CheckpointError(f"{path} is of another network: {len(wrong)} tensors differ, first: {wrong[0]}.")
    module.load_state_dict(found, strict=False)
