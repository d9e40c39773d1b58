"""Fixtures: real photos, a small real checkpoint, optional real data."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from mvmr_zoo._io import write_whole
from mvmr_zoo.architectures.encoder import Encoder
from mvmr_zoo.checkpoint import (
    SCHEMA_VERSION,
    Alignment,
    Checkpoint,
    CheckpointConfig,
    Head,
    alignment_from_projector,
    read_checkpoint,
)
from mvmr_zoo.datasets.samples import make_view, photographs
from mvmr_zoo.images import read_image
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.inference.graph import weightless_graph
from mvmr_zoo.models.save import save_encoder

from .command_line import Typed, Typist
from .hub_server import HubServer

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint.card import Output

    from .exported_folders import ExportedFolders

PX = 32


def shaken(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The network in evaluation mode, its batch norm as if it had been trained."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


def shallow(encoder: Encoder) -> Encoder:
    """A ResNet of which two blocks remain in the first stage and one in each other: every kind of block."""
    for number in range(1, 5):
        stage = getattr(encoder.backbone, f"layer{number}")
        setattr(encoder.backbone, f"layer{number}", stage[: 2 if number == 1 else 1])
    return encoder


def make_checkpoint(
    folder: Path,
    architecture: str = "resnet8x4",
    *,
    seed: int = 0,
    projector: bool = False,
    license: str = "apache-2.0",
    head: Head | None = None,
    class_names: tuple[str, ...] = (),
    alignment: Alignment | None = None,
    default_output: Output = "features",
) -> Checkpoint:
    """A checkpoint folder of an encoder with random weights, batch norm included."""
    torch.manual_seed(seed)
    encoder = Encoder(architecture)
    shaken(encoder, seed)
    config = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=folder.name,
        architecture=architecture,
        embedding_dim=encoder.embedding_dim,
        preprocess=Preprocess(resize_px=36, crop_px=PX),
        license=license,
        source="random weights",
        class_names=class_names,
        default_output=default_output,
    )
    more = {"0.weight": torch.ones(8, encoder.embedding_dim)} if projector else None
    return save_encoder(encoder, folder, config, dtype=torch.float16, head=head, alignment=alignment, projector=more)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of one run of the tests share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Whether to make a folder that all processes of one run use: true in the first. The others wait for it."""
    done = folder.with_name(f"{folder.name}.done")
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session", autouse=True)
def _traced_once(run_folder: Path) -> Iterator[None]:
    """Each graph is traced once in a run: without weights it depends on nothing else than the key here.

    `save_encoder` still runs it beside PyTorch, and tests/mvmr_zoo/inference/test_engines.py tests the tracing.
    """

    def graph(encoder: Encoder, *, size_px: int) -> bytes:
        file = run_folder / f"{encoder.architecture.replace(':', '-')}-{size_px}.onnx"
        with FileLock(f"{file}.lock"):
            if not file.exists():
                write_whole(file, weightless_graph(encoder, size_px=size_px))
        return file.read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mvmr_zoo.models.save.weightless_graph", graph)
        yield


@pytest.fixture(scope="session")
def checkpoint(run_folder: Path) -> Checkpoint:
    """A tiny checkpoint that nobody writes to."""
    return shared_checkpoint(run_folder / "tiny")


@pytest.fixture(scope="session")
def other_checkpoint(run_folder: Path) -> Checkpoint:
    """Another one, of other weights."""
    return shared_checkpoint(run_folder / "other", seed=1)


@pytest.fixture(scope="session")
def aligned_checkpoint(run_folder: Path) -> Checkpoint:
    """The weights of `checkpoint`, with a second output of 256 numbers that is the default. Nobody writes to it."""
    random = np.random.default_rng(0)
    weight = random.standard_normal((300, 256)).astype(np.float32) / 16
    alignment = alignment_from_projector(weight, random.standard_normal(300).astype(np.float32))
    return shared_checkpoint(run_folder / "distilled", alignment=alignment, default_output="aligned")


def shared_checkpoint(folder: Path, **options: Any) -> Checkpoint:
    """`make_checkpoint`, once in a run of the tests."""
    with made_once(folder) as first:
        return make_checkpoint(folder, **options) if first else read_checkpoint(folder)


@pytest.fixture(scope="session")
def exports(run_folder: Path) -> ExportedFolders:
    """Exported folders of a tiny checkpoint with a classifier, and the photos they were measured on."""
    from .exported_folders import ExportedFolders  # only those who ask need the exporter

    root = run_folder / "exports"
    random = np.random.default_rng(0)
    head = Head(random.standard_normal((5, 64)).astype(np.float32), random.standard_normal(5).astype(np.float32))
    with made_once(root) as first:
        if first:
            make_checkpoint(root / "tiny", "resnet8", head=head, class_names=tuple("abcde"))
            write_photos(root / "photos", 100)
    return ExportedFolders(root, read_checkpoint(root / "tiny"), root / "photos")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A Hub on loopback."""
    with HubServer(tmp_path / "server") as server:
        yield server


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty zoo of this test's own."""
    monkeypatch.setenv("MVMR_ZOO_HOME", str(tmp_path / "zoo"))
    return tmp_path / "zoo"


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typist:
    """Types commands into this process."""
    return Typist(monkeypatch, capfd)


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typist: Typist) -> Typed:
    """`mvmr-zoo` in this process, with `tmp_path` as the home folder."""
    from mvmr_zoo.cli import main

    for name in [each for each in os.environ if each.startswith(("HF_", "MVMR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return functools.partial(typist, main, "mvmr-zoo")


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """A folder of twelve real photos in two subfolders."""
    return write_photos(tmp_path / "photos", 12)


def write_photos(folder: Path, count: int) -> Path:
    """Real photos as JPEG files, `a/00.jpg` to `b/NN.jpg`, 160 px on the long side at most."""
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_photo(number))
    return folder


@functools.cache
def _photo(number: int) -> bytes:
    """A JPEG file. Hundreds of tests ask for the same ones."""
    sources = photographs()
    view = make_view(read_image(sources[number % len(sources)]), np.random.default_rng(number))
    view.thumbnail((160, 160))
    file = io.BytesIO()
    view.save(file, "jpeg", quality=92)
    return file.getvalue()


@pytest.fixture(scope="session")
def imagenette() -> Path:
    """Real data, where `MVMR_DATA` names it."""
    root = Path(os.environ.get("MVMR_DATA", "")) / "imagenette"
    if not os.environ.get("MVMR_DATA") or not root.is_dir():
        pytest.skip("MVMR_DATA names no folder with imagenette/{train,val}")
    return root
