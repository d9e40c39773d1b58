from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from export import limits, photos, reference
from export.check import check
from export.options import ExportOptions
from export.parity_report import ParityReport
from export.photos import folder_photos, sample_photos
from export.write import Demands, export_onnx
from mvmr_zoo.checkpoint import alignment_from_projector, file_digest
from mvmr_zoo.datasets.samples import Samples
from mvmr_zoo.errors import ConfigError, LimitError
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.inference.pipeline import unit
from mvmr_zoo.models.exported import Signature
from mvmr_zoo.models.loading import load

from ..conftest import make_checkpoint
from ..exported_folders import AGREEMENT, FILES, KINDS, MEASURED, ExportedFolders, write_alike

INPUTS = {
    "fp32": ("images", ["batch", 3, 32, 32]),
    "int8": ("images", ["batch", 3, 32, 32]),
    "full": ("photo", ["height", "width", 3]),
    "sizes": ("pixels", ["batch", 3, "height", "width"]),
    "three": ("images", [3, 3, 32, 32]),
    "classes": ("images", ["batch", 3, 32, 32]),
}


def read_report(folder: Path) -> dict[str, object]:
    return json.loads((folder / "export.json").read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_an_exported_folder(kind: str, exports: ExportedFolders) -> None:
    folder = exports(kind)
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "config.json").read_bytes() == (exports.checkpoint.folder / "config.json").read_bytes()
    (given,) = onnx.load(folder / "model.onnx").graph.input
    name, shape = INPUTS[kind]
    dims = [dim.dim_value or dim.dim_param for dim in given.type.tensor_type.shape.dim]
    assert given.name == name
    assert dims == shape


@pytest.mark.parametrize("kind", KINDS)
def test_contents_of_the_parity_report(kind: str, exports: ExportedFolders) -> None:
    folder, options = exports(kind), KINDS[kind]
    report = read_report(folder)
    assert report["schema_version"] == 1
    assert report["passed"] is True
    assert all(verdict["passed"] for verdict in report["verdicts"])
    assert report["weights_sha256"] == exports.checkpoint.weights_digest
    assert report["sha256"] == {name: file_digest(folder / name) for name in FILES - {"export.json"}}
    assert report["file_bytes"] == (folder / "model.onnx").stat().st_size
    signature = Signature.from_dict(report["contract"])
    assert signature == Signature(
        dtype=options.dtype,
        stage=options.stage,
        preprocess=exports.checkpoint.config.preprocess,
        size_px=None if kind == "sizes" else 32,
        batch=options.batch,
        opset=20,
        unit_norm=options.unit_norm,
        head=options.head,
        embedding_dim=64,
    )
    assert report["limits"]["top1_agreement"] == AGREEMENT
    measured = folder_photos(exports.photos).measured
    assert [exports.photos / name for name in report["names"]] == measured
    assert report["digests"] == [file_digest(path) for path in measured]
    assert report["photos"] == "photos of photos"
    assert report["agreement"]["photos"] == MEASURED
    assert set(report["batches"]) == {"1", "2", "7", "64"}
    assert set(report["sizes"]) == ({"16", "48", "64"} if kind == "sizes" else set())
    assert (report["class_agreement"] is not None) == options.head
    assert report["knn"] is None
    assert {batch: set(each) for batch, each in report["speed"].items()} == {
        batch: {"onnx", "pytorch"} for batch in (["3"] if kind == "three" else ["1", "16"])
    }
    assert report["providers"] == ["CPUExecutionProvider"]
    assert {"processor", "python", "onnxruntime", "torch"} <= set(report["machine"])
    assert (report["quantization"] is not None) == (kind == "int8")
    assert (len(report["in_float"]) >= 2) == (kind == "int8")
    assert str(exports.root).encode() not in (folder / "model.onnx").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_reference_outputs_match_pytorch(kind: str, exports: ExportedFolders) -> None:
    model = load(exports.spec, runtime="torch")
    paths = [exports.photos / name for name in read_report(exports(kind))["names"]]
    kept = load_file(exports(kind) / "reference.safetensors")
    expected = model.embed(paths, normalize=KINDS[kind].unit_norm)
    np.testing.assert_allclose(kept["features"], expected, atol=1e-5)
    assert ("logits" in kept) == KINDS[kind].head
    if KINDS[kind].head:
        raw = model.embed(paths, normalize=False)
        np.testing.assert_allclose(kept["logits"], raw @ model.head.weight.T + model.head.bias, atol=1e-4)
    sized = {name: each for name, each in kept.items() if name.startswith("size_")}
    assert {name: len(each) for name, each in sized.items()} == (
        {"size_16": 8, "size_48": 8, "size_64": 8} if kind == "sizes" else {}
    )


