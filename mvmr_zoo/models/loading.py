"""`load`: from the spec of a model to a `Model`."""

from __future__ import annotations

import copy
import functools
import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from mvmr_zoo.checkpoint import ALIGNMENT_FILE, OUTPUTS, Output
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.inference import (
    Engine,
    Model,
    OnnxEngine,
    TorchEngine,
    onnx_engine,
    onnx_errors,
    torch_encoder,
    traced_engine,
)
from mvmr_zoo.models import adapters
from mvmr_zoo.models.catalog import DEFAULT_MODEL
from mvmr_zoo.models.describe import checkpoint_card, exported_card
from mvmr_zoo.models.exported import ExportedEngine, LogitsEngine, read_exported
from mvmr_zoo.models.resolve import Found, exported_folder, find

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

Runtime = Literal["auto", "onnx", "torch"]
Device = Literal["auto", "cpu", "cuda"]


def load(
    spec: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    output: Output | None = None,
    dim: int | None = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    threads: int | None = None,
) -> Model:
    """Load a model by name, by path, or by the spec of an external encoder.

    Args:
        spec: A catalog or zoo name such as `effnet-lite1-whitened`, a path or `local-dir:PATH` of a checkpoint folder
            or an exported folder, or `hf-hub:ORG/NAME@REVISION`. Encoders from other projects are `effnet-lite:0`,
            `open_clip:ARCH/TAG`, `timm:NAME`, `torchvision:NAME` and `onnx:FILE`. `open_clip`, `timm` and
            `torchvision` also accept `@FILE` with weights.
        output: `features`, the pooled output of the backbone, or `aligned`, its projection into the teacher's space or
            its whitened components. Not every encoder has `aligned`. None uses the default of the model.
        dim: Number of leading dimensions of `aligned` to keep. They are ordered by importance. None keeps all.
        device: `cpu`, `cuda` or `auto`. `auto` uses CUDA if there is an NVIDIA driver and PyTorch can use it.
        runtime: `onnx`, `torch` or `auto`. `auto` uses ONNX Runtime on a CPU and PyTorch on CUDA.
        threads: Number of CPU threads of ONNX Runtime for this model, at least 1. None uses one per core. It must be
            None for PyTorch, which has one number of threads for the whole process. Call `torch.set_num_threads`.

    Raises:
        UnknownModelError: There is no such model. The message lists the searched locations and the closest names.
        CheckpointError: The folder is damaged.
        HubError: The Hub cannot be reached, or refuses the request.
        ConfigError: The runtime, device or output is unknown, the encoder lacks the output, `dim` is out of range or
            given with features, CUDA is not available, or `threads` is below 1 or given with PyTorch.
        MissingDependencyError: A library that the model needs is not installed.
    """
    name = os.fspath(spec)
    if runtime not in ("auto", "onnx", "torch") or device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"runtime is {runtime!r} and device is {device!r}; expected runtime auto, onnx or torch, and device auto, "
            "cpu or cuda."
        )
    if output is not None and output not in OUTPUTS:
        raise ConfigError(f"output is {output!r}; expected {' or '.join(OUTPUTS)}, or None for the default.")
    if dim is not None and (type(dim) is not int or dim < 1):
        raise ConfigError(f"dim is {dim!r}; expected at least 1, or None for all.")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}; expected at least 1, or None for one per core.")
    device = _pick_device() if device == "auto" else device
    if (folder := exported_folder(name)) is not None:
        return _load_exported(folder, output, dim, device, runtime, threads or 0)
    if runtime == "auto":
        runtime = "torch" if device == "cuda" else "onnx"
    if runtime == "torch" and threads is not None:
        raise ConfigError(
            f"threads is {threads}, but PyTorch has one setting for the whole process; expected None. "
            f"Call torch.set_num_threads({threads}), or use runtime='onnx'."
        )
    if adapters.is_external(name):
        _select_output(name, {"features": 0}, "features", output, dim)
        return _load_external(name, device, runtime, threads or 0)
    return _load_checkpoint(find(name), output, dim, device, runtime, threads or 0)


