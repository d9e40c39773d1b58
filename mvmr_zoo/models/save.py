"""From an encoder in PyTorch to its checkpoint folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mvmr_zoo.architectures import Encoder
from mvmr_zoo.checkpoint import (
    Alignment,
    Checkpoint,
    CheckpointConfig,
    Head,
    difference,
    golden_images,
    read_base,
    write_checkpoint,
)
from mvmr_zoo.inference import weightless_graph, with_alignment
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
    """Write the checkpoint folder of an encoder: weights, graph, golden answers, card; both engines checked.

    Args:
        encoder: it comes back in evaluation mode, on the CPU, its weights rounded to `dtype`.
        folder: where to; a checkpoint folder that stands there is replaced.
        config: its facts. `default_output` is the output that `load` gives by default.
        dtype: the weights are stored in: float32 or float16.
        head: a linear classifier of the features; its class names are in `config`.
        alignment: the map from features to the output `aligned`. It is always stored as float32.
        projector: its tensors by name.
        base: model spec of the weights that the encoder's are stored as the difference from, for example
            `effnet-lite:0`; in float16, whatever `dtype` is. None stores them whole.

    Raises:
        MissingDependencyError: the package of the base is not installed.
        CheckpointError: something else stands there, or ONNX Runtime and PyTorch differ.
    """
    stored = {name: tensor.to(dtype).numpy() for name, tensor in encoder.weights().items()}
    rounded = stored
    if base is not None:
        facts, tensors = read_base(base)
        stored = difference({name: tensor.numpy() for name, tensor in encoder.weights().items()}, tensors)
        rounded = tensors | {name: tensors[name] + delta.astype(np.float32) for name, delta in stored.items()}
        config = replace(config, base=facts)
    encoder.load_weights({name: torch.from_numpy(tensor) for name, tensor in rounded.items()})
    encoder.eval().to("cpu").to(memory_format=torch.contiguous_format)
    px = config.preprocess.crop_px
    with torch.inference_mode():
        golden = encoder(torch.from_numpy(golden_images(px))).numpy()
    graph = weightless_graph(encoder, size_px=px)
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
