"""What happens before and after the download; Google Drive itself is never asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvmr_zoo.errors import CheckpointError, ConfigError, UnknownModelError
from mvmr_zoo.official.fetch import authors_folder, the_only


def test_the_authors_folder(zoo: Path) -> None:
    assert authors_folder("resnet50-clip-kd").endswith("/1LYR_U683CT7xVP9__DjMIjR9lMaX8jhQ")
    with pytest.raises(UnknownModelError, match="Closest: resnet50-clip-kd"):
        authors_folder("resnet50-clip-k")
    with pytest.raises(ConfigError, match="on this machine already"):
        authors_folder("resnet18-imagenette-kd")


def test_the_one_weights_file_among_others(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("readme.txt", "a.pth", "log.csv")]
    assert the_only(files, "resnet50-stl10") == tmp_path / "a.pth"
    with pytest.raises(CheckpointError, match=r"2 weights files; choose one: .*a\.pth' --as .*b\.ckpt' --as resnet50"):
        the_only([*files, tmp_path / "b.ckpt"], "resnet50-stl10")
    with pytest.raises(CheckpointError, match=r"holds readme\.txt, log\.csv; expected a weights file"):
        the_only([files[0], files[2]], "resnet50-stl10")
    with pytest.raises(CheckpointError, match="holds nothing"):
        the_only([], "resnet50-stl10")
