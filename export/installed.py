"""Check that the libraries needed to write an export are installed. Reading an export needs none of them."""

from __future__ import annotations

from importlib.util import find_spec

from mvmr_zoo.errors import MissingDependencyError

REQUIRED = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime")


def check_installed(purpose: str) -> None:
    """Raise MissingDependencyError if a library needed for exporting is not installed.

    Args:
        purpose: Purpose of the library, which completes the sentence "... is required to".
    """
    for name in REQUIRED:
        if find_spec(name) is None:
            raise MissingDependencyError(name, "cpu", purpose)
