"""The steps before and after the download, with a stub for gdown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mvmr_zoo.errors import CheckpointError, ConfigError, HubError, UnknownModelError
from mvmr_zoo.models.describe import model_info
from mvmr_zoo.models.weight_import import authors_folder, fetch
from mvmr_zoo.models.weight_import.google_drive import only_weights_file


def test_the_authors_folder(zoo: Path) -> None:
    assert authors_folder("resnet50-clip-kd").endswith("/1LYR_U683CT7xVP9__DjMIjR9lMaX8jhQ")
    with pytest.raises(UnknownModelError, match="Closest: resnet50-clip-kd"):
        authors_folder("resnet50-clip-k")
    with pytest.raises(ConfigError, match="already on this machine"):
        authors_folder("effnet-lite1-whitened")


GDOWN = """
import pathlib, torch, torchvision
class DownloadError(Exception): ...
def download_folder(url, output, resume, timeout, retries):
    if "1LYR_" in url:
        raise DownloadError("too many people look at this folder")
    network = torchvision.models.resnet50()
    network.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    network.fc = torch.nn.Identity()
    path = pathlib.Path(output) / "stl10.pth"
    torch.save({"encoder": {f"backbone.{n}": t for n, t in network.state_dict().items()}}, path)
    return [str(path)]
"""
"""Stub for gdown."""


def test_fetch_imports_and_removes_the_download(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "gdown.py").write_text(GDOWN)
    monkeypatch.syspath_prepend(tmp_path / "stub")
    monkeypatch.delitem(sys.modules, "gdown", raising=False)
    with pytest.raises(HubError, match=r"too many people.*mvmr-zoo import FILE --as resnet50-clip-kd"):
        fetch("resnet50-clip-kd")
    assert fetch("resnet50-stl10").checkpoint.folder == zoo / "resnet50-stl10"
    assert not list(zoo.rglob("*.pth"))
    assert model_info("resnet50-stl10").location == "zoo"
    (zoo / ".downloads" / "resnet50-stl10").mkdir()  # killed after the import
    with pytest.raises(ConfigError, match="already on this machine"):
        fetch("resnet50-stl10")
    assert not list((zoo / ".downloads").glob("resnet50-stl10"))
    monkeypatch.delitem(sys.modules, "gdown")


def test_the_one_weights_file_among_others(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("readme.txt", "a.pth", "log.csv")]
    assert only_weights_file(files, "resnet50-stl10") == tmp_path / "a.pth"
    with pytest.raises(CheckpointError, match=r"2 weights files\. Import one .*a\.pth' --as .*b\.ckpt' --as resnet50"):
        only_weights_file([*files, tmp_path / "b.ckpt"], "resnet50-stl10")
    with pytest.raises(CheckpointError, match=r"contains readme\.txt, log\.csv; expected a weights file"):
        only_weights_file([files[0], files[2]], "resnet50-stl10")
    with pytest.raises(CheckpointError, match="contains nothing"):
        only_weights_file([], "resnet50-stl10")
