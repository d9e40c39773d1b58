"""The checkpoint folder: what the Hub, the wheel, the disk and every command exchange.

NAME/
config.json          facts, preprocessing, and the SHA-256 of every other file
model.safetensors    encoder weights, fp32 or fp16
graph.onnx           the encoder's graph, its weights named, not contained
golden.safetensors   what this encoder must answer on fixed generated images
head.safetensors     optional linear classifier of the features; its class names are in config.json
README.md            the model card
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mvmr_zoo.errors import CheckpointError
from mvmr_zoo.manifest import SCHEMA_VERSION, CheckpointConfig, read_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
GRAPH_FILE = "graph.onnx"
GOLDEN_FILE = "golden.safetensors"
HEAD_FILE = "head.safetensors"
CARD_FILE = "README.md"
GOLDEN_COSINE = 0.9999
_GOLDEN_IMAGES = 4

__all__ = [
    "SCHEMA_VERSION",
    "Checkpoint",
    "CheckpointConfig",
    "Head",
    "add_metrics",
    "check_destination",
    "golden_images",
    "read_checkpoint",
    "write_checkpoint",
]


class Head(NamedTuple):
    """A linear classifier of features: logits are `features @ weight.T + bias`.

    Shapes: `weight` `(classes, D)` float32, `bias` `(classes,)` float32.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


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

    def head(self) -> Head | None:
        """The linear classifier, where there is one.

        Raises:
            CheckpointError: its shape does not fit the encoder or the class names.
        """
        if HEAD_FILE not in self.config.sha256:
            return None
        path = self.folder / HEAD_FILE
        tensors = _read_tensors(path)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        classes = len(self.config.class_names)
        if shapes != {"weight": (classes, self.config.embedding_dim), "bias": (classes,)}:
            raise CheckpointError(
                f"{path}: holds {shapes}; expected weight ({classes}, {self.config.embedding_dim}) and bias "
                f"({classes},), as config.json's class_names and embedding_dim say."
            )
        return Head(tensors["weight"].astype(np.float32), tensors["bias"].astype(np.float32))

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
    config = read_config(base / CONFIG_FILE)
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
    checkpoint.head()
    return checkpoint


def write_checkpoint(
    folder: str | os.PathLike[str],
    config: CheckpointConfig,
    *,
    weights: Mapping[str, NDArray[np.generic]],
    graph: bytes,
    golden: NDArray[np.float32],
    card: str,
    head: Head | None = None,
) -> Checkpoint:
    """Write a checkpoint folder, whole or not at all, replacing one that stands there.

    Args:
        folder: where to.
        config: its facts; the hashes are filled in here.
        weights: encoder weights by name, fp32 or fp16.
        graph: from `graph.weightless_graph`.
        golden: `(4, D)` the encoder's features of `golden_images`.
        card: the text of its README.md.
        head: a linear classifier of the features; its class names are in `config`.

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
        files = [WEIGHTS_FILE, GRAPH_FILE, GOLDEN_FILE]
        if head is not None:
            (work / HEAD_FILE).write_bytes(save(head._asdict()))
            files.append(HEAD_FILE)
        hashes = {name: file_digest(work / name) for name in files}
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
        read_config(base / CONFIG_FILE)
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


def _read_tensors(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}).") from None
