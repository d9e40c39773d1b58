"""Invalid files of an exported folder, and the names in the error messages."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.models.exported import Signature, read_exported
from mvmr_zoo.models.loading import load

from ....exported_folders import ExportedFolders

SIGNATURE = Signature(
    dtype="int8",
    stage="normalize",
    preprocess=Preprocess(resize_px=36, crop_px=32, interpolation="bicubic", mean=(0.1, 0.2, 0.3)),
    size_px=None,
    batch=7,
    opset=21,
    unit_norm=True,
    head=False,
    embedding_dim=64,
)


@pytest.fixture
def copy(exports: ExportedFolders, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exports("fp32"), tmp_path / "copy"))


def change(folder: Path, **fields: object) -> None:
    path = folder / "export.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_folder_is_read_as_it_was_written(exports: ExportedFolders) -> None:
    exported = read_exported(exports("classes"))
    assert exported.passed
    assert exported.config == exports.checkpoint.config
    assert exported.digest == file_digest(exports("classes") / "model.onnx")
    assert (exported.signature.head, exported.signature.unit_norm) == (True, True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"schema_version": 2}, r"schema_version is 2; this release reads 1\. Run `pip install -U mvmr-zoo`"),
        ({"contract": None}, "contract is None; expected dict"),
        ({"contract": {}}, "contract: the field .* is missing or unknown"),
        ({"sha256": ["model.onnx"]}, r"sha256 is \['model\.onnx'\]; expected dict"),
        ({"sha256": {"model.onnx": "0"}}, r"sha256 lists \['model\.onnx'\]; expected"),
        ({"passed": "yes"}, "passed is 'yes'; expected bool"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, object], says: str, copy: Path) -> None:
    change(copy, **fields)
    with pytest.raises(CheckpointError, match=rf"export\.json: .*{says}"):
        load(copy)


@pytest.mark.parametrize("name", ["model.onnx", "config.json", "reference.safetensors"])
def test_a_file_that_was_altered_is_named(name: str, copy: Path) -> None:
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(CheckpointError, match=rf"{name} has SHA-256 .* but export\.json says .*altered or truncated"):
        load(copy)
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read"):
        load(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_json_that_cannot_be_read(text: str, copy: Path) -> None:
    (copy / "export.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"export\.json: (cannot be read as JSON|expected a JSON object)"):
        load(copy)
    (copy / "export.json").unlink()
    with pytest.raises(CheckpointError, match=r"is not an exported folder: it has no export\.json"):
        read_exported(copy)


def test_a_truncated_model(copy: Path) -> None:
    """The hash matches, because the file was truncated before it was hashed."""
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:5000])
    hashes = json.loads((copy / "export.json").read_text())["sha256"]
    change(copy, sha256=hashes | {"model.onnx": file_digest(copy / "model.onnx")})
    with pytest.raises(CheckpointError, match=r"model\.onnx cannot be loaded: ") as caught:
        load(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"stage": "normalize"},
        {"stage": "full"},
        {"head": True},
        {"unit_norm": True},
        {"embedding_dim": 3},
        {"output": "aligned"},
        {"size_px": None},
        {"batch": 2},
        {"preprocess": Preprocess(resize_px=36, crop_px=20).to_dict()},
        {"preprocess": Preprocess(resize_px=36, crop_px=32, std=(1.0, 1.0, 1.0)).to_dict()},
    ],
)
def test_signature_that_differs_from_the_model(fields: dict[str, object], copy: Path) -> None:
    before = json.loads((copy / "export.json").read_text())["contract"]
    change(copy, contract=before | fields)
    with pytest.raises(CheckpointError, match=r"model\.onnx .*export\.json"):
        load(copy)


def test_signature_json_round_trip() -> None:
    for each in (SIGNATURE, replace(SIGNATURE, output="aligned")):
        assert Signature.from_dict(json.loads(json.dumps(each.to_dict()))) == each


def test_signature_of_features_has_no_output_field() -> None:
    assert "output" not in SIGNATURE.to_dict()


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": "fp8"},
        {"dtype": ["fp32"]},
        {"stage": "all"},
        {"size_px": 0},
        {"size_px": "dynamic"},
        {"size_px": 32.0},
        {"batch": 0},
        {"batch": False},
        {"batch": -1},
        {"opset": None},
        {"opset": True},
        {"unit_norm": 1},
        {"head": None},
        {"embedding_dim": 0},
        {"preprocess": None},
        {"preprocess": [36, 32]},
        {"preprocess": {"crop_px": 32}},
        {"output": "words"},
        {"output": ["aligned"]},
        {"more": 1},
    ],
)
def test_signature_with_a_wrong_field(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Signature.from_dict(SIGNATURE.to_dict() | fields)


def test_signature_without_a_field() -> None:
    values = SIGNATURE.to_dict()
    for name in values:
        with pytest.raises(ConfigError, match=f"field {name}"):
            Signature.from_dict({other: value for other, value in values.items() if other != name})


def test_input_of_each_stage() -> None:
    stages = {"none": ("normalized", "images"), "normalize": ("pixels", "pixels"), "full": ("photo", "photo")}
    for stage, expected in stages.items():
        signature = Signature(**{**vars(SIGNATURE), "stage": stage})
        assert (signature.reads, signature.input_name) == expected
