"""Whether what writes an export is installed. Reading one needs none of it."""

from __future__ import annotations

from importlib.util import find_spec

from mvmr_zoo.errors import MissingDependencyError

NEEDED = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime")


def check_installed(purpose: str) -> None:
    """Raise MissingDependencyError where a library that writes exports is not installed.

    Args:
        purpose: what it is needed for, as the end of "... is needed to".
    """
    for name in NEEDED:
        if find_spec(name) is None:
            raise MissingDependencyError(name, "cpu", purpose)
