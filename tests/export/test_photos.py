from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from export import photos
from export.photos import SAMPLES, digests, folder_photos, sample_photos
from mvmr_zoo.checkpoint import file_digest
from mvmr_zoo.datasets import image_folder
from mvmr_zoo.datasets.samples import photograph_of
from mvmr_zoo.errors import DataError

from ..exported_folders import MEASURED, ExportedFolders


def test_folder_is_split_deterministically(exports: ExportedFolders) -> None:
    found = folder_photos(exports.photos)
    again = folder_photos(exports.photos)
    assert (found.calibration, found.measured) == (again.calibration, again.measured)
    assert (len(found.calibration), len(found.measured)) == (24, MEASURED)
    assert {*found.calibration, *found.measured} == set(image_folder(exports.photos).paths)
    assert found.measured != sorted(found.measured)  # otherwise the classes would not be mixed
    assert found.source == "photos of photos"
    assert found.labels is None


def test_names_are_relative_to_the_folder(exports: ExportedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    found = folder_photos(exports.photos)
    assert [exports.photos / name for name in found.names(9)] == found.measured[:9]
    monkeypatch.chdir(exports.photos.parent)
    assert folder_photos(Path(exports.photos.name)).names(9) == found.names(9)


def test_unreadable_photos_are_skipped(exports: ExportedFolders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exports.photos, tmp_path / "photos"))
    for number in range(9):
        (folder / "a" / f"text{number}.jpg").write_text("no photo")
    found = folder_photos(folder)
    assert len(found.calibration) + len(found.measured) == 100
    assert not any("text" in path.name for path in (*found.calibration, *found.measured))


def test_too_few_photos(exports: ExportedFolders, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    for number, path in enumerate(image_folder(exports.photos).paths[:79]):
        shutil.copy(path, tmp_path / "some" / f"{number}.jpg")
    with pytest.raises(DataError, match=r"some has 79 readable photos, and 63 of them .*\. Expected at least 64"):
        folder_photos(tmp_path / "some")
    shutil.copy(path, tmp_path / "some" / "80.jpg")
    assert len(folder_photos(tmp_path / "some").measured) == 64


def test_missing_or_empty_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        folder_photos(tmp_path / "nowhere")
    with pytest.raises(DataError, match="contains no photos"):
        folder_photos(tmp_path)


def test_labels_need_subfolders_and_2000_photos(exports: ExportedFolders) -> None:
    with pytest.raises(DataError, match=r"76 of them are left after calibration\. Expected at least 2000"):
        folder_photos(exports.photos, labels=True)
    with pytest.raises(DataError, match="has no subfolders"):
        folder_photos(exports.photos / "a", labels=True)


def test_labels_are_taken_from_subfolders(exports: ExportedFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MIN_LABELED_PHOTOS", MEASURED)
    found = folder_photos(exports.photos, labels=True)
    assert found.labels is not None
    assert ["ab"[label] for label in found.labels] == [path.parent.name for path in found.measured]
    assert set(found.labels.tolist()) == {0, 1}


def test_copies_of_calibration_photos_are_not_measured(exports: ExportedFolders, tmp_path: Path) -> None:
    """int8 reproduces the photos it was calibrated on, so their copies would bias the report."""
    for copy in ("one", "other"):
        shutil.copytree(exports.photos, tmp_path / copy)
    found = folder_photos(tmp_path)
    calibrated = set(digests(found.calibration))
    assert len(found.calibration) == 48
    assert not calibrated & set(digests(found.measured))
    copies = 200 - len(found.calibration) - len(found.measured)
    assert copies == sum(digest in calibrated for digest in digests(image_folder(tmp_path).paths)) - 48


def test_sample_photos_use_different_photographs_for_calibration_and_measurement(tmp_path: Path) -> None:
    found = sample_photos(tmp_path)
    assert (found.source, found.root, found.labels) == (SAMPLES, tmp_path, None)
    assert (len(found.calibration), len(found.measured)) == (80, 13 * 12)
    assert not set(map(photograph_of, found.calibration)) & set(map(photograph_of, found.measured))
    assert all(path.is_file() for path in (*found.calibration, *found.measured))


def test_digests_match_the_files(exports: ExportedFolders) -> None:
    paths = folder_photos(exports.photos).measured[:3]
    assert digests(paths) == [file_digest(path) for path in paths]
    assert len(set(digests(paths))) == 3
