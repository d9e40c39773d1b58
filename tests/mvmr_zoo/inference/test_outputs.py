"""The two outputs of an encoder, from a projector to vectors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from mvmr_zoo.checkpoint import (
    Alignment,
    Checkpoint,
    alignment_from_projector,
    file_digest,
    golden_images,
    read_checkpoint,
)
from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.inference.model import Model
from mvmr_zoo.models.catalog import BUNDLED_MODEL
from mvmr_zoo.models.describe import model_info
from mvmr_zoo.models.loading import load
from mvmr_zoo.models.verify import verify_checkpoint

from ...conftest import make_checkpoint
from ...exported_folders import ExportedFolders

RANDOM = np.random.default_rng(0)
D, T = 256, 300
WEIGHT = RANDOM.standard_normal((T, D)).astype(np.float32) / 16
MEAN = RANDOM.standard_normal(T).astype(np.float32)


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


@pytest.fixture
def copy(aligned_checkpoint: Checkpoint, tmp_path: Path) -> Path:
    return Path(shutil.copytree(aligned_checkpoint.folder, tmp_path / "copy"))


def change(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def replace_alignment(folder: Path, **tensors: np.ndarray) -> None:
    """Write another alignment, with the hash that belongs to it."""
    path = folder / "alignment.safetensors"
    save_file({name: np.ascontiguousarray(each) for name, each in tensors.items()}, path)
    hashes = json.loads((folder / "config.json").read_text())["sha256"]
    change(folder, sha256={**hashes, path.name: file_digest(path)})


# From a projector to an alignment.


@pytest.mark.parametrize("teacher_dim", [40, D, T])
def test_aligned_has_the_inner_products_of_the_projector(teacher_dim: int) -> None:
    weight = WEIGHT[:teacher_dim]
    features = RANDOM.standard_normal((50, D)).astype(np.float32)
    for sample in (None, features):
        found = alignment_from_projector(weight, MEAN[:teacher_dim], features=sample)
        assert found.matrix.shape == (min(D, teacher_dim), D)
        assert found.basis.shape == (min(D, teacher_dim), teacher_dim)
        assert {each.dtype for each in found} == {np.dtype(np.float32)}
        projected, aligned = features @ weight.T, features @ found.matrix.T
        np.testing.assert_allclose(cosines(aligned), cosines(projected), atol=1e-4)
        np.testing.assert_allclose(aligned @ aligned.T, projected @ projected.T, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_teachers_vector_meets_the_features_that_project_onto_it(ordered: bool) -> None:
    features = np.abs(RANDOM.standard_normal((50, D))).astype(np.float32)
    found = alignment_from_projector(WEIGHT, MEAN, features=features if ordered else None)
    np.testing.assert_allclose(found.from_teacher(features @ WEIGHT.T + MEAN), features @ found.matrix.T, atol=1e-4)


def test_without_a_mean_nothing_is_subtracted() -> None:
    found = alignment_from_projector(WEIGHT, None)
    np.testing.assert_array_equal(found.mean, np.zeros(T, np.float32))


def test_the_first_numbers_are_the_most_important() -> None:
    by_scale = alignment_from_projector(WEIGHT, None)
    lengths = np.linalg.norm(by_scale.matrix, axis=1)
    assert (np.diff(lengths) <= 0).all()
    np.testing.assert_allclose(lengths, np.linalg.svd(WEIGHT, compute_uv=False), rtol=1e-4)


def test_ordered_by_a_sample_the_first_numbers_keep_the_most_of_it() -> None:
    """As uncentered principal components, computed another way; the plain order keeps less."""
    scales = np.geomspace(1, 0.01, D)
    features = (RANDOM.standard_normal((2000, D)) * RANDOM.permutation(scales)).astype(np.float32)
    projected = (features @ WEIGHT.T).astype(np.float64)
    energy = np.linalg.svd(projected, compute_uv=False)[:D] ** 2
    found, plain = (
        np.square(features @ alignment_from_projector(WEIGHT, None, features=sample).matrix.T).sum(axis=0)
        for sample in (features, None)
    )
    np.testing.assert_allclose(found, energy, rtol=1e-3, atol=1e-4 * energy[0])
    assert found[:16].sum() > 1.05 * plain[:16].sum()


def test_a_projected_teacher_comes_into_the_space_of_its_targets() -> None:
    random = np.random.default_rng(3)
    projection, mean = random.standard_normal((9, T)), random.standard_normal(9)
    vectors = random.standard_normal((5, 9))
    plain = alignment_from_projector(WEIGHT, None)
    found = alignment_from_projector(WEIGHT, mean, projection=projection)
    np.testing.assert_array_equal(found.matrix, plain.matrix)
    expected = plain.from_teacher(((vectors - mean) @ projection).astype(np.float32))
    np.testing.assert_allclose(found.from_teacher(vectors.astype(np.float32)), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match=rf"projection has shape \(9, 3\); expected \(T, {T}\)"):
        alignment_from_projector(WEIGHT, mean, projection=projection[:, :3])
    with pytest.raises(ConfigError, match=r"one per row of projection"):
        alignment_from_projector(WEIGHT, mean[:4], projection=projection)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(4), None), r"weight has shape \(4,\); expected \(P, D\)"),
        ((np.zeros((0, 4)), None), r"weight has shape \(0, 4\); expected"),
        ((np.ones((3, 4)), np.ones(4)), r"mean has shape \(4,\); expected \(3,\)"),
        ((np.full((3, 4), np.nan), None), "The alignment weight contains NaN or infinite values"),
        ((np.ones((3, 4)), np.full(3, np.inf)), "The alignment mean contains NaN or infinite values"),
        ((np.ones((3, 4)), None, np.ones((9, 3))), r"features have shape \(9, 3\); expected \(N, 4\)"),
        ((np.ones((3, 4)), None, np.ones((0, 4))), r"features have shape \(0, 4\); expected \(N, 4\)"),
    ],
)
def test_a_projector_that_gives_no_alignment(arguments: tuple[np.ndarray | None, ...], message: str) -> None:
    weight, mean, features = (*arguments, None)[:3]
    with pytest.raises(ConfigError, match=message):
        alignment_from_projector(weight, mean, features=features)


# The folder.


def test_the_folder_says_what_its_outputs_are(aligned_checkpoint: Checkpoint) -> None:
    values = json.loads((aligned_checkpoint.folder / "config.json").read_text())
    assert values["schema_version"] == 1
    assert values["outputs"] == {"features": D, "aligned": D}
    assert values["default_output"] == "aligned"
    assert "aligned_dim" not in values
    assert read_checkpoint(aligned_checkpoint.folder) == aligned_checkpoint
    stored = load_file(aligned_checkpoint.folder / "alignment.safetensors")
    assert {name: (each.shape, each.dtype.name) for name, each in stored.items()} == {
        "matrix": ((D, D), "float32"), "basis": ((D, T), "float32"), "mean": ((T,), "float32"),
    }  # fmt: skip
    assert len(aligned_checkpoint.graph()) < 60_000


def test_a_folder_with_features_alone_is_what_it_was(checkpoint: Checkpoint) -> None:
    values = json.loads((checkpoint.folder / "config.json").read_text())
    assert not {"outputs", "default_output", "aligned_dim"} & values.keys()
    assert checkpoint.config.outputs == {"features": D}
    assert checkpoint.alignment is None
    assert checkpoint.vectors_digest("features", D) == checkpoint.weights_digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"outputs": {"features": 10, "aligned": 4}}, "outputs.features is 10; expected 256"),
        ({"outputs": {"aligned": 4}}, "outputs.features is None; expected 256"),
        ({"outputs": {"features": D, "aligned": 257}}, "outputs.aligned is 257; expected 1 to 256"),
        ({"outputs": {"features": D, "aligned": 0}}, "outputs.aligned is 0; expected 1 to 256"),
        ({"outputs": {"features": D, "aligned": "4"}}, "outputs.aligned is '4'; expected 1 to 256"),
        ({"outputs": {"features": D, "words": 4}}, "outputs lists 'words'; expected only features, aligned"),
        ({"outputs": ["features"]}, "outputs is list; expected dict"),
        ({"default_output": "words"}, "default_output is 'words'; expected one of outputs: features, aligned"),
        ({"outputs": {"features": D}}, "default_output is 'aligned'; expected one of outputs: features"),
        (
            {"outputs": {"features": D}, "default_output": "features"},
            "golden.safetensors has shapes .*; expected features",
        ),
        ({"outputs": {"features": D, "aligned": 100}}, "expected features (4, 256) and aligned (4, 100)"),
    ],
)
def test_a_wrong_field_is_named(copy: Path, fields: dict[str, object], message: str) -> None:
    change(copy, **fields)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(copy)
    said = str(caught.value)
    assert all(part in said for part in message.split(".*"))
    assert "\n" not in said


def test_an_alignment_that_config_json_does_not_hash(copy: Path) -> None:
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    change(copy, sha256={name: each for name, each in hashes.items() if name != "alignment.safetensors"})
    with pytest.raises(CheckpointError, match=r"config\.json: outputs lists .*sha256 lacks alignment\.safetensors"):
        read_checkpoint(copy)


def test_an_altered_alignment_is_named(copy: Path) -> None:
    path = copy / "alignment.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"alignment\.safetensors has SHA-256"):
        read_checkpoint(copy)


@pytest.mark.parametrize(
    "wrong",
    [
        {"matrix": np.zeros((D, 9), np.float32)},
        {"matrix": np.zeros((9, D), np.float32)},
        {"basis": np.zeros((D, 9), np.float32)},
        {"mean": np.zeros((9,), np.float32)},
        {"mean": np.zeros((), np.float32)},
        {"more": np.zeros(1, np.float32)},
    ],
)
def test_an_alignment_of_another_shape_is_named(
    copy: Path, aligned_checkpoint: Checkpoint, wrong: dict[str, np.ndarray]
) -> None:
    alignment = aligned_checkpoint.alignment
    assert alignment is not None
    replace_alignment(copy, **{**alignment._asdict(), **wrong})
    with pytest.raises(CheckpointError, match=r"alignment\.safetensors has shapes .*expected matrix \(256, 256\)"):
        read_checkpoint(copy)


def test_an_alignment_that_is_not_finite_is_named(copy: Path, aligned_checkpoint: Checkpoint) -> None:
    alignment = aligned_checkpoint.alignment
    assert alignment is not None
    replace_alignment(copy, **alignment._replace(mean=np.full(T, np.nan, np.float32))._asdict())
    with pytest.raises(CheckpointError, match=r"alignment\.safetensors: mean contains NaN or infinite values"):
        read_checkpoint(copy)


def test_another_alignment_fails_the_golden_answers(copy: Path, aligned_checkpoint: Checkpoint) -> None:
    alignment = aligned_checkpoint.alignment
    assert alignment is not None
    replace_alignment(copy, **alignment._replace(matrix=alignment.matrix[::-1])._asdict())
    with pytest.raises(CheckpointError, match=r"golden\.safetensors: aligned has a cosine similarity"):
        verify_checkpoint(read_checkpoint(copy))


def test_a_graph_without_the_output_is_named(copy: Path, checkpoint: Checkpoint) -> None:
    (copy / "graph.onnx").write_bytes(checkpoint.graph())
    hashes = json.loads((copy / "config.json").read_text())["sha256"]
    change(copy, sha256={**hashes, "graph.onnx": file_digest(copy / "graph.onnx")})
    with pytest.raises(CheckpointError, match=r"does not fit graph\.onnx: matrix \(256, 256\)"):
        load(copy)


# Vectors.


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("dim", [None, 1, 20, D])
def test_both_outputs(aligned_checkpoint: Checkpoint, photo_folder: Path, runtime: str, dim: int | None) -> None:
    paths = sorted(photo_folder.rglob("*.jpg"))
    features = load(aligned_checkpoint.folder, output="features", runtime=runtime)
    aligned = load(aligned_checkpoint.folder, output="aligned", dim=dim, runtime=runtime)
    assert (features.output, features.dim, aligned.output, aligned.dim) == ("features", D, "aligned", dim or D)
    h = features.embed(paths, normalize=False)
    expected = h @ WEIGHT.T
    found = aligned.embed(paths, normalize=False)
    assert found.shape == (12, dim or D)
    if dim in (None, D):
        scale = np.abs(expected @ expected.T).max()
        np.testing.assert_allclose(found @ found.T / scale, expected @ expected.T / scale, atol=1e-4)
    whole = load(aligned_checkpoint.folder, runtime=runtime).embed(paths, normalize=False)
    np.testing.assert_allclose(found, whole[:, :dim], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(aligned.embed(paths), axis=1), 1, atol=1e-5)
    assert next(aligned.stream(paths)).vectors.shape == (12, dim or D)
    with torch.inference_mode():
        assert aligned.encoder(torch.zeros(1, 3, 32, 32)).shape == (1, D)


def test_both_engines_agree(aligned_checkpoint: Checkpoint, photo_folder: Path) -> None:
    paths = sorted(photo_folder.rglob("*.jpg"))
    one, other = (load(aligned_checkpoint.folder, runtime=each).embed(paths) for each in ("onnx", "torch"))
    assert np.abs(one - other).max() < 1e-5


def test_both_engines_give_the_golden_answers(aligned_checkpoint: Checkpoint) -> None:
    found = verify_checkpoint(aligned_checkpoint)
    assert min(found.onnx, found.torch or 0, found.agreement or 0) > 0.99999
    for output in ("features", "aligned"):
        for runtime in ("onnx", "torch"):
            engine = load(aligned_checkpoint.folder, output=output, runtime=runtime).engine
            assert aligned_checkpoint.check_golden(engine, output) > 0.99999
    with pytest.raises(CheckpointError, match=r"golden\.safetensors: aligned has a cosine similarity"):
        aligned_checkpoint.check_golden(load(aligned_checkpoint.folder, output="features").engine, "aligned")


def test_the_default_is_the_folders(aligned_checkpoint: Checkpoint, checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert load(aligned_checkpoint.folder).output == "aligned"
    assert load(checkpoint.folder).output == "features"
    by_features = make_checkpoint(tmp_path / "f", alignment=alignment_from_projector(WEIGHT, MEAN))
    assert by_features.config.default_output == "features"
    assert load(by_features.folder).output == "features"
    assert load(by_features.folder, output="aligned").dim == D


def test_the_alignment_comes_with_the_model(aligned_checkpoint: Checkpoint, checkpoint: Checkpoint) -> None:
    for output in ("features", "aligned"):
        alignment = load(aligned_checkpoint.folder, output=output).alignment
        assert isinstance(alignment, Alignment)
        np.testing.assert_array_equal(alignment.mean, MEAN)
    assert load(checkpoint.folder).alignment is None


def test_the_cards_say_what_outputs_there_are(aligned_checkpoint: Checkpoint) -> None:
    card = load(aligned_checkpoint.folder).card
    assert (card.outputs, card.default_output) == ({"features": D, "aligned": D}, "aligned")
    assert model_info(BUNDLED_MODEL).outputs == {"features": 1280, "aligned": 512}
    assert model_info("resnet50-stl10").outputs == {"features": 2048}
    page = (aligned_checkpoint.folder / "README.md").read_text()
    assert 'output="aligned"' in page


# What libraries, folders, caches and reports are bound to.


def test_vectors_have_another_hash_by_output_and_dim(aligned_checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = aligned_checkpoint.folder
    other = make_checkpoint(tmp_path / "o", alignment=alignment_from_projector(WEIGHT * 2, MEAN))
    assert other.weights_digest == aligned_checkpoint.weights_digest
    models = [
        load(folder, output="features"), load(folder), load(folder, dim=20), load(folder, dim=21),
        load(other.folder, output="aligned"),
    ]  # fmt: skip
    assert len({model.vectors_digest for model in models}) == len(models)
    assert {model.weights_digest for model in models} == {aligned_checkpoint.weights_digest}
    assert (
        load(folder, dim=D).vectors_digest == load(folder, runtime="torch").vectors_digest == models[1].vectors_digest
    )
    assert aligned_checkpoint.vectors_digest("aligned", 20) == models[2].vectors_digest


def test_features_have_the_hash_that_they_always_had(aligned_checkpoint: Checkpoint, checkpoint: Checkpoint) -> None:
    """Existing libraries and reports hold the hash of the weights."""
    assert load(checkpoint.folder).vectors_digest == file_digest(checkpoint.folder / "model.safetensors")
    features = load(aligned_checkpoint.folder, output="features")
    assert features.vectors_digest == file_digest(aligned_checkpoint.folder / "model.safetensors")
    bundled = load(BUNDLED_MODEL, output="features")
    assert bundled.vectors_digest == bundled.weights_digest


# What cannot be had.


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"output": "words"}, "output is 'words'; expected features or aligned"),
        ({"dim": 0}, "dim is 0; expected at least 1"),
        ({"dim": -1}, "dim is -1; expected at least 1"),
        ({"dim": 2.5}, "dim is 2.5; expected at least 1"),
        ({"dim": 257}, "dim is 257; expected at most 256, the length of aligned"),
        ({"output": "features", "dim": 9}, "dim is 9, but the features .* Add output='aligned'"),
    ],
)
def test_what_the_encoder_cannot_give(aligned_checkpoint: Checkpoint, asked: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(aligned_checkpoint.folder, **asked)
    assert "\n" not in str(caught.value)


def test_an_encoder_with_features_alone(checkpoint: Checkpoint) -> None:
    for spec in (str(checkpoint.folder), "effnet-lite:0"):
        assert load(spec, output="features").output == "features"
        with pytest.raises(ConfigError, match=r"output is 'aligned', .* has only features. Omit output"):
            load(spec, output="aligned")
        with pytest.raises(ConfigError, match=r"dim is 9, but the features of .* Omit dim"):
            load(spec, dim=9)


def classified(model: Model, paths: list[Path]) -> np.ndarray:
    return model.classify(paths).probabilities


def test_a_classifier_reads_features_whatever_the_output(exports: ExportedFolders, tmp_path: Path) -> None:
    plain = exports.checkpoint
    head, dim = plain.head, plain.config.embedding_dim
    alignment = alignment_from_projector(WEIGHT[:, :dim], None)
    made = make_checkpoint(
        tmp_path / "both", "resnet8", head=head, class_names=plain.config.class_names, alignment=alignment,
        default_output="aligned",
    )  # fmt: skip
    paths = sorted(exports.photos.rglob("*.jpg"))[:5]
    expected = classified(load(plain.folder), paths)
    for runtime in ("onnx", "torch"):
        np.testing.assert_allclose(classified(load(made.folder, dim=7, runtime=runtime), paths), expected, atol=1e-5)


def test_golden_answers_of_both_outputs(aligned_checkpoint: Checkpoint) -> None:
    stored = load_file(aligned_checkpoint.folder / "golden.safetensors")
    assert {name: each.shape for name, each in stored.items()} == {"features": (4, D), "aligned": (4, D)}
    engine = load(aligned_checkpoint.folder, runtime="torch", output="features").engine
    h = engine(golden_images(32))
    np.testing.assert_allclose(stored["aligned"] @ stored["aligned"].T, (h @ WEIGHT.T) @ (h @ WEIGHT.T).T, rtol=1e-3)
