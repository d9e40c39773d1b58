"""Loading and running exported folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.errors import CheckpointError, ConfigError, LibraryMismatchError
from mvmr_zoo.inference.model import Model
from mvmr_zoo.models.exported import ExportedEngine, filled_batches, is_exported, read_exported
from mvmr_zoo.models.loading import load
from mvmr_zoo.models.resolve import exported_folder, find
from mvmr_zoo.search import PhotoLibrary

from ....command_line import run
from ....exported_folders import CLOSE, KINDS, ExportedFolders


@pytest.fixture
def paths(exports: ExportedFolders) -> list[Path]:
    return sorted(exports.photos.rglob("*.jpg"))[:30]


@pytest.fixture(scope="module")
def original(exports: ExportedFolders) -> Model:
    return load(exports.spec)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_equal_those_of_the_checkpoint(
    kind: str, exports: ExportedFolders, original: Model, paths: list[Path]
) -> None:
    model = load(f"local-dir:{exports(kind)}")
    assert model.engine.name == "onnx"
    assert (model.card.embedding_dim, model.card.license) == (64, "apache-2.0")
    assert model.card.name == f"tiny-onnx-{KINDS[kind].dtype}"
    assert model.preprocess == original.preprocess
    found, expected = model.embed(paths), original.embed(paths)
    assert found.shape == (30, 64)
    assert found.dtype == np.float32
    cosine = (found * expected).sum(axis=1)
    assert cosine.mean() > CLOSE[kind]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    if kind in ("fp32", "sizes"):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        raw = model.embed(paths, normalize=False)
        np.testing.assert_allclose(raw, original.embed(paths, normalize=False), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_do_not_depend_on_the_batch(kind: str, exports: ExportedFolders, paths: list[Path]) -> None:
    model = load(exports(kind))
    together = model.embed(paths[:8])
    np.testing.assert_allclose(model.embed(paths[:8], batch_size=5), together, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([model.embed(path) for path in paths[:8]]), together, atol=1e-4)
    assert model.embed([]).shape == (0, 64)


@pytest.mark.parametrize("kind", ["fp32", "full", "three"])
def test_every_kind_of_image_is_accepted(kind: str, exports: ExportedFolders, paths: list[Path]) -> None:
    model = load(exports(kind))
    with Image.open(paths[0]) as image:
        pixels = np.asarray(image.convert("RGB").resize((50, 40)))
    vectors = model.embed([Image.fromarray(pixels), pixels])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    skipped = model.embed_with_failures([pixels, "nowhere.jpg", pixels[:, :1]])
    assert skipped.rows.tolist() == [0, 2]
    assert [failure.reason for failure in skipped.failures] == ["no such file"]


def test_load_by_path_and_by_spec(exports: ExportedFolders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = exports("fp32")
    by_path, by_spec, by_text = load(folder), load(f"local-dir:{folder}"), load(str(folder))
    monkeypatch.chdir(folder.parent)
    relative = load(folder.name)
    assert len({each.spec for each in (by_path, by_spec, by_text, relative)}) == 1
    monkeypatch.chdir(tmp_path)
    assert load(relative.spec).weights_digest == by_path.weights_digest == file_digest(folder / "model.onnx")


def test_which_folders_are_exported(exports: ExportedFolders, tmp_path: Path) -> None:
    folder = exports("fp32")
    assert is_exported(folder)
    assert exported_folder(str(folder)) == exported_folder(f"local-dir:{folder}") == folder
    for other in (exports.spec, tmp_path, "effnet-lite1-whitened", "x" * 5000, "nul\0", "hf-hub:a/b"):
        assert exported_folder(str(other)) is None


def test_classifier_equals_that_of_the_checkpoint(exports: ExportedFolders, original: Model, paths: list[Path]) -> None:
    found, expected = load(exports("classes")).classify(paths), original.classify(paths)
    assert found.class_names == expected.class_names == tuple("abcde")
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
    assert [top[0].name for top in found.top(1)] == [top[0].name for top in expected.top(1)]
    assert len({top[0].name for top in found.top(1)}) > 1  # a constant classifier fails


def test_without_a_classifier_there_are_no_classes(exports: ExportedFolders, paths: list[Path]) -> None:
    with pytest.raises(ConfigError, match="has no classifier"):
        load(exports("fp32")).classify(paths)


def test_no_pytorch_module(exports: ExportedFolders) -> None:
    with pytest.raises(ConfigError, match=r"is an ONNX export and .*Load its checkpoint"):
        load(exports("fp32"), runtime="torch")
    with pytest.raises(ConfigError, match="is an ONNX export"):
        _ = load(exports("fp32")).encoder


def test_find_refuses_an_exported_folder(exports: ExportedFolders) -> None:
    for spec in (f"local-dir:{exports('fp32')}", str(exports("fp32"))):
        with pytest.raises(CheckpointError, match=r"is an exported folder, not a checkpoint.*mvmr-export check"):
            find(spec)


def test_card(exports: ExportedFolders) -> None:
    card = load(exports("three")).card
    assert card.summary == "tiny as ONNX, fp16"
    assert card.location == "path"
    assert card.macs == 0


@pytest.mark.parametrize("kind", ["full", "sizes"])
def test_search_results_equal_those_of_the_checkpoint(
    kind: str, exports: ExportedFolders, photo_folder: Path, tmp_path: Path
) -> None:
    photo = photo_folder / "b" / "01.jpg"
    found = {}
    for name, spec in (("onnx", f"local-dir:{exports(kind)}"), ("original", exports.spec)):
        with PhotoLibrary(tmp_path / name, model=spec) as library:
            assert library.add([photo_folder]).added == 12
        with PhotoLibrary(tmp_path / name) as library:  # it stores the spec of its model
            found[name] = library.search(photo, 3)
    assert [hit.path for hit in found["onnx"]] == [hit.path for hit in found["original"]]
    for one, other in zip(found["onnx"], found["original"], strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-3)
    with (
        PhotoLibrary(tmp_path / "onnx", model=exports.spec) as library,
        pytest.raises(LibraryMismatchError, match="was created with"),
    ):
        library.search(photo)


def test_photo_library_on_the_command_line(exports: ExportedFolders, photo_folder: Path, tmp_path: Path) -> None:
    done = run("index", "add", photo_folder, "--model", f"local-dir:{exports('int8')}", home=tmp_path)
    assert "12 indexed" in done.stdout, done.stderr
    assert done.stderr == ""
    done = run("search", photo_folder / "a" / "00.jpg", "-k", 2, "--json", home=tmp_path)
    hits = json.loads(done.stdout)["hits"]
    assert [Path(hit["path"]).is_file() for hit in hits] == [True, True]
    assert 1 > hits[0]["score"] >= hits[1]["score"] > 0.5


@given(count=st.integers(1, 40), size=st.integers(1, 12))
def test_batches_are_padded_and_complete(count: int, size: int) -> None:
    images = np.arange(count * 6, dtype=np.float32).reshape(count, 3, 2) + 1
    parts = list(filled_batches(images, size))
    assert all(part.shape == (size, 3, 2) for part, _ in parts)
    np.testing.assert_array_equal(np.concatenate([part[:kept] for part, kept in parts]), images)
    assert not any(part[kept:].any() for part, kept in parts)


@pytest.mark.parametrize("threads", [1, 2])
def test_engine(threads: int, exports: ExportedFolders) -> None:
    folder = exports("classes")
    engine = ExportedEngine(folder, read_exported(folder).signature, threads=threads)
    assert engine.providers == ["CPUExecutionProvider"]
    images = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
    features = engine(images)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert engine.logits(images).shape == (4, 5)


def test_cuda_is_used_or_refused(exports: ExportedFolders) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        model = load(exports("fp32"), device="cuda")
        assert model.engine.providers[0] == "CUDAExecutionProvider"
        return
    with pytest.raises(ConfigError, match="CUDA provider"):
        load(exports("fp32"), device="cuda")
