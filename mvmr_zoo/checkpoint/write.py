"""Write checkpoint folders atomically."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from mvmr_zoo._io import replace_folder, scratch_folder, write_whole
from mvmr_zoo.checkpoint.card_text import readme_text
from mvmr_zoo.checkpoint.config import CheckpointConfig, read_config, write_config
from mvmr_zoo.checkpoint.files import (
    ALIGNMENT_FILE,
    CONFIG_FILE,
    GOLDEN_FILE,
    GRAPH_FILE,
    HEAD_FILE,
    PROJECTOR_FILE,
    README_FILE,
)
from mvmr_zoo.checkpoint.hashes import file_digest
from mvmr_zoo.checkpoint.read import Checkpoint, Head, read_checkpoint
from mvmr_zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mvmr_zoo.checkpoint.alignment import Alignment
    from mvmr_zoo.checkpoint.card import Figure


def write_checkpoint(
    folder: str | os.PathLike[str],
    config: CheckpointConfig,
    *,
    weights: Mapping[str, NDArray[np.generic]],
    graph: bytes,
    golden: NDArray[np.float32],
    head: Head | None = None,
    alignment: Alignment | None = None,
    projector: Mapping[str, NDArray[np.generic]] | None = None,
    check: Callable[[Checkpoint], object] | None = None,
) -> Checkpoint:
    """Write a checkpoint folder atomically. An existing checkpoint folder is replaced.

    Args:
        folder: Folder to write.
        config: Contents of `config.json`. This function sets the hashes and `aligned_dim`.
        weights: Encoder weights by name, fp32 or fp16. With `config.base`, their difference from the base.
        graph: ONNX graph from `weightless_graph`.
        golden: Features of `golden_images`, `(4, D)`.
        head: Linear classifier on the features. Its class names are in `config`.
        alignment: Map from features to the output `aligned`. The graph must have this output too.
        projector: Projector weights by name.
        check: Function that checks the new checkpoint before it is moved into place. If it raises an error, nothing is
            left behind.

    Raises:
        CheckpointError: The folder exists and is not a checkpoint, or the new checkpoint is not valid.
    """
    base = Path(folder)
    check_destination(base)
    golden_outputs = {"features": golden}
    golden_outputs |= {"aligned": golden @ alignment.matrix.T} if alignment is not None else {}
    tensors = {config.weights_file: weights, GOLDEN_FILE: golden_outputs}
    tensors |= {HEAD_FILE: head._asdict()} if head is not None else {}
    tensors |= {ALIGNMENT_FILE: alignment._asdict()} if alignment is not None else {}
    tensors |= {PROJECTOR_FILE: projector} if projector is not None else {}
    with scratch_folder(base.parent) as scratch:
        work = scratch / base.name
        work.mkdir()
        for name, values in tensors.items():  # safetensors' save_file creates files that only the owner can read
            (work / name).write_bytes(save({key: np.ascontiguousarray(value) for key, value in values.items()}))
        (work / GRAPH_FILE).write_bytes(graph)
        hashes = {name: file_digest(work / name) for name in (*tensors, GRAPH_FILE)}
        aligned_dim = 0 if alignment is None else len(alignment.matrix)
        complete = replace(config, aligned_dim=aligned_dim, sha256=hashes)
        write_facts(work, complete)
        written = read_checkpoint(work)
        if check is not None:
            check(written)
        move_into_place(work, base)
    return replace(written, folder=base)


def move_into_place(work: Path, base: Path) -> None:
    """Move a finished folder to `base`, and replace an existing checkpoint folder.

    Args:
        work: Finished folder. A replaced folder is moved next to it, and restored if the move fails.
        base: Destination.

    Raises:
        CheckpointError: The destination exists and is not a checkpoint folder.
    """
    check_destination(base)
    replace_folder(work, base)


def check_destination(folder: str | os.PathLike[str]) -> None:
    """Raise CheckpointError if a path exists and is neither a checkpoint folder nor an empty folder."""
    base = Path(folder)
    if not os.path.lexists(base) or (base.is_dir() and not any(base.iterdir())):
        return
    try:
        read_config(base / CONFIG_FILE)
    except CheckpointError:
        raise CheckpointError(
            f"{base} exists and is not a checkpoint folder. It was not changed. Choose another path."
        ) from None


def write_facts(folder: Path, config: CheckpointConfig, *, spec: str | None = None) -> None:
    """Write `config.json` and the matching README.md.

    Args:
        folder: Checkpoint folder.
        config: Contents of `config.json`.
        spec: Spec for `load` in the example of the README. None uses the name of the model.
    """
    write_whole(folder / README_FILE, readme_text(config, spec=spec))
    write_config(folder / CONFIG_FILE, config)


def add_metrics(checkpoint: Checkpoint, metrics: Mapping[str, Figure]) -> Checkpoint:
    """Add measured figures by protocol to `config.json` and the model card. Returns the new checkpoint."""
    config = replace(checkpoint.config, metrics={**checkpoint.config.metrics, **metrics})
    write_facts(checkpoint.folder, config)
    return replace(checkpoint, config=config)
