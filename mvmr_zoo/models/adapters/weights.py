"""Load weight files that a spec names: `KIND:NAME@FILE`."""

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
    """Split `NAME@FILE` into NAME and FILE. FILE is None if there is no `@`.

    Raises:
        UnknownModelError: The file does not exist.
    """
    network, separator, file = name.partition("@")
    if not separator:
        return network, None
    path = Path(os.path.expanduser(file))
    if not path.is_file():
        raise UnknownModelError(f"{path} is not a file. Expected a weights file for {network}: .safetensors or .pth.")
    return network, path


def unavailable(spec: str, error: Exception, *, file_spec: str = "", origin: str = "the file") -> UnknownModelError:
    """The error for weights that are not on this machine and cannot be downloaded.

    Args:
        spec: Spec of the encoder.
        error: Error of the download.
        file_spec: Spec to combine with `@FILE`. Empty for `spec`.
        origin: What to download instead: an address, or a description.
    """
    return UnknownModelError(
        f"The weights of {spec} are not on this machine and cannot be downloaded ({one_line(error)}). "
        f"Download {origin} on another machine and load {file_spec or spec}@FILE."
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or a PyTorch state dict. No code in the file is executed.

    Raises:
        CheckpointError: The file has neither format.
    """
    content = read_weights_file(path)
    for key in ("state_dict", "model"):
        if isinstance(content.get(key), dict):
            content = content[key]
    state = {name.removeprefix("module."): value for name, value in content.items() if hasattr(value, "shape")}
    if not state:
        raise CheckpointError(f"{path} contains no tensors.")
    return state


def fill(module: nn.Module, path: Path, *, ignore: tuple[str, ...] = ()) -> None:
    """Load a weights file into a network.

    Args:
        module: Network to fill.
        path: Weights file.
        ignore: Prefixes of tensor names to skip, for example those of a removed classifier.

    Raises:
        CheckpointError: The names or shapes are those of another network. The message names the first difference.
    """
    tensors = {name: value for name, value in read_weights(path).items() if not name.startswith(ignore or ("\0",))}
    if wrong := differences(tensors, module.state_dict()):
        raise CheckpointError(
            f"{path} belongs to another network. {len(wrong)} tensors differ. First difference: {wrong[0]}."
        )
    module.load_state_dict(tensors, strict=False)
