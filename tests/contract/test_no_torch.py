"""An exported folder runs, and its parity report is repeated, in a venv without PyTorch."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ..environment import ROOT, clean_environment
from ..exported_folders import ExportedFolders

ABSENT = ("torch", "torchvision", "onnx", "onnxscript", "pytest")

USE_IT = """
import importlib.util, sys
from pathlib import Path
assert not [name for name in sys.argv[4].split() if importlib.util.find_spec(name)]
import mvmr_zoo
assert Path(mvmr_zoo.__file__).is_relative_to(sys.prefix), mvmr_zoo.__file__
spec, photos, library = sys.argv[1:4]
files = sorted(Path(photos).rglob("*.jpg"))
model = mvmr_zoo.load(spec)
assert model.embed(files).shape == (len(files), model.card.embedding_dim)
with mvmr_zoo.PhotoLibrary(library, model=spec) as found:
    assert found.add([photos]).added == len(files)
    assert found.search(files[3], 1)[0].path in files
try:
    model.encoder
except mvmr_zoo.MvmrError:
    print("fine")
"""


def needed() -> set[str]:
    """Names of the distributions that `pip install 'mvmr-zoo[runtime]'` brings, as far as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["runtime"])]
    found: dict[str, importlib.metadata.Distribution] = {}
    asked: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        extras = requirement.extras or {""}
        if str(requirement) in asked:
            continue
        asked.add(str(requirement))
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        distribution = importlib.metadata.distribution(requirement.name)
        found[distribution.name] = distribution
        for text in distribution.requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                inner.marker = None
                waiting.append(inner)
    return set(found)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment with the library, export and what `[runtime]` brings; no more."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in needed():
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(distribution.locate_file(top))
    for name in ("mvmr_zoo", "export"):
        (packages / name).symlink_to(ROOT / name)
    return folder / "bin" / "python"


def run(python: Path, *arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(home, PYTHONPATH="", COLUMNS="200")
    return subprocess.run([python, *map(str, arguments)], env=environment, cwd=home, capture_output=True, text=True)


def test_what_the_runtime_needs_is_found() -> None:
    names = {name.lower() for name in needed()}
    assert {"numpy", "pillow", "onnxruntime", "faiss-cpu", "typer", "safetensors"} <= names
    assert not names & {"torch", "onnx", "onnxscript", "pytest", "scikit-image"}


@pytest.mark.parametrize("kind", ["full", "int8"])
def test_it_embeds_and_searches(
    kind: str, python: Path, exports: ExportedFolders, photo_folder: Path, tmp_path: Path
) -> None:
    spec = f"local-dir:{exports(kind)}"
    done = run(python, "-c", USE_IT, spec, photo_folder, tmp_path / "library", " ".join(ABSENT), home=tmp_path)
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_its_parity_report_is_repeated(python: Path, exports: ExportedFolders, tmp_path: Path) -> None:
    done = run(python, "-m", "export", "check", exports("classes"), "--images", exports.photos, home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("passed") == 5


def test_writing_one_asks_for_pytorch(python: Path, exports: ExportedFolders, tmp_path: Path) -> None:
    done = run(python, "-m", "export", "onnx", exports.spec, "out", home=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "pip install 'mvmr-zoo[" in done.stderr
