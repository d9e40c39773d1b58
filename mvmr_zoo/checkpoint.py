"""The checkpoint folder: what the Hub, the wheel, the disk and every command exchange.

NAME/
config.json          facts, preprocessing, and the SHA-256 of every other file
model.safetensors    encoder weights, fp32 or fp16
graph.onnx           the encoder's graph, its weights named, not contained
golden.safetensors   what this encoder must answer on fixed generated images
README.md            the model card
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


SCHEMA_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
GRAPH_FILE = "graph.onnx"
GOLDEN_FILE = "golden.safetensors"
CARD_FILE = "README.md"
GOLDEN_COSINE = 0.9999
_GOLDEN_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """What `config.json` holds.

    Args:
        schema_version: of this layout.
        name: of the model.
        architecture: a name in `encoder.BACKBONES`.
        embedding_dim: D.
        preprocess: how photos become arrays.
        license: of the weights, or `not stated`.
        source: who trained it, from what.
        training: the run that made it, as its own configuration says.
        metrics: measured figures by protocol.
        sha256: of each other file, 64 hexadecimal digits, by file name.
    """

    schema_version: int
    name: str
    architecture: str
    embedding_dim: int
    preprocess: Preprocess
    license: str
    source: str
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose schema and hashes were found right.

    Args:
        folder: where it lies.
        config: its facts.
    """

    folder: Path
    config: CheckpointConfig

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights file."""
        return self.config.sha256[WEIGHTS_FILE]

    def graph(self) -> bytes:
        """The weight-free ONNX graph."""
        return (self.folder / GRAPH_FILE).read_bytes()

    def weights(self) -> dict[str, NDArray[np.generic]]:
        """Every weight by name. Raises CheckpointError for values that are not finite."""
        tensors = _read_tensors(self.folder / WEIGHTS_FILE)
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise CheckpointError(f"{self.folder / WEIGHTS_FILE}: {name} holds values that are not finite.")
        return tensors

    def golden(self) -> NDArray[np.float32]:
        """The features of `golden_images` that the encoder must give, `(4, D)`."""
        path = self.folder / GOLDEN_FILE
        tensors = _read_tensors(path)
        if "features" not in tensors or tensors["features"].ndim != 2:
            raise CheckpointError(f"{path}: expected a matrix named features, got {sorted(tensors)}.")
        return tensors["features"].astype(np.float32)

    def check_golden(self, engine: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> float:
        """The lowest cosine between an engine's answers and the golden ones, at least 0.9999.

        Raises:
            CheckpointError: an answer is further off.
        """
        expected = self.golden()
        got = engine(golden_images(self.config.preprocess.crop_px))
        norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
        worst = float(((expected * got).sum(axis=1) / np.maximum(norms, 1e-12)).min())
        if not worst >= GOLDEN_COSINE:
            raise CheckpointError(
                f"{self.folder / GOLDEN_FILE}: features: cosine {worst:.5f} to the golden answers, "
                f"expected {GOLDEN_COSINE}. The weights are not the ones this folder was made with."
            )
        return worst


def golden_images(px: int) -> NDArray[np.float32]:
    """The fixed images of the golden answers: `(4, 3, px, px)` float32, smooth waves in [-2, 2]."""
    axis = np.linspace(0, 1, px, dtype=np.float64)
    across, down = np.meshgrid(axis, axis)
    images = [
        [2 * np.sin(2 * np.pi * ((i + 1) * across + (c + 1) * down * (i - c) + 0.3 * i * c)) for c in range(3)]
        for i in range(_GOLDEN_IMAGES)
    ]
    return np.asarray(images, dtype=np.float32)


def read_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a folder, its schema and every hash checked.

    Raises:
        CheckpointError: a file is missing or altered, or a field is wrong.
    """
    base = Path(folder)
    config = _read_config(base / CONFIG_FILE)
    for required in (WEIGHTS_FILE, GRAPH_FILE, GOLDEN_FILE):
        if required not in config.sha256:
            raise CheckpointError(f"{base / CONFIG_FILE}: sha256 lacks {required}.")
    for name, expected in config.sha256.items():
        if not isinstance(expected, str):
            raise CheckpointError(f"{base / CONFIG_FILE}: sha256 of {name} is not text.")
        if Path(name).name != name:
            raise CheckpointError(f"{base / CONFIG_FILE}: sha256 names {name!r}, which is not a plain file name.")
        try:
            found = file_digest(base / name)
        except OSError as error:
            raise CheckpointError(f"{base / name}: cannot be read ({error.strerror}).") from None
        if found != expected:
            raise CheckpointError(
                f"{base / name}: SHA-256 {found[:12]}…, but config.json says {expected[:12]}…. "
                "The file was altered or cut short; get the folder again."
            )
    checkpoint = Checkpoint(base, config)
    width = checkpoint.golden().shape[-1]
    if width != config.embedding_dim:
        raise CheckpointError(
            f"{base / CONFIG_FILE}: embedding_dim is {config.embedding_dim}, but {GOLDEN_FILE} has {width} features."
        )
    return checkpoint


