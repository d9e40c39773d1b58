"""Save a PyTorch encoder as a checkpoint folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mvmr_zoo.architectures import Encoder
from mvmr_zoo.architectures.effnet_lite import read_graph
from mvmr_zoo.checkpoint import (
    BASE_KIND,
    Alignment,
    Checkpoint,
    CheckpointConfig,
    Head,
    difference,
    golden_images,
    read_base,
    write_checkpoint,
)
from mvmr_zoo.inference import weightless_graph, with_alignment, with_prefix
from mvmr_zoo.models.verify import verify_checkpoint


def save_encoder(
    encoder: Encoder,
    folder: str | os.PathLike[str],
    config: CheckpointConfig,
    *,
    dtype: torch.dtype = torch.float32,
    head: Head | None = None,
    alignment: Alignment | None = None,
    projector: Mapping[str, Tensor] | None = None,
    base: str | None = None,
) -> Checkpoint:
    """Write the checkpoint folder of an encoder: weights, graph, golden outputs and model card.

    The folder is verified with ONNX Runtime and PyTorch before it is moved into place.

    Args:
        encoder: Encoder to save. It is changed in place: its weights are rounded to the stored precision, and it is
            moved to the CPU and set to evaluation mode.
        folder: Folder to write. An existing checkpoint folder is replaced.
        config: Contents of `config.json`. `default_output` is the output that `load` uses by default.
        dtype: Dtype of the stored weights, float32 or float16. It has no effect if `base` is given.
        head: Linear classifier on the features. Its class names are in `config`.
        alignment: Map from features to the output `aligned`. It is always stored as float32.
        projector: Projector tensors by name.
        base: Model spec of the base weights, for example `effnet-lite:0`. The folder then stores only the difference
            from them, in float16. None stores the full weights.

    Raises:
        MissingDependencyError: The package of the base is not installed.
        CheckpointError: The folder exists and is not a checkpoint, or ONNX Runtime and PyTorch differ.
    """
    stored = {name: tensor.to(dtype).numpy() for name, tensor in encoder.weights().items()}
    rounded = stored
    if base is not None:
        base_facts, base_tensors = read_base(base)
        stored = difference({name: tensor.numpy() for name, tensor in encoder.weights().items()}, base_tensors)
        rounded = base_tensors | {name: base_tensors[name] + delta.astype(np.float32) for name, delta in stored.items()}
        config = replace(config, base=base_facts)
    encoder.load_weights({name: torch.from_numpy(tensor) for name, tensor in rounded.items()})
    encoder.eval().to("cpu").to(memory_format=torch.contiguous_format)
    px = config.preprocess.crop_px
    with torch.inference_mode():
        golden = encoder(torch.from_numpy(golden_images(px))).numpy()
    graph = _graph(encoder, px)
    if alignment is not None:
        graph = with_alignment(graph, alignment.matrix.shape)
    return write_checkpoint(
        folder,
        config,
        weights=stored,
        graph=graph,
        golden=golden,
        head=head,
        alignment=alignment,
        projector=None if projector is None else {name: tensor.numpy() for name, tensor in projector.items()},
        check=verify_checkpoint,
    )


def _graph(encoder: Encoder, px: int) -> bytes:
    """The graph without weights. Those of EfficientNet-Lite are in this package, because tracing them is slow."""
    architecture = encoder.architecture
    if architecture.startswith(BASE_KIND):
        return with_prefix(read_graph(architecture.removeprefix(BASE_KIND)), "backbone.")
    return weightless_graph(encoder, size_px=px)
