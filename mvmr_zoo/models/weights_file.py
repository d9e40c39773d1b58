"""Read weight files without executing code from them."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from mvmr_zoo.errors import CheckpointError, MissingDependencyError, one_line

_OPTION_MODULES = frozenset({"argparse", "omegaconf", "pathlib", "pytorch_lightning", "lightning", "typing"})
"""Modules whose classes Lightning stores next to the weights, as options of the training run."""

_OPTION_TYPES = frozenset({
    "builtins.dict", "builtins.list", "builtins.int", "builtins.float", "builtins.str", "builtins.bool",
    "builtins.frozenset",
    "collections.defaultdict", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
})  # fmt: skip
"""Types inside these options, and types of values that were logged as NumPy scalars."""

_DICT_TYPES = ("AttributeDict", "defaultdict")

_FORBIDDEN_NAME = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)")
_UNPICKLER_MESSAGE = re.compile(r"WeightsUnpickler error:\s*(.+)")


class _IgnoredObject:
    """Placeholder for an option object. It accepts any arguments and state, and stores nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _IgnoredObject:
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        pass


class _IgnoredDict:
    """Placeholder for a dictionary of options. It creates a type that torch can fill."""

    def __new__(cls, *_: Any, **__: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]  # intentional
        return OrderedDict()


_MOST_EXPANSION = 4
"""TorchScript programs, which are refused with a message of their own, contain some compressed text."""


def read_weights_file(path: Path) -> dict[str, Any]:
    """Read the dictionary in a .pth, .ckpt or .safetensors file. Tensors are on the CPU.

    Args:
        path: File to read.

    Raises:
        CheckpointError: The file is truncated, is not a weights file, or refers to code that would be executed. The
            message says which.
        MissingDependencyError: PyTorch is not installed.
    """
    try:
        import torch
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingDependencyError("PyTorch with torchvision", "cpu", "import weights") from error
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file. Expected a weights file: .pth, .ckpt or .safetensors.")
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except Exception as error:  # SafetensorError or OSError
            raise CheckpointError(f"{path} is not a readable safetensors file ({one_line(error)}).") from None
    _check_not_compressed(path)
    placeholders: list[Any] = [
        (_IgnoredDict if name.endswith(_DICT_TYPES) else _IgnoredObject, name) for name in _option_types(path)
    ]
    try:
        with torch.serialization.safe_globals(placeholders), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # every warning is followed by an error
            content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many types of errors for damaged files
        if forbidden := _FORBIDDEN_NAME.search(str(error)):
            raise _unsafe(path, forbidden.group(1)) from None
        message = _UNPICKLER_MESSAGE.search(str(error))  # the text before it advises to execute the file
        reason = one_line(message.group(1) if message else error)
        if reason.startswith("Unsupported operand"):
            reason = "The pickle has instructions that tensors do not need and that may run code. It was not executed."
        raise CheckpointError(f"{path} cannot be read as weights. It may be truncated. {reason}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} contains {type(content).__name__}; expected a dictionary of weights.")
    return content


def _check_not_compressed(path: Path) -> None:
    """Raise CheckpointError if a file says that it holds much more than its size. `torch.save` does not compress."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return  # the legacy format, or a damaged file, for which torch.load raises an error
    total = sum(entry.file_size for entry in entries)
    if total > _MOST_EXPANSION * path.stat().st_size:
        raise CheckpointError(
            f"{path} is a compressed archive of {total / 1e6:,.0f} MB; expected a file that torch.save wrote."
        )


def _option_types(path: Path) -> list[str]:
    """Names of the types in a pickle other than tensors. All of them are known to be harmless.

    Raises:
        CheckpointError: A type is not known to be harmless and may run code.
    """
    import torch

    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError as error:
        if "torchscript" in str(error):
            raise CheckpointError(f"{path} is a TorchScript program; expected weights as a state dict.") from None
        return []  # the legacy format without a zip archive, which torch.load reads with weights_only
    except Exception:  # a damaged file, for which torch.load raises an error
        return []
    for name in names:
        if name.partition(".")[0] not in _OPTION_MODULES and name not in _OPTION_TYPES:
            raise _unsafe(path, name)
    return names


def _unsafe(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: the pickle refers to {name}, which is not a tensor and may run code. It was not executed. "
        "Ask the author for a file that contains only tensors."
    )