def write_checkpoint(
    folder: str | os.PathLike[str],
    config: CheckpointConfig,
    *,
    weights: Mapping[str, NDArray[np.generic]],
    graph: bytes,
    golden: NDArray[np.float32],
    card: str,
) -> Checkpoint:
    """Write a checkpoint folder, whole or not at all, replacing one that stands there.

    Args:
        folder: where to.
        config: its facts; the hashes are filled in here.
        weights: encoder weights by name, fp32 or fp16.
        graph: from `graph.weightless_graph`.
        golden: `(4, D)` the encoder's features of `golden_images`.
        card: the text of its README.md.

    Raises:
        CheckpointError: something else than a checkpoint folder stands there.
    """
    base = Path(folder)
    check_destination(base)
    base.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base.parent, prefix=f".{base.name}-") as scratch:
        work = Path(scratch) / base.name
        work.mkdir()
        tensors = {name: np.ascontiguousarray(w) for name, w in weights.items()}
        (work / WEIGHTS_FILE).write_bytes(save(tensors))  # its own save_file lets nobody else read the file
        (work / GOLDEN_FILE).write_bytes(save({"features": np.ascontiguousarray(golden)}))
        (work / GRAPH_FILE).write_bytes(graph)
        (work / CARD_FILE).write_text(card, encoding="utf-8")
        hashes = {name: file_digest(work / name) for name in (WEIGHTS_FILE, GRAPH_FILE, GOLDEN_FILE)}
        values = asdict(config) | {"sha256": hashes}
        (work / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        replaced = Path(scratch) / "replaced"
        if base.exists():
            base.rename(replaced)
        try:
            work.rename(base)
        except OSError:
            if replaced.exists():
                replaced.rename(base)
            raise
    return read_checkpoint(base)


def check_destination(folder: str | os.PathLike[str]) -> None:
    """Raise CheckpointError where a folder holds anything but a checkpoint: it must not be replaced."""
    base = Path(folder)
    if not os.path.lexists(base) or (base.is_dir() and not any(base.iterdir())):
        return
    try:
        _read_config(base / CONFIG_FILE)
    except CheckpointError:
        raise CheckpointError(f"{base} exists and is not a checkpoint folder; it is left as it is.") from None


def add_metrics(checkpoint: Checkpoint, metrics: Mapping[str, float]) -> None:
    """Write measured figures, as fractions by protocol, into `config.json`."""
    path = checkpoint.folder / CONFIG_FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    values["metrics"] |= metrics
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_config(path: Path) -> CheckpointConfig:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} is not a checkpoint folder: it has no {path.name}.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error}).") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(values).__name__}.")
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: schema_version is {version!r}; this release reads {SCHEMA_VERSION}. "
            "`pip install -U mvmr-zoo` reads newer folders."
        )
    known = {f.name for f in fields(CheckpointConfig)}
    required = known - {"training", "metrics"}
    if missing := sorted(required - values.keys()):
        raise CheckpointError(f"{path}: lacks the field {missing[0]}.")
    if unknown := sorted(values.keys() - known):
        raise CheckpointError(f"{path}: has the unknown field {unknown[0]}.")
    _check_types(path, values)
    try:
        preprocess = Preprocess.from_dict(values["preprocess"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return CheckpointConfig(**(values | {"preprocess": preprocess}))


def _check_types(path: Path, values: Mapping[str, Any]) -> None:
    expected: dict[str, type] = {
        "name": str,
        "architecture": str,
        "embedding_dim": int,
        "preprocess": dict,
        "license": str,
        "source": str,
        "training": dict,
        "metrics": dict,
        "sha256": dict,
    }
    for name, kind in expected.items():
        if name in values and not isinstance(values[name], kind):
            raise CheckpointError(f"{path}: {name} is {type(values[name]).__name__}, expected {kind.__name__}.")


def _read_tensors(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}).") from None
