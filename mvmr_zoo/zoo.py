"""`load`, `list_models`, `model_info`: from a name to a model that embeds photos."""

from __future__ import annotations

import copy
import os
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mvmr_zoo import foreign
from mvmr_zoo.catalog import CATALOG, DEFAULT_MODEL, ModelCard, closest_names
from mvmr_zoo.checkpoint import CONFIG_FILE, GRAPH_FILE, WEIGHTS_FILE, Checkpoint, read_checkpoint
from mvmr_zoo.errors import CheckpointError, ConfigError, MissingDependencyError, MvmrError, UnknownModelError
from mvmr_zoo.model import Model
from mvmr_zoo.runtime import Engine, OnnxEngine, TorchEngine

if TYPE_CHECKING:
    from torch import nn

Runtime = Literal["auto", "onnx", "torch"]
Device = Literal["auto", "cpu", "cuda"]


def load(spec: str | os.PathLike[str] = DEFAULT_MODEL, *, device: Device = "auto", runtime: Runtime = "auto") -> Model:
    """The model of a name, a checkpoint folder, or a foreign encoder's spec.

    Args:
        spec: `resnet18-imagenette-kd`, a path, `local-dir:PATH`; or another's encoder: `effnet-lite:0`,
            `open_clip:ARCH/TAG`, `timm:NAME`, `torchvision:NAME`, each of the three also with `@FILE` of
            weights, or `onnx:FILE`.
        device: `auto` takes CUDA where there is an NVIDIA driver and PyTorch can use it.
        runtime: `auto` is ONNX Runtime on a CPU and PyTorch on CUDA.

    Raises:
        UnknownModelError: nothing answers to the spec; lists what was tried and the closest names.
        CheckpointError: the folder is damaged.
        ConfigError: an unknown runtime or device, or CUDA where there is none.
        MissingDependencyError: what it needs is not installed.
    """
    name = os.fspath(spec)
    if runtime not in ("auto", "onnx", "torch") or device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"load got runtime={runtime!r}, device={device!r}; expected auto, onnx or torch, and auto, cpu or cuda."
        )
    device = _pick_device() if device == "auto" else device
    if runtime == "auto":
        runtime = "torch" if device == "cuda" else "onnx"
    if foreign.is_foreign(name):
        return _load_foreign(name, device, runtime)
    return _load_checkpoint(find_checkpoint(name), device, runtime)


def find_checkpoint(spec: str) -> Checkpoint:
    """The checkpoint folder of a spec: a path, or a model bundled in the package.

    Raises:
        UnknownModelError: nothing answers to it.
    """
    if spec.startswith("local-dir:"):
        return read_checkpoint(spec.removeprefix("local-dir:"))
    if os.path.exists(Path(spec) / CONFIG_FILE):
        return read_checkpoint(spec)
    bundled = _bundled_folder(spec)
    if bundled is not None:
        return read_checkpoint(bundled)
    raise UnknownModelError(_not_found(spec))


def list_models() -> list[ModelCard]:
    """The card of every model in the catalogue, bundled ones first."""
    return sorted((model_info(name) for name in CATALOG), key=lambda card: (not card.bundled, card.name))


def model_info(name: str) -> ModelCard:
    """The card of a catalogue model, with the figures measured for it where its folder is here.

    Raises:
        UnknownModelError: the catalogue has no such name.
    """
    if name not in CATALOG:
        raise UnknownModelError(_not_found(name))
    bundled = _bundled_folder(name)
    return _card(read_checkpoint(bundled)) if bundled is not None else CATALOG[name]


