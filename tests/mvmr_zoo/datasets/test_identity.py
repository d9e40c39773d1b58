from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mvmr_zoo.datasets import JoinedImages, Subset, image_folder, stat_fingerprint
from mvmr_zoo.errors import DataError


def test_it_reads_no_file(photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = image_folder(photo_folder)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    expected = stat_fingerprint(images)
    monkeypatch.setattr("builtins.open", forbidden)
    monkeypatch.setattr(Path, "open", forbidden)
    assert stat_fingerprint(images) == expected


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def rename(path: Path) -> None:
    path.rename(path.with_stem("renamed"))


@pytest.mark.parametrize("change", [grow, touch, rename, Path.unlink])
def test_it_changes_with_every_files_name_size_and_time(change: Callable[[Path], object], photo_folder: Path) -> None:
    before = stat_fingerprint(image_folder(photo_folder))
    assert stat_fingerprint(image_folder(photo_folder)) == before
    change(image_folder(photo_folder).paths[5])
    assert stat_fingerprint(image_folder(photo_folder)) != before


def test_a_set_that_was_moved_is_the_same(photo_folder: Path, tmp_path: Path) -> None:
    before = stat_fingerprint(image_folder(photo_folder))
    moved = tmp_path / "elsewhere" / photo_folder.parent.name / photo_folder.name
    moved.parent.mkdir(parents=True)
    shutil.move(photo_folder, moved)
    assert stat_fingerprint(image_folder(moved)) == before


def test_subsets_and_joined_sets_have_their_own(photo_folder: Path) -> None:
    images = image_folder(photo_folder)
    rows = [np.array([0, 1, 2]), np.array([2, 1, 0]), np.array([0, 1, 3])]
    sets = [images, *(Subset(images, each) for each in rows), JoinedImages((images, images))]
    sets += [Subset(JoinedImages((images, images)), each) for each in rows[:2]]
    sets += [JoinedImages((images, Subset(images, each))) for each in rows]
    assert len({stat_fingerprint(each) for each in sets}) == len(sets)


def test_a_file_that_is_gone_is_named(photo_folder: Path) -> None:
    images = image_folder(photo_folder)
    images.paths[3].unlink()
    with pytest.raises(DataError, match=rf"{images.paths[3].name}: No such file"):
        stat_fingerprint(images)
