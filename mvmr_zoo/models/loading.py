"""`load`, `list_models` and `model_info`: load and describe models by name."""

from __future__ import annotations

import contextlib
import copy
import fnmatch
import functools
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from mvmr_zoo.checkpoint import (
    ALIGNMENT_FILE,
    CONFIG_FILE,
    OUTPUTS,
    CheckpointConfig,
    Location,
    ModelCard,
    Output,
    count_parameters,
    read_config,
)
from mvmr_zoo.errors import CheckpointError, ConfigError, closest
from mvmr_zoo.inference import Engine, Model, OnnxEngine, TorchEngine, onnx_engine, torch_encoder, traced_engine
from mvmr_zoo.models import adapters
from mvmr_zoo.models.catalog import CATALOG, DEFAULT_MODEL, PARAMETERS
from mvmr_zoo.models.exported import Exported, ExportedEngine, LogitsEngine, read_exported
from mvmr_zoo.models.paths import zoo_folder, zoo_names
from mvmr_zoo.models.resolve import Found, exported_folder, find, local_folder

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
            f"load got runtime={runtime!r}, device={device!r}; expected auto, onnx or torch, and auto, cpu or cuda."
        )
    if output is not None and output not in OUTPUTS:
        raise ConfigError(f"load got output={output!r}; expected {' or '.join(OUTPUTS)}, or None for the default.")
    if dim is not None and (type(dim) is not int or dim < 1):
        raise ConfigError(f"load got dim={dim!r}; expected at least 1, or None for all.")
    if threads is not None and threads < 1:
        raise ConfigError(f"load got threads={threads}; expected at least 1, or None for one per core.")
    device = _pick_device() if device == "auto" else device
    if (folder := exported_folder(name)) is not None:
        return _load_exported(folder, output, dim, device, runtime, threads or 0)
    if runtime == "auto":
        runtime = "torch" if device == "cuda" else "onnx"
    if runtime == "torch" and threads is not None:
        raise ConfigError(
            f"load got threads={threads} for PyTorch, which has one setting for the whole process; expected None. "
            f"Call torch.set_num_threads({threads}), or use runtime='onnx'."
        )
    if adapters.is_external(name):
        _select_output(name, {"features": 0}, "features", output, dim)
        return _load_external(name, device, runtime, threads or 0)
    return _load_checkpoint(find(name), output, dim, device, runtime, threads or 0)


def list_models(
    pattern: str | None = None,
    *,
    task: str | None = None,
    data: str | None = None,
    license: str | None = None,
    max_params: int | None = None,
    min_metric: Mapping[str, float] | None = None,
) -> list[ModelCard]:
    """List the model cards of the catalog and of the zoo. Models of the package come first, then the order is by name.

    Folders of the zoo that cannot be read are omitted. `damaged_models` returns them.

    Args:
        pattern: A shell wildcard that the name must match, for example `resnet50*`. None lists every name.
        task: `pretraining`, `distillation`, `semi-supervised` or `linear classification`.
        data: Name of a data set that the model was trained on, for example `stl10`.
        license: License of the weights, for example `apache-2.0` or `not stated`.
        max_params: Maximum number of parameters of the encoder.
        min_metric: Minimum values by figure, as fractions, for example `{"stl10/linear": 0.9}`. A measured figure is
            preferred to a published one. Models without the figure are omitted.

    Raises:
        ConfigError: No model has this task, data set, license or figure. The message lists the closest ones.
    """
    damaged = damaged_models()
    cards = [_known_card(name) for name in dict.fromkeys([*CATALOG, *zoo_names()]) if name not in damaged]
    _check_known("task", task, {card.task for card in cards if card.task})
    _check_known("data", data, {name for card in cards for name in card.data})
    _check_known("license", license, {card.license for card in cards})
    thresholds = min_metric or {}
    for name in thresholds:
        figures = {key for card in cards for key in (*card.published, *card.measured)}
        _check_known("min_metric", name, figures | {key.partition("@")[0] for key in figures})

    def matches(card: ModelCard) -> bool:
        values = {name: card.figure(name) for name in thresholds}
        return (
            (pattern is None or fnmatch.fnmatchcase(card.name, pattern))
            and task in (None, card.task)
            and (data is None or data in card.data)
            and license in (None, card.license)
            and (max_params is None or 0 < card.parameters <= max_params)
            and all(figure is not None and figure.value >= thresholds[name] for name, figure in values.items())
        )

    return sorted(filter(matches, cards), key=lambda card: (card.location != "package", card.name))


def damaged_models() -> dict[str, str]:
    """The models of the zoo that have no readable `config.json`, as error messages by name."""
    errors = {}
    for name in zoo_names():
        try:
            read_config(zoo_folder(name) / CONFIG_FILE)
        except CheckpointError as error:
            errors[name] = str(error)
    return errors