def test_returned_report_matches_the_written_one(exports: ExportedFolders, tmp_path: Path) -> None:
    """Export with another size and opset to an empty folder. The returned report equals the written one."""
    lines: list[str] = []
    (tmp_path / "out").mkdir()
    options = ExportOptions(size=48, opset=18, stage="full")
    made = export_onnx(exports.spec, tmp_path / "out", options, exports.demands, progress=lines.append)
    assert isinstance(made, ParityReport)
    report = read_report(tmp_path / "out")
    assert report["spec"] == exports.spec
    assert made.signature == Signature.from_dict(report["contract"])
    assert made.signature.preprocess == Preprocess(resize_px=54, crop_px=48)
    assert (made.signature.size_px, made.signature.opset) == (48, 18)
    assert report["agreement"] == dataclasses.asdict(made.agreement)
    assert [line.split()[0] for line in lines] == ["Running", "Converting", "Running"]
    assert load(tmp_path / "out").preprocess.crop_px == 48


def test_existing_export_is_replaced(exports: ExportedFolders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exports("three"), tmp_path / "out"))
    export_onnx(exports.spec, folder, KINDS["fp32"], exports.demands)
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "model.onnx").read_bytes() == (exports("fp32") / "model.onnx").read_bytes()
    assert list(tmp_path.iterdir()) == [folder]


def test_current_folder_is_not_replaced(
    exports: ExportedFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", "..", tmp_path):
        with pytest.raises(ConfigError, match="is or contains the current folder"):
            export_onnx(exports.spec, name, KINDS["fp32"], exports.demands)


def test_other_files_and_folders_are_not_replaced(exports: ExportedFolders, tmp_path: Path) -> None:
    export_with_notes = Path(shutil.copytree(exports("three"), tmp_path / "annotated"))
    (export_with_notes / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"annotated contains notes\.txt in addition to an export"):
        export_onnx(exports.spec, export_with_notes, KINDS["fp32"], exports.demands)
    assert contents(export_with_notes) == contents(exports("three")) | {"notes.txt": b"mine"}
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("notes", "file", "link"):
        with pytest.raises(ConfigError, match=f"{name} exists and is not an exported folder"):
            export_onnx(exports.spec, tmp_path / name, KINDS["fp32"], exports.demands)
    with pytest.raises(ConfigError, match="exists and is not an exported folder"):
        export_onnx(exports.spec, exports.checkpoint.folder, KINDS["fp32"], exports.demands)
    assert contents(tmp_path / "notes") == {"mine.txt": b"mine"}
    assert (tmp_path / "file").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"annotated", "notes", "file", "link"}


