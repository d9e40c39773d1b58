from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.check import check
from export.speed import calls_per_turn
from mvmr_zoo.errors import CheckpointError, DataError
from mvmr_zoo.models.exported import read_exported

from ..environment import clean_environment
from ..exported_folders import KINDS, ExportedFolders

NO_TORCH = """
import sys
from pathlib import Path
from export import speed
from export.check import check
speed.WARM_S, speed.TURNS = 0.0, 1
checked = check(sys.argv[1], images=Path(sys.argv[2]))
assert checked.passed, checked.verdicts
loaded = {name.partition(".")[0] for name in sys.modules} & {"torch", "torchvision", "onnx", "onnxscript"}
print(*loaded or ["none of them"])
"""


@pytest.fixture
def copy(exports: ExportedFolders, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exports("classes"), tmp_path / "copy"))


def change(folder: Path, **fields: object) -> None:
    path = folder / "export.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("kind", KINDS)
def test_check_repeats_the_parity_report(kind: str, exports: ExportedFolders) -> None:
    report = json.loads((exports(kind) / "export.json").read_text())
    checked = check(exports(kind), images=exports.photos)
    assert checked.passed
    assert [each.name for each in checked.verdicts] == [each["name"] for each in report["verdicts"]]
    for verdict, expected in zip(checked.verdicts, report["verdicts"], strict=True):
        assert verdict.found == pytest.approx(expected["found"], abs=1e-5)
    assert checked.measured.agreement.cosine_mean == pytest.approx(report["agreement"]["cosine_mean"], abs=1e-6)
    assert checked.measured.sizes.keys() == {int(px) for px in report["sizes"]}
    assert checked.measured.class_agreement == report["class_agreement"]
    assert checked.speed.keys() == calls_per_turn(read_exported(exports(kind)).signature).keys()
    assert all(0 < each.latency_p50_ms <= each.latency_p95_ms for each in checked.speed.values())


def test_check_imports_neither_pytorch_nor_onnx(exports: ExportedFolders, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, exports("full"), exports.photos],
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("none of them\n", "")


def test_check_fails_for_a_model_with_other_outputs(copy: Path, exports: ExportedFolders) -> None:
    """The graph has the same names and shapes but other arithmetic, and its hash matches the report."""
    shutil.copy(exports("int8") / "model.onnx", other := copy / "model.onnx")
    report = json.loads((exports("int8") / "export.json").read_text())
    for name in ("config.json", "reference.safetensors"):
        shutil.copy(exports("int8") / name, copy / name)
    fp32 = json.loads((exports("fp32") / "export.json").read_text())
    change(copy, contract=report["contract"], sha256=report["sha256"], limits=fp32["limits"])
    checked = check(copy, images=exports.photos)
    assert other.exists()
    assert not checked.passed
    assert "cosine_mean" in {each.name for each in checked.verdicts if not each.passed}


def test_check_rejects_photos_that_differ_from_the_measured_ones(exports: ExportedFolders, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(exports.photos, tmp_path / "photos"))
    (photos / "left over.jpg").write_text("files that are not in the report are ignored")
    assert check(exports("fp32"), images=photos).passed
    name = json.loads((exports("fp32") / "export.json").read_text())["names"][40]
    with (photos / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckpointError, match=rf"{name} has SHA-256 .* export\.json says .*differs from the measured"):
        check(exports("fp32"), images=photos)
    (photos / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} cannot be read"):
        check(exports("fp32"), images=photos)


def test_check_requires_the_measured_photos(exports: ExportedFolders, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"used photos of photos\. Pass that folder with --images"):
        check(exports("fp32"))
    with pytest.raises(DataError, match="nowhere is not a folder"):
        check(exports("fp32"), images=tmp_path / "nowhere")


def test_check_fails_if_the_export_failed(copy: Path, exports: ExportedFolders) -> None:
    """An export may fail because of k-NN accuracy, which `check` does not repeat."""
    assert check(copy, images=exports.photos).passed
    change(copy, passed=False)
    checked = check(copy, images=exports.photos)
    assert all(verdict.passed for verdict in checked.verdicts)
    assert not checked.passed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": ["a/00.jpg"], "digests": ["0"]}, r"lists 1 photos, but reference\.safetensors has features of 76"),
        ({"names": None}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"names": [1] * 76}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"photos": None}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"digests": []}, "has 0 digests for 76 photos"),
        ({"names": ["../secret.jpg"] * 76}, r"the photo '\.\./secret\.jpg' is outside the photo folder"),
        ({"names": ["/secret.jpg"] * 76}, "the photo '/secret.jpg' is outside the photo folder"),
        ({"limits": []}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"limits": {}}, "limits: batch_cosine is missing"),
        ({"limits": {"cosine": 1}}, "limits: batch_cosine is missing"),
    ],
)
def test_check_rejects_an_invalid_parity_report(
    fields: dict[str, object], message: str, copy: Path, exports: ExportedFolders
) -> None:
    change(copy, **fields)
    with pytest.raises(CheckpointError, match=rf"{message}"):
        check(copy, images=exports.photos)


@pytest.mark.parametrize("value", ["0.9", None, [0.9], float("nan")])
def test_check_rejects_a_limit_that_is_not_a_number(value: object, copy: Path, exports: ExportedFolders) -> None:
    limits = json.loads((copy / "export.json").read_text())["limits"]
    change(copy, limits=limits | {"cosine_min": value})
    with pytest.raises(CheckpointError, match=r"export\.json: limits: cosine_min is .*, expected a number"):
        check(copy, images=exports.photos)