def _select_output(
    name: str, outputs: Mapping[Output, int], default: Output, output: Output | None, dim: int | None
) -> tuple[Output, int]:
    """Select the output and its number of dimensions.

    Args:
        name: The name that `load` was given.
        outputs: The length of each output that the encoder has.
        default: The output if `output` is None.
        output: The requested output.
        dim: The requested number of dimensions, at least 1.

    Raises:
        ConfigError: The encoder has no such output, the output is shorter, or `dim` is given for features.
    """
    selected = output or default
    if selected not in outputs:
        raise ConfigError(f"output is {selected!r}, but {name} has only {' and '.join(outputs)}. Omit output.")
    if dim is not None and selected == "features":
        advice = "Add output='aligned'." if "aligned" in outputs else "Omit dim."
        raise ConfigError(f"dim is {dim}, but the features of {name} are not ordered by importance. {advice}")
    if dim is not None and dim > outputs[selected]:
        raise ConfigError(f"dim is {dim}; expected at most {outputs[selected]}, the length of {selected} of {name}.")
    return selected, dim or outputs[selected]


def _load_checkpoint(
    found: Found, output: Output | None, dim: int | None, device: str, runtime: str, threads: int
) -> Model:
    checkpoint = found.checkpoint
    config = checkpoint.config
    selected, kept_dim = _select_output(found.spec, config.outputs, config.default_output, output, dim)
    alignment = checkpoint.alignment
    build = functools.partial(torch_encoder, checkpoint)
    features: Engine
    engine: Engine
    if runtime == "torch":
        features = engine = TorchEngine(build(), device=device)
        if selected == "aligned" and alignment is not None:
            engine = features.aligned(alignment.matrix[:kept_dim])
    else:
        features = engine = onnx_engine(checkpoint, device, threads)
        if selected == "aligned":
            engine = features.aligned(kept_dim)
    return Model(
        found.spec,
        checkpoint_card(config, found.location, found.name, checkpoint.weights_path),
        engine,
        checkpoint.weights_digest,
        build,
        head=checkpoint.head,
        class_names=config.class_names,
        scores=config.scores,
        output=selected,
        aligned_dim=kept_dim if selected == "aligned" else 0,
        alignment=alignment,
        alignment_digest=config.sha256.get(ALIGNMENT_FILE, ""),
        features_engine=features,
    )


def _load_exported(
    folder: Path, output: Output | None, dim: int | None, device: str, runtime: str, threads: int
) -> Model:
    exported = read_exported(folder)
    onnx_only = ConfigError(
        f"{folder} is an ONNX export and cannot be loaded as a PyTorch module. Load its checkpoint instead."
    )
    if runtime == "torch":
        raise onnx_only

    def build() -> nn.Module:
        raise onnx_only

    signature, config = exported.signature, exported.config
    outputs: dict[Output, int] = {signature.output: signature.embedding_dim}
    selected, kept_dim = _select_output(str(folder), outputs, signature.output, output, dim)
    engine = ExportedEngine(folder, signature, device=device, threads=threads, dim=kept_dim)
    return Model(
        f"local-dir:{folder.resolve()}",
        exported_card(exported),
        engine,
        exported.digest,
        build,
        class_names=config.class_names,
        scores=config.scores,
        logits=LogitsEngine(engine) if signature.head else None,
        output=selected,
        aligned_dim=kept_dim if selected == "aligned" else 0,
    )


def _load_external(spec: str, device: str, runtime: str, threads: int) -> Model:
    encoder = adapters.load_external(spec)

    def build() -> nn.Module:
        if encoder.build is not None:
            return encoder.build()
        if encoder.module is None:
            raise ConfigError(f"{spec} is an ONNX graph and cannot be loaded as a PyTorch module.")
        return copy.deepcopy(encoder.module).cpu()

    engine: Engine
    if runtime == "torch":
        engine = TorchEngine(build(), device=device)
    elif encoder.graph is not None:
        with onnx_errors(f"{spec} cannot be loaded"):
            engine = OnnxEngine(encoder.graph, encoder.tensors, device=device, threads=threads)
    else:
        engine = traced_engine(build(), size_px=encoder.preprocess.crop_px, device=device, threads=threads)
    return Model(spec, encoder.card, engine, encoder.digest, build)


def _pick_device() -> Literal["cpu", "cuda"]:
    """`cuda` if there is an NVIDIA driver and PyTorch can use it. PyTorch is not imported if there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