@pytest.fixture
def unreachable_limit(exports: ExportedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that no export can meet. The exports that the tests compare with are made before."""
    for name in ("fp32", "three"):
        exports(name)
    monkeypatch.setitem(limits.LIMITS, "fp32", dataclasses.replace(limits.LIMITS["fp32"], cosine_min=1.5))


@pytest.mark.usefixtures("unreachable_limit")
def test_missed_limit_leaves_the_existing_folder(exports: ExportedFolders, tmp_path: Path) -> None:
    older = Path(shutil.copytree(exports("three"), tmp_path / "older"))
    with pytest.raises(LimitError, match=r"older was not written: cosine_min is 1, limit 1\.5\. .*--allow-failed"):
        export_onnx(exports.spec, older, KINDS["fp32"], exports.demands)
    assert contents(older) == contents(exports("three"))
    assert list(tmp_path.iterdir()) == [older]


@pytest.mark.usefixtures("unreachable_limit")
def test_missed_limit_creates_no_folder(exports: ExportedFolders, tmp_path: Path) -> None:
    with pytest.raises(LimitError):
        export_onnx(exports.spec, tmp_path / "new" / "out", KINDS["fp32"], exports.demands)
    assert not [path for path in tmp_path.rglob("*") if path.name != "new"]
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("unreachable_limit")
def test_allow_failed_writes_a_folder_marked_as_failed(exports: ExportedFolders, tmp_path: Path) -> None:
    demands = dataclasses.replace(exports.demands, allow_failed=True)
    made = export_onnx(exports.spec, tmp_path / "out", KINDS["fp32"], demands)
    assert not made.passed
    report = read_report(tmp_path / "out")
    assert report["passed"] is False
    assert [verdict["name"] for verdict in report["verdicts"] if not verdict["passed"]] == ["cosine_min"]
    assert load(tmp_path / "out").card.summary == "tiny as ONNX, fp32, did not meet its limits"
    assert load(exports("fp32")).card.summary == "tiny as ONNX, fp32"
    assert not check(tmp_path / "out", images=exports.photos).passed


def test_int8_fails_if_the_limit_is_unreachable(exports: ExportedFolders, tmp_path: Path) -> None:
    """The photos differ so little that int8 ranks them differently from fp32."""
    alike = write_alike(tmp_path / "alike")
    demands = Demands(images=alike, min_agreement=1.0)
    with pytest.raises(LimitError, match=r"top1_agreement is 0\.\d+, limit 1"):
        export_onnx(exports.spec, tmp_path / "out", KINDS["int8"], demands)
    assert list(tmp_path.iterdir()) == [alike]


def test_labels(exports: ExportedFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """k-NN accuracy is measured on all photos, although the outputs of only some of them are stored."""
    monkeypatch.setattr(photos, "MIN_LABELED_PHOTOS", MEASURED)
    monkeypatch.setattr(reference, "MAX_STORED", 70)
    demands = Demands(images=exports.photos, labels=True, max_drop=20.0)
    made = export_onnx(exports.spec, tmp_path / "out", KINDS["int8"], demands)
    assert made.knn is not None
    assert 0 < made.knn.pytorch < 1
    assert made.knn.drop_points == pytest.approx(100 * (made.knn.pytorch - made.knn.onnx))
    assert "top1_agreement" not in {verdict.name for verdict in made.verdicts}
    (drop,) = (verdict for verdict in made.verdicts if verdict.name == "max_drop")
    assert (drop.limit, drop.found) == (20, made.knn.drop_points)
    assert made.agreement.photos == MEASURED
    assert len(made.names) == len(made.digests) == 70
    again = check(tmp_path / "out", images=exports.photos)
    assert again.passed
    assert again.measured.agreement.photos == 70
    assert "max_drop" not in {verdict.name for verdict in again.verdicts}  # it needs the features of all photos


def test_labels_and_max_drop_need_their_options(exports: ExportedFolders, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--labels needs --images"):
        Demands(labels=True)
    with pytest.raises(ConfigError, match="expected percentage points from 0 to 100, and --labels"):
        export_onnx(exports.spec, tmp_path / "out", KINDS["fp32"], Demands(images=exports.photos, max_drop=1.0))
    assert list(tmp_path.iterdir()) == []


def test_sample_photos_are_the_default(
    exports: ExportedFolders,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sample photos are generated for each report and each check. This test generates them once."""
    made = tmp_path_factory.mktemp("samples")
    sample_photos(made)

    def copied(folder: Path) -> Samples:
        shutil.copytree(made, folder, dirs_exist_ok=True, copy_function=shutil.copy)
        return Samples(folder / "library", folder / "queries", 20)

    monkeypatch.setattr(photos, "make_samples", copied)
    export_onnx(exports.spec, tmp_path / "out", KINDS["sizes"], Demands(min_agreement=AGREEMENT))
    report = read_report(tmp_path / "out")
    assert report["photos"] == "sample photos"
    assert report["digests"] == []
    assert len(report["names"]) == 13 * 12
    assert {name.partition("/")[0] for name in report["names"]} == {"library", "queries"}
    assert check(tmp_path / "out").passed


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with two outputs, `aligned` by default."""
    weight = np.random.default_rng(0).standard_normal((90, 64)).astype(np.float32)
    alignment = alignment_from_projector(weight, None)
    folder = tmp_path_factory.mktemp("distilled") / "distilled"
    return make_checkpoint(folder, "resnet8", alignment=alignment, default_output="aligned").folder


@pytest.mark.parametrize(
    ("options", "output", "dim"),
    [
        (ExportOptions(), "aligned", 64),
        (ExportOptions(dim=10, stage="full", unit_norm=True), "aligned", 10),
        (ExportOptions(dtype="fp16"), "aligned", 64),
        (ExportOptions(dtype="int8", output="aligned"), "aligned", 64),
        (ExportOptions(output="features"), "features", 64),
    ],
)
def test_selected_output_is_exported(
    distilled: Path, exports: ExportedFolders, tmp_path: Path, options: ExportOptions, output: str, dim: int
) -> None:
    made = export_onnx(str(distilled), tmp_path / "out", options, exports.demands)
    assert (made.signature.output, made.signature.embedding_dim) == (output, dim)
    assert ("output" in read_report(tmp_path / "out")["contract"]) == (output == "aligned")
    (given,) = onnx.load(tmp_path / "out" / "model.onnx").graph.output
    assert given.name == output
    model = load(tmp_path / "out")
    assert (model.output, model.dim) == (output, dim)
    original = load(distilled, output=output, dim=options.dim)
    paths = sorted(exports.photos.rglob("*.jpg"))[:8]
    cosines = (model.embed(paths) * original.embed(paths)).sum(axis=1)
    assert cosines.min() > (0.98 if options.dtype == "int8" else 0.999)
    assert check(tmp_path / "out", images=exports.photos).passed
    if output == "features":
        assert model.vectors_digest == model.weights_digest == file_digest(tmp_path / "out" / "model.onnx")
        with pytest.raises(ConfigError, match="has only features"):
            load(tmp_path / "out", output="aligned")
        return
    short = load(tmp_path / "out", dim=5)
    np.testing.assert_allclose(short.embed(paths), unit(model.embed(paths)[:, :5]), atol=1e-5)
    assert len({model.vectors_digest, short.vectors_digest, model.weights_digest}) == 3
    with pytest.raises(ConfigError, match="has only aligned"):
        load(tmp_path / "out", output="features")
    with pytest.raises(ConfigError, match=rf"dim is 65; expected at most {dim}, the length of aligned"):
        load(tmp_path / "out", dim=65)


def test_invalid_outputs_are_rejected(distilled: Path, exports: ExportedFolders, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--head needs features, but --output is aligned"):
        ExportOptions(head=True, output="aligned")
    with pytest.raises(ConfigError, match="has only features"):
        export_onnx(exports.spec, tmp_path / "out", ExportOptions(output="aligned"), exports.demands)
    with pytest.raises(ConfigError, match=r"dim is 65; expected at most 64, the length of aligned"):
        export_onnx(str(distilled), tmp_path / "out", ExportOptions(dim=65), exports.demands)
    assert not (tmp_path / "out").exists()