def _load_checkpoint(checkpoint: Checkpoint, device: str, runtime: str) -> Model:
    config = checkpoint.config

    def build() -> nn.Module:
        try:
            import torch

            from mvmr_zoo.encoder import Encoder
        except ImportError as error:
            raise MissingDependencyError("PyTorch with torchvision", "cpu", "use the encoder as a module") from error
        encoder = Encoder(config.architecture)
        try:
            encoder.load_weights({k: torch.from_numpy(w) for k, w in checkpoint.weights().items()})
        except ValueError as error:
            raise CheckpointError(f"{checkpoint.folder / WEIGHTS_FILE}: {error}.") from None
        return encoder.eval()

    engine: Engine
    if runtime == "torch":
        engine = TorchEngine(build(), device=device)
    else:
        weights = checkpoint.weights()
        try:
            engine = OnnxEngine(checkpoint.graph(), weights, device=device)
        except MvmrError:
            raise
        except Exception as error:  # ONNX Runtime's own tree has no common root
            raise CheckpointError(
                f"{checkpoint.folder / WEIGHTS_FILE} does not fit {GRAPH_FILE}: {str(error).splitlines()[0]}"
            ) from None
    return Model(_spec(checkpoint), _card(checkpoint), config.preprocess, engine, checkpoint.weights_digest, build)


def _load_foreign(spec: str, device: str, runtime: str) -> Model:
    encoder = foreign.load_foreign(spec)

    def build() -> nn.Module:
        if encoder.module is None:
            raise ConfigError(f"{spec} is an ONNX graph; it cannot be had as a PyTorch module.")
        return copy.deepcopy(encoder.module).cpu()

    engine: Engine
    if runtime == "torch":
        engine = TorchEngine(build(), device=device)
    elif encoder.graph is not None:
        engine = OnnxEngine(encoder.graph, {}, device=device)
    else:
        from mvmr_zoo.graph import external_names, weightless_graph

        graph = weightless_graph(build(), size_px=encoder.preprocess.crop_px, dynamic_size=False)
        weights = {name: tensor.numpy() for name, tensor in encoder.weights().items()}
        weights = {name: weights[name] for name in external_names(graph)}  # some are folded into constants
        engine = OnnxEngine(graph, weights, device=device)
    return Model(spec, encoder.card, encoder.preprocess, engine, encoder.digest, build)


def _card(checkpoint: Checkpoint) -> ModelCard:
    config = checkpoint.config
    bundled = _is_bundled(checkpoint)
    return ModelCard(
        name=config.name,
        summary=CATALOG[config.name].summary if bundled else f"checkpoint folder {checkpoint.folder}",
        architecture=config.architecture,
        embedding_dim=config.embedding_dim,
        input_px=config.preprocess.crop_px,
        license=config.license,
        source=config.source,
        bundled=bundled,
        measured={name: value for name, value in config.metrics.items() if isinstance(value, float)},
    )


def _is_bundled(checkpoint: Checkpoint) -> bool:
    return checkpoint.folder == _bundled_folder(checkpoint.config.name)


def _spec(checkpoint: Checkpoint) -> str:
    return checkpoint.config.name if _is_bundled(checkpoint) else os.fspath(checkpoint.folder.resolve())


def _bundled_folder(name: str) -> Path | None:
    if name not in CATALOG or not CATALOG[name].bundled:
        return None
    folder = Path(str(resources.files("mvmr_zoo"))) / "bundled" / name
    return folder if (folder / CONFIG_FILE).exists() else None


def _not_found(spec: str) -> str:
    tried = f"no folder {spec!r} with a {CONFIG_FILE}, no model of that name in this package"
    if spec in CATALOG:
        return (
            f"{spec!r} is in the catalogue, but its weights are not on this machine ({tried}). "
            f"Its authors publish them at {CATALOG[spec].source}."
        )
    near = closest_names(spec)
    hint = f"Closest: {', '.join(near)}. " if near else ""
    return f"No model answers to {spec!r}: {tried}. {hint}`mvmr-zoo models` lists them all."


def _pick_device() -> Literal["cpu", "cuda"]:
    """CUDA where there is an NVIDIA driver and PyTorch can use it; without a driver nothing is imported."""
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
