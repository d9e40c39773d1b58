"""Description of the machine for reports: processor, system, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path

_PACKAGES = ("mvmr-zoo", "numpy", "faiss-cpu", "onnx", "onnxruntime", "onnxruntime-gpu", "torch")


def machine() -> dict[str, str]:
    """Processor, number of cores, system, and package versions, by name."""
    versions = {}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    """The name of the processor from Linux, or its architecture on other systems."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
