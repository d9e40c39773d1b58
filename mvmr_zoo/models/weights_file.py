"""Weight files, read without executing anything in them."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

from mvmr_zoo.errors import CheckpointError, MissingDependencyError, one_line

_OPTIONS = frozenset({"argparse", "omegaconf", "pathlib", "pytorch_lightning", "lightning", "typing"})
"""Modules whose classes Lightning writes beside the weights: options of the run."""

_BUILTIN = frozenset({
    "builtins.dict", "builtins.list", "builtins.int", "builtins.float", "builtins.str", "builtins.bool",
    "builtins.frozenset",
    "collections.defaultdict", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
})  # fmt: skip
"""Names that such options, and figures logged as NumPy numbers, bring along."""

_DICTIONARIES = ("AttributeDict", "defaultdict")

_FORBIDDEN = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")
_TOLD = re.compile(r"WeightsUnpickler error:\s*(.+)")


class _Unread:
    """What stands for an option of the run: it takes anything, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Unread:
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        pass


class _UnreadDict:
    """What stands for a dictionary of options: one that torch lets be filled and built."""

    def __new__(cls, *_: Any, **__: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]  # on purpose
        return OrderedDict()


def read_weights_file(path: Path) -> dict[str, Any]:
    """The dictionary in a .pth, .ckpt or .safetensors file, its tensors on the CPU.

    Raises:
        CheckpointError: the file is cut short, is not such a file, or names code to be run; says which.
    """
    try:
        import torch
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError("PyTorch with torchvision", "cpu", "import weights") from error
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file. Expected the weights, as .pth, .ckpt or .safetensors.")
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except Exception as error:  # its own error, or OSError
            raise CheckpointError(f"{path} is not a readable safetensors file ({one_line(error)}).") from None
    stand_ins: list[Any] = [
        (_UnreadDict if name.endswith(_DICTIONARIES) else _Unread, name) for name in _names_beyond_tensors(path)
    ]
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of, it then raises
            found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises whatever it likes on damaged files
        if forbidden := _FORBIDDEN.search(str(error)):
            raise _would_run(path, forbidden.group(1)) from None
        told = _TOLD.search(str(error))  # what comes before it advises to execute the file
        said = one_line(told.group(1) if told else error)
        if said.startswith("Unsupported operand"):
            said = "its pickle has instructions that tensors do not need and that may run code; it was not executed"
        raise CheckpointError(f"{path} cannot be read as weights, or was cut short: {said}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds {type(found).__name__}; expected a dictionary of weights.")
    return found


def _names_beyond_tensors(path: Path) -> list[str]:
    """Classes that a pickle names beyond tensors, all of them harmless.

    Raises:
        CheckpointError: one is not, and would run code.
    """
    import torch

    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError as error:
        if "torchscript" in str(error):
            raise CheckpointError(f"{path} is a TorchScript program; expected weights, as a state dict.") from None
        return []  # the format before zip files: torch.load reads it weights-only
    except Exception:  # damaged: torch.load says so
        return []
    for name in names:
        if name.partition(".")[0] not in _OPTIONS and name not in _BUILTIN:
            raise _would_run(path, name)
    return names


def _would_run(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: its pickle asks for {name}, which is not a tensor and may run code. It was not executed. "
        "Ask whoever made the file for one of tensors alone."
    )
