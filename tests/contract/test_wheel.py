"""The wheel holds the four packages and the bundled model, and works where it is unpacked."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import mvmr_zoo
from mvmr_zoo.models.catalog import BUNDLED_MODEL

ROOT = Path(mvmr_zoo.__file__).parents[1]

USE_IT = """
import sys
sys.modules["torch"] = sys.modules["torchvision"] = None  # as if not installed
import mvmr_zoo
assert mvmr_zoo.__file__.startswith(sys.argv[1]), mvmr_zoo.__file__
model = mvmr_zoo.load()
assert model.engine.name == "onnx"
assert model.embed([sys.argv[2]]).shape == (1, model.dim)
try:
    model.encoder
except mvmr_zoo.MvmrError as error:
    assert "pip install 'mvmr-zoo[cpu]'" in str(error), error
else:
    raise AssertionError("no error without PyTorch")
print("fine")
"""


def test_wheel_works_outside_the_checkout_and_without_torch(tmp_path: Path, photo_folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    for package in ("mvmr_zoo", "training", "export", "demo"):
        assert (unpacked / package / "__init__.py").exists()
    assert (unpacked / "mvmr_zoo" / "models" / "bundled" / BUNDLED_MODEL / "alignment.safetensors").exists()
    (entry,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "mvmr-zoo = mvmr_zoo.cli:main" in entry.read_text()
    photo = photo_folder / "a" / "00.jpg"
    done = subprocess.run(
        [sys.executable, "-c", USE_IT, str(unpacked), str(photo)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "fine", done.stderr