def model_info(spec: str) -> ModelCard:
    """Return the card of a model: its architecture, dimension, preprocessing, license, cost and figures.

    Models of the catalog are described without their weights, and external encoders without downloading weights.
    Parameters and multiply-accumulates that are not stored are counted, which needs the library of the network.

    Args:
        spec: Name or spec, as for `load`.

    Raises:
        UnknownModelError: There is no such model. The message lists the closest names.
        CheckpointError: The `config.json` of its folder cannot be read.
        MissingDependencyError: The library of an external encoder is not installed.
        HubError: The Hub cannot be reached, or refuses the request.
    """
    if spec in CATALOG or local_folder(spec) is not None:
        card = _known_card(spec)
    elif (folder := exported_folder(spec)) is not None:
        card = _exported_card(read_exported(folder))
    elif adapters.is_external(spec):
        return adapters.describe_external(spec)
    else:
        found = find(spec)
        card = _card(found.checkpoint.config, found.location, found.name, found.checkpoint.weights_path)
    return card if card.macs else _with_macs(card)


def _known_card(name: str) -> ModelCard:
    """The card of a model in the catalog or the zoo."""
    folder = local_folder(name)
    if folder is not None:
        config = read_config(folder.path / CONFIG_FILE)
        return _card(config, folder.location, name, folder.path / config.weights_file)
    card = CATALOG[name]
    return replace(card, location="hub") if card.pin is not None else card


def _with_macs(card: ModelCard) -> ModelCard:
    """The card with its multiply-accumulates, if its network can be built on this machine."""
    try:
        from mvmr_zoo.architectures import encoder_cost

        return replace(card, macs=encoder_cost(card.architecture, card.input_px).macs)
    except (ImportError, ConfigError):
        return card


def _check_known(option: str, value: str | None, known: set[str]) -> None:
    if value is not None and value not in known:
        near = closest(value, known) or sorted(known)
        raise ConfigError(f"No model has {option} {value!r}. Closest: {', '.join(near)}.")


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
        raise ConfigError(f"load got output={selected!r}; {name} has only {' and '.join(outputs)}. Omit output.")
    if dim is not None and selected == "features":
        advice = "Add output='aligned'." if "aligned" in outputs else "Omit dim."
        raise ConfigError(f"load got dim={dim} for features of {name}, which are not ordered by importance. {advice}")
    if dim is not None and dim > outputs[selected]:
        raise ConfigError(
            f"load got dim={dim}; expected at most {outputs[selected]}, the length of {selected} of {name}."
        )
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
        _card(config, found.location, found.name, checkpoint.weights_path),
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

    signature, config = exported.contract, exported.config
    outputs: dict[Output, int] = {signature.output: signature.embedding_dim}
    selected, kept_dim = _select_output(str(folder), outputs, signature.output, output, dim)
    engine = ExportedEngine(folder, signature, device=device, threads=threads, dim=kept_dim)
    return Model(
        f"local-dir:{folder.resolve()}",
        _exported_card(exported),
        engine,
        exported.digest,
        build,
        class_names=config.class_names,
        scores=config.scores,
        logits=LogitsEngine(engine) if signature.head else None,
        output=selected,
        aligned_dim=kept_dim if selected == "aligned" else 0,
    )


def _exported_card(exported: Exported) -> ModelCard:
    config, signature = exported.config, exported.contract
    return replace(
        _card(config, "path", None),
        name=f"{config.name}-onnx-{signature.dtype}",
        summary=f"{config.name} as ONNX, {signature.dtype}" + ("" if exported.passed else ", did not meet its limits"),
        preprocess=signature.preprocess,
        macs=0,
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
        engine = OnnxEngine(encoder.graph, encoder.tensors, device=device, threads=threads)
    else:
        engine = traced_engine(build(), size_px=encoder.preprocess.crop_px, device=device, threads=threads)
    return Model(spec, encoder.card, engine, encoder.digest, build)


def _card(config: CheckpointConfig, location: Location, name: str | None, weights: Path | None = None) -> ModelCard:
    """The card of a checkpoint folder, completed from the catalog entry of the name that it was found by.

    For an architecture that is not in the catalog, parameters are counted in the weights file.
    """
    entry = CATALOG.get(name) if name is not None else None
    known = entry if entry is not None and entry.architecture == config.architecture else None
    parameters = PARAMETERS.get(config.architecture, known.parameters if known else 0)
    if not parameters and weights is not None:
        with contextlib.suppress(CheckpointError):  # a damaged file still has a card; loading raises the error
            parameters = count_parameters(weights)
    return ModelCard(
        name=name or config.name,
        summary=known.summary if known else config.source,
        architecture=config.architecture,
        embedding_dim=config.embedding_dim,
        preprocess=config.preprocess,
        license=config.license,
        origin=known.origin if known else config.source,
        task=config.task or (known.task if known else ""),
        data=config.data or (known.data if known else ()),
        parameters=parameters,
        macs=known.macs if known and known.preprocess == config.preprocess else 0,
        location=location,
        pin=known.pin if known else None,
        published=known.published if known else {},
        measured=config.metrics,
        aligned_dim=config.aligned_dim,
        default_output=config.default_output,
    )


def _pick_device() -> Literal["cpu", "cuda"]:
    """`cuda` if there is an NVIDIA driver and PyTorch can use it. PyTorch is not imported if there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
