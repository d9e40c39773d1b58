"""Writing a checkpoint folder, whole or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from mvmr_zoo._io import replace_folder, scratch_folder, write_whole
from mvmr_zoo.checkpoint.config import CheckpointConfig, read_config, write_config
from mvmr_zoo.checkpoint.files import (
    ALIGNMENT_FILE,
    CONFIG_FILE,
    GOLDEN_FILE,
    GRAPH_FILE,
    HEAD_FILE,
    PROJECTOR_FILE,
    README_FILE,
    file_digest,
)
from mvmr_zoo.checkpoint.read import Checkpoint, Head, read_checkpoint
from mvmr_zoo.checkpoint.readme import readme_text
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
    """Write a checkpoint folder, whole or not at all, replacing one that stands there.

    Args:
        folder: where to.
        config: its facts. The hashes and `aligned_dim` are filled in here.
        weights: encoder weights by name, fp32 or fp16; with `config.base`, their difference from the base.
        graph: from `graph.weightless_graph`.
        golden: `(4, D)` the encoder's features of `golden_images`.
        head: a linear classifier of the features; its class names are in `config`.
        alignment: the map from features to the output `aligned`. The graph must have that output too.
        projector: its weights by name.
        check: is given the checkpoint before it gets its place; what it raises leaves nothing behind.

    Raises:
        CheckpointError: something else than a checkpoint folder stands there, or what was written is not sound.
    """
    base = Path(folder)
    check_destination(base)
    answers = {"features": golden}
    answers |= {"aligned": golden @ alignment.matrix.T} if alignment is not None else {}
    tensors = {config.weights_file: weights, GOLDEN_FILE: answers}
    tensors |= {HEAD_FILE: head._asdict()} if head is not None else {}
    tensors |= {ALIGNMENT_FILE: alignment._asdict()} if alignment is not None else {}
    tensors |= {PROJECTOR_FILE: projector} if projector is not None else {}
    with scratch_folder(base.parent) as scratch:
        work = scratch / base.name
        work.mkdir()
        for name, values in tensors.items():  # safetensors' own save_file lets nobody else read the file
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
    return Checkpoint(base, written.config)


def move_into_place(work: Path, base: Path) -> None:
    """Rename a finished folder to `base`; a checkpoint folder that stands there goes where `work` was, or stays.

    Raises:
        CheckpointError: something else stands there.
    """
    check_destination(base)
    replace_folder(work, base)


def check_destination(folder: str | os.PathLike[str]) -> None:
    """Raise CheckpointError where a folder holds anything but a checkpoint: it must not be replaced."""
    base = Path(folder)
    if not os.path.lexists(base) or (base.is_dir() and not any(base.iterdir())):
        return
    try:
        read_config(base / CONFIG_FILE)
    except CheckpointError:
        raise CheckpointError(f"{base} exists and is not a checkpoint folder; it is left as it is.") from None


def write_facts(folder: Path, config: CheckpointConfig, *, spec: str | None = None) -> None:
    """Write `config.json` and the README.md that goes with it; `spec` is what `load` is given, if not its name."""
    write_whole(folder / README_FILE, readme_text(config, spec=spec))
    write_config(folder / CONFIG_FILE, config)


def add_metrics(checkpoint: Checkpoint, metrics: Mapping[str, Figure]) -> Checkpoint:
    """Write measured figures, by protocol, into `config.json` and the model card; returns the new checkpoint."""
    config = replace(checkpoint.config, metrics={**checkpoint.config.metrics, **metrics})
    write_facts(checkpoint.folder, config)
    return Checkpoint(checkpoint.folder, config)
