"""Command line tests of `mvmr-export`. Each kind of exit is tested in a subprocess, all other cases in this process."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.cli import main
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.errors import printable

from ..command_line import Typist, refused, run
from ..exported_folders import AGREEMENT, FILES, ExportedFolders, write_alike

Done = subprocess.CompletedProcess[str]


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


class Workspace:
    """A folder with exports, photos and damaged files."""

    def __init__(self, root: Path, exports: ExportedFolders) -> None:
        self.root, self.exports = root, exports
        self.damaged("cut", lambda folder: os.truncate(folder / "model.onnx", 10_000))
        self.damaged("hash", lambda folder: change(folder / "export.json", sha256={name: "0" * 64 for name in HASHED}))
        self.damaged("text", lambda folder: (folder / "export.json").write_text("what is this"))
        self.damaged("newer", lambda folder: change(folder / "export.json", schema_version=2))
        self.damaged("bare", lambda folder: change(folder / "export.json", contract=None))
        self.damaged("gone", lambda folder: (folder / "config.json").unlink())
        (root / "mine").mkdir()
        (root / "mine" / "diary.txt").write_text("dear diary")
        (root / "empty").mkdir()
        shutil.copytree(exports.photos / "a", root / "few")
        altered = shutil.copytree(exports.photos, root / "altered")
        first = json.loads((exports("fp32") / "export.json").read_text())["names"][0]
        (altered / first).write_bytes((altered / first).read_bytes() + b"\0")
        self.checkpoint("nan", self.set_nan)
        self.checkpoint("headless", self.remove_head)

    def words(self, arguments: str) -> list[object]:
        """Split arguments into words and replace the placeholders in capitals."""
        placeholders = {
            "TINY": self.exports.spec, "FP32": self.exports("fp32"), "PHOTOS": self.exports.photos, "OUT": "out",
        }  # fmt: skip
        return [placeholders.get(word, word) for word in arguments.split()]

    def damaged(self, name: str, damage: Callable[[Path], object]) -> None:
        damage(Path(shutil.copytree(self.exports("fp32"), self.root / name)))

    def checkpoint(self, name: str, damage: Callable[[Path], None]) -> None:
        damage(Path(shutil.copytree(self.exports.checkpoint.folder, self.root / name)))

    def set_nan(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights["backbone.conv1.weight"][0] = np.nan
        save_file(weights, folder / "model.safetensors")
        hashes = json.loads((folder / "config.json").read_text())["sha256"]
        digest = file_digest(folder / "model.safetensors")
        change(folder / "config.json", sha256=hashes | {"model.safetensors": digest})

    def remove_head(self, folder: Path) -> None:
        hashes = json.loads((folder / "config.json").read_text())["sha256"]
        del hashes["head.safetensors"]
        (folder / "head.safetensors").unlink()
        change(folder / "config.json", sha256=hashes, class_names=[])


HASHED = FILES - {"export.json"}

WRITING = {
    "dtype": ("TINY OUT --dtype int4", "--dtype is 'int4'; expected fp32, fp16, int8"),
    "preprocess": ("TINY OUT --preprocess all", "--preprocess is 'all'; expected none, normalize, full"),
    "opset": ("TINY OUT --opset 17", "--opset is 17; expected 18 to 23"),
    "size 0": ("TINY OUT --size 0", "--size is 0; expected at least 32 pixels"),
    "size in words": ("TINY OUT --size big", "--size is 'big'; expected a whole number of pixels"),
    "batch 0": ("TINY OUT --batch 0", "--batch is 0; expected at least 1"),
    "full of any size": ("TINY OUT --preprocess full --size dynamic", "cannot be combined with --size dynamic"),
    "device": ("TINY OUT --device tpu", "--device is 'tpu'; expected cpu, cuda"),
    "labels of samples": ("TINY OUT --labels", "--labels needs --images"),
    "not an export": ("TINY mine", "mine exists and is not an exported folder, so it was not changed"),
    "no model": ("nothing OUT", "No model is named 'nothing'"),
    "of an export": ("FP32 OUT", "is an ONNX export and cannot be loaded as a PyTorch module"),
    "no photo": ("TINY OUT --images empty", "empty contains no photos"),
    "too few photos": ("TINY OUT --dtype int8 --images few", "few has 50 readable photos, and 42 of them"),
    "too few labels": ("TINY OUT --images PHOTOS --labels", "left after calibration. Expected at least 2000"),
    "drop without labels": ("TINY OUT --images PHOTOS --max-drop 1", "and --labels"),
    "agreement": ("TINY OUT --images PHOTOS --min-agreement 1.5", "--min-agreement is 1.5; expected a fraction"),
    "not a number": ("nan OUT --images PHOTOS", "contains NaN or infinite values"),
    "output": ("TINY OUT --output words", "output is 'words'; expected features or aligned"),
    "no such output": ("TINY OUT --output aligned", "has only features. Omit output"),
    "dim of features": ("TINY OUT --dim 5", "dim is 5, but the features of"),
    "head of aligned": ("TINY OUT --head --output aligned", "--head needs features, but --output is aligned"),
    "no classifier": ("headless OUT --images PHOTOS --head", "has no classifier for --head"),
}  # fmt: skip
"""Invalid arguments of `onnx` and the expected messages."""

CHECKING = {
    "cut short": ("cut --images PHOTOS", "cut/model.onnx has SHA-256"),
    "another hash": ("hash --images PHOTOS", "but export.json says 000000000000…"),
    "not JSON": ("text --images PHOTOS", "text/export.json: cannot be read as JSON"),
    "of a newer release": ("newer --images PHOTOS", "schema_version is 2; this release reads 1"),
    "without contract": ("bare --images PHOTOS", "bare/export.json: contract is None; expected dict"),
    "a missing file": ("gone --images PHOTOS", "gone/config.json cannot be read (No such file or directory)"),
    "a checkpoint": ("TINY --images PHOTOS", "is not an exported folder: it has no export.json"),
    "no images": ("FP32", "used photos of photos. Pass that folder with --images"),
    "images elsewhere": ("FP32 --images empty", "cannot be read (No such file or directory)"),
    "images nowhere": ("FP32 --images nowhere", "nowhere is not a folder"),
    "altered images": ("FP32 --images altered", "It differs from the measured photo"),
    "device": ("FP32 --images PHOTOS --device tpu", "device is 'tpu'"),
}  # fmt: skip
"""Invalid arguments of `check` and the expected messages."""


@pytest.fixture(scope="module")
def workspace(exports: ExportedFolders, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"), exports)


@pytest.fixture
def typed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, typist: Typist) -> Callable[..., Done]:
    """Runs `mvmr-export` in this process."""
    monkeypatch.chdir(workspace.root)
    monkeypatch.setenv("MVMR_ZOO_HOME", str(workspace.root / "zoo"))
    return functools.partial(typist, main, "mvmr-export")


@pytest.mark.parametrize("case", WRITING)
def test_onnx_rejects_invalid_arguments(case: str, typed: Callable[..., Done], workspace: Workspace) -> None:
    arguments, message = WRITING[case]
    refused(typed("onnx", *workspace.words(arguments)), message)
    assert not (workspace.root / "out").exists()
    assert [path.name for path in (workspace.root / "mine").iterdir()] == ["diary.txt"]


@pytest.mark.parametrize("case", CHECKING)
def test_check_rejects_invalid_arguments(case: str, typed: Callable[..., Done], workspace: Workspace) -> None:
    arguments, message = CHECKING[case]
    refused(typed("check", *workspace.words(arguments)), message)


def test_onnx_rejects_invalid_arguments_in_a_subprocess(workspace: Workspace) -> None:
    arguments, message = WRITING["opset"]
    refused(
        run("onnx", *workspace.words(arguments), module="export", home=workspace.root / "home", cwd=workspace.root),
        message,
    )
    assert not (workspace.root / "out").exists()


@pytest.mark.parametrize("case", ["cut short", "altered images", "without contract"])
def test_check_rejects_invalid_arguments_in_a_subprocess(case: str, workspace: Workspace) -> None:
    arguments, message = CHECKING[case]
    refused(
        run("check", *workspace.words(arguments), module="export", home=workspace.root / "home", cwd=workspace.root),
        message,
    )


def test_onnx_and_check(
    exports: ExportedFolders, typed: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process in another folder writes the same bytes."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more threads would wait for busy cores
    options = ("--dtype", "int8", "--min-agreement", AGREEMENT, "--images", exports.photos)
    done = run("onnx", exports.spec, "out", *options, module="export", home=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "Running PyTorch on 76 photos of photos",
        f"Converting {exports.spec} to ONNX, int8",
        "Running ONNX Runtime on 76 photos of photos",
    ]
    lines = done.stdout.splitlines()
    assert lines[0] == "out, 76 photos compared with PyTorch"
    assert re.fullmatch(r"  top1_agreement +[\d.]+ +at least 0\.9 +passed", lines[3])
    assert re.fullmatch(r"  onnx, batch 1 +[\d.]+ ms p50, [\d.]+ ms p95, \d+ images/s", lines[7])
    assert re.fullmatch(r"  0\.\d MB, int8, \d layers in float, features", lines[-1])
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert (tmp_path / "out" / "model.onnx").read_bytes() == (exports("int8") / "model.onnx").read_bytes()

    done = typed("check", tmp_path / "out", "--images", exports.photos)
    assert (done.returncode, done.stderr) == (0, "")
    check_lines = done.stdout.splitlines()
    assert check_lines[0] == f"{tmp_path / 'out'}, 76 photos compared with PyTorch"
    assert check_lines[1:4] == lines[1:4]
    assert [line.split()[0] for line in check_lines[-2:]] == ["onnx,", "onnx,"]


def test_onnx_fails_if_a_limit_is_missed(exports: ExportedFolders, typed: Callable[..., Done], tmp_path: Path) -> None:
    alike = write_alike(tmp_path / "alike")
    options = ("--dtype", "int8", "--min-agreement", 1, "--images", alike)
    done = typed("onnx", exports.spec, tmp_path / "out", *options)
    assert (done.returncode, done.stdout) == (1, "")
    *progress, last = done.stderr.splitlines()
    assert len(progress) == 3
    assert re.fullmatch(r"Failed: .*/out was not written: top1_agreement is 0\.\d+, limit 1\b.*--allow-failed.*", last)
    assert list(tmp_path.iterdir()) == [alike]

    done = typed("onnx", exports.spec, tmp_path / "out", *options, "--allow-failed", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert [verdict["name"] for verdict in report["verdicts"] if not verdict["passed"]] == ["top1_agreement"]
    assert report["contract"]["dtype"] == "int8"
    assert json.loads((tmp_path / "out" / "export.json").read_text())["passed"] is False


def test_check_fails_if_a_limit_is_missed(exports: ExportedFolders, typed: Callable[..., Done], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exports("int8"), tmp_path / "strict"))
    limits = json.loads((folder / "export.json").read_text())["limits"]
    change(folder / "export.json", limits=limits | {"cosine_mean": 1.5})
    done = typed("check", folder, "--images", exports.photos)
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = (line for line in done.stdout.splitlines() if "FAILED" in line)
    assert line.split()[0] == "cosine_mean"


def test_check_prints_json(exports: ExportedFolders, typed: Callable[..., Done]) -> None:
    done = typed("check", exports("sizes"), "--images", exports.photos, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["passed"] is True
    assert found["agreement"]["photos"] == 76
    assert set(found["sizes"]) == {"16", "48", "64"}
    assert all(verdict["passed"] for verdict in found["verdicts"])


def test_unprintable_names_are_escaped(typed: Callable[..., Done], tmp_path: Path) -> None:
    name = "a\nb\x1b[31m"
    refused(typed("check", tmp_path / name), printable(name))


def test_verify_and_bundle_reject_an_exported_folder(exports: ExportedFolders, tmp_path: Path) -> None:
    refused(run("verify", exports("fp32"), home=tmp_path), "is an exported folder, not a checkpoint")
    refused(run("bundle", exports("fp32"), "-o", tmp_path / "a.tar", home=tmp_path), "is an exported folder")
    assert not (tmp_path / "a.tar").exists()


def test_help(tmp_path: Path) -> None:
    text = run("--help", module="export", home=tmp_path).stdout
    assert all(command in text for command in ("onnx", "check"))
    assert "--min-agreement" in run("onnx", "--help", module="export", home=tmp_path).stdout
