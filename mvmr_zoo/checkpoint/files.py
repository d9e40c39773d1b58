"""The files of a checkpoint folder: their names and tensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from mvmr_zoo._io import check_regular
from mvmr_zoo.architectures import is_statistic
from mvmr_zoo.errors import CheckpointError, one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
DELTA_FILE = "delta.safetensors"
GRAPH_FILE = "graph.onnx"
GOLDEN_FILE = "golden.safetensors"
HEAD_FILE = "head.safetensors"
ALIGNMENT_FILE = "alignment.safetensors"
PROJECTOR_FILE = "projector.safetensors"
README_FILE = "README.md"

NEEDED = (GRAPH_FILE, GOLDEN_FILE)
"""Files that every folder has besides its weights, with a hash in `config.json`."""

HASHED = (WEIGHTS_FILE, DELTA_FILE, *NEEDED, HEAD_FILE, ALIGNMENT_FILE, PROJECTOR_FILE)
"""Files that can have a hash in `config.json`."""


def read_tensors(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read the tensors of a safetensors file by name. Raises CheckpointError if the file is not one."""
    try:
        with safe_open(check_regular(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: NumPy does not have the dtype
        raise CheckpointError(f"{path} is not a readable safetensors file ({one_line(error)}).") from None


def count_parameters(path: Path) -> int:
    """Count the parameters in a weights file, without batch norm statistics. Only the header of the file is read.

    Raises:
        CheckpointError: The file is not a safetensors file.
    """
    try:
        with safe_open(check_regular(path), framework="numpy") as file:
            names = [name for name in file.keys() if not is_statistic(name)]
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({one_line(error)}).") from None
