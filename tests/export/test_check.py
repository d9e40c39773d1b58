from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.check import check
from export.speed import calls_of
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
def test_a_certificate_is_found_again(kind: str, exports: ExportedFolders) -> None:
    said = json.loads((exports(kind) / "export.json").read_text())
    checked = check(exports(kind), images=exports.photos)
    assert checked.passed
    assert [each.name for each in checked.verdicts] == [each["name"] for each in said["verdicts"]]
    for found, wanted in zip(checked.verdicts, said["verdicts"], strict=True):
        assert found.found == pytest.approx(wanted["found"], abs=1e-5)
    assert checked.measured.agreement.cosine_mean == pytest.approx(said["agreement"]["cosine_mean"], abs=1e-6)
    assert checked.measured.sizes.keys() == {int(px) for px in said["sizes"]}
    assert checked.measured.class_agreement == said["class_agreement"]
    assert checked.speed.keys() == calls_of(read_exported(exports(kind)).contract).keys()
    assert all(0 < each.latency_p50_ms <= each.latency_p95_ms for each in checked.speed.values())


def test_no_pytorch_and_no_onnx_is_imported(exports: ExportedFolders, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, exports("full"), exports.photos],
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("none of them\n", "")


def test_other_answers_miss_a_limit(copy: Path, exports: ExportedFolders) -> None:
    """The graph of the same name and shapes, but of other arithmetic: certificate and hash agree with it."""
    shutil.copy(exports("int8") / "model.onnx", other := copy / "model.onnx")
    said = json.loads((exports("int8") / "export.json").read_text())
    for name in ("config.json", "reference.safetensors"):
        shutil.copy(exports("int8") / name, copy / name)
    fp32 = json.loads((exports("fp32") / "export.json").read_text())
    change(copy, contract=said["contract"], sha256=said["sha256"], limits=fp32["limits"])
    checked = check(copy, images=exports.photos)
    assert other.exists()
    assert not checked.passed
    assert "cosine_mean" in {each.name for each in checked.verdicts if not each.passed}


def test_photos_that_are_not_the_ones_measured(exports: ExportedFolders, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(exports.photos, tmp_path / "photos"))
    (photos / "left over.jpg").write_text("what was not measured may be anything")
    assert check(exports("fp32"), images=photos).passed
    name = json.loads((exports("fp32") / "export.json").read_text())["names"][40]
    with (photos / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckpointError, match=rf"{name}: SHA-256 .* export\.json says .*not the photo that was mea"):
        check(exports("fp32"), images=photos)
    (photos / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: cannot be read"):
        check(exports("fp32"), images=photos)


def test_photos_that_are_not_given(exports: ExportedFolders, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"was measured on photos of photos\. Give their folder as --images"):
        check(exports("fp32"))
    with pytest.raises(DataError, match="nowhere is not a folder"):
        check(exports("fp32"), images=tmp_path / "nowhere")


def test_what_failed_when_it_was_made_fails_again(copy: Path, exports: ExportedFolders) -> None:
    """By k-NN accuracy perhaps, which is not repeated."""
    assert check(copy, images=exports.photos).passed
    change(copy, passed=False)
    checked = check(copy, images=exports.photos)
    assert all(verdict.passed for verdict in checked.verdicts)
    assert not checked.passed


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"names": ["a/00.jpg"], "digests": ["0"]}, "names 1 photos, and there are answers to 76"),
        ({"names": None}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"names": [1] * 76}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"photos": None}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"digests": []}, "has 0 digests of 76 photos"),
        ({"names": ["../secret.jpg"] * 76}, r"names the photo '\.\./secret\.jpg', which is not below a folder"),
        ({"names": ["/secret.jpg"] * 76}, "names the photo '/secret.jpg', which is not below a folder"),
        ({"limits": []}, "limits, photos, names or digests is missing or of the wrong type"),
        ({"limits": {}}, "limits lacks or does not know"),
        ({"limits": {"cosine": 1}}, "limits lacks or does not know"),
    ],
)
def test_a_certificate_that_is_not_whole(
    fields: dict[str, object], says: str, copy: Path, exports: ExportedFolders
) -> None:
    change(copy, **fields)
    with pytest.raises(CheckpointError, match=rf"{says}"):
        check(copy, images=exports.photos)


@pytest.mark.parametrize("value", ["0.9", None, [0.9], float("nan")])
def test_a_limit_that_is_no_number(value: object, copy: Path, exports: ExportedFolders) -> None:
    limits = json.loads((copy / "export.json").read_text())["limits"]
    change(copy, limits=limits | {"cosine_min": value})
    with pytest.raises(CheckpointError, match=r"export\.json: limits: cosine_min is .*, expected a number"):
        check(copy, images=exports.photos)
