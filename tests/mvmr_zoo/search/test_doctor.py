"""Looking a library over, and putting it right."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mvmr_zoo.errors import LibraryDamagedError
from mvmr_zoo.search import PhotoLibrary
from mvmr_zoo.search.store import DATABASE_FILE

from ...command_line import refused, run


@pytest.fixture
def filled(library: PhotoLibrary, photo_folder: Path) -> PhotoLibrary:
    library.add([photo_folder])
    return library


def change(library: PhotoLibrary, statement: str, *values: object) -> None:
    connection = sqlite3.connect(library.folder / DATABASE_FILE)
    with connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


def repaired(library: PhotoLibrary) -> None:
    findings = library.examine()
    assert all(finding.repair is not None for finding in findings)
    library.repair(findings)
    assert library.examine() == []


def test_a_sound_library_has_no_findings(filled: PhotoLibrary, tmp_path: Path) -> None:
    assert filled.examine() == []
    done = run("index", "doctor", "-L", filled.folder, home=tmp_path)
    assert (done.returncode, done.stdout) == (0, "No problems found.\n")


@pytest.mark.parametrize(
    "vector",
    [b"\0" * 10, np.zeros(256, np.float16).tobytes(), np.full(256, np.nan, np.float16).tobytes(), b"\0" * 511],
    ids=["short", "zero", "not a number", "odd"],
)
def test_a_damaged_vector_is_forgotten_and_taken_in_again(
    filled: PhotoLibrary, photo_folder: Path, vector: bytes
) -> None:
    path = photo_folder / "a" / "00.jpg"
    change(filled, "UPDATE photos SET vector = ? WHERE path = ?", vector, os.fsencode(path))
    (finding,) = filled.examine()
    assert (finding.what, finding.names) == ("1 photo with a damaged vector", (str(path),))
    finding.repair()
    assert filled.status().photos == 11
    assert filled.add([photo_folder]).added == 1
    assert filled.examine() == []


def test_an_index_that_does_not_match_is_made_again(filled: PhotoLibrary) -> None:
    change(filled, "DELETE FROM photos WHERE id > 8")
    assert [finding.what for finding in filled.examine()] == ["The index is out of date"]
    repaired(filled)
    change(filled, "UPDATE facts SET value = replace(value, '\"last_id\": 8', '\"last_id\": 99') WHERE name = 'index'")
    change(filled, "UPDATE photos SET id = 98 WHERE id = 8")
    assert [finding.what for finding in filled.examine()] == ["The index lacks 1 photo"]
    repaired(filled)
    change(filled, "DELETE FROM facts WHERE name = 'index'")
    assert [finding.what for finding in filled.examine()] == [
        "1 file left over from earlier indexes",
        "The index is missing",
    ]
    repaired(filled)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda data: b"\0" * len(data), "The index file was modified"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "The index file was modified"),
        (lambda data: b"", "The index file is missing or has the wrong size"),
    ],
    ids=["zeros", "one bit", "empty"],
)
def test_a_damaged_index_file_is_made_again(filled: PhotoLibrary, damage: Callable[[bytes], bytes], what: str) -> None:
    (file,) = filled.folder.glob("index-*.faiss")
    file.write_bytes(damage(file.read_bytes()))
    assert [finding.what for finding in filled.examine()] == [what]
    repaired(filled)


def test_files_left_over_are_removed(filled: PhotoLibrary, tmp_path: Path) -> None:
    for name in ("index-000099.faiss", ".index-000098.faiss.1-2.part"):
        (filled.folder / name).write_bytes(b"left")
    done = run("index", "doctor", "-L", filled.folder, "--json", home=tmp_path)
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)
    assert {Path(name).name for name in found["names"]} == {"index-000099.faiss", ".index-000098.faiss.1-2.part"}
    assert run("index", "doctor", "-L", filled.folder, "--repair", home=tmp_path).returncode == 0
    assert filled.examine() == []


def test_a_photo_that_also_failed_is_no_failure(filled: PhotoLibrary, photo_folder: Path) -> None:
    path = os.fsencode(photo_folder / "a" / "00.jpg")
    change(filled, "INSERT INTO failures VALUES (?, 'open', 'long ago')", path)
    repaired(filled)
    assert filled.status().failures == []


def test_photos_that_are_gone_are_named_and_kept(filled: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    (photo_folder / "a" / "00.jpg").unlink()
    done = run("index", "doctor", "-L", filled.folder, "--repair", home=tmp_path)
    assert done.returncode == 1
    assert "1 photo not found on disk" in done.stdout
    assert "00.jpg" in done.stdout
    assert filled.status().photos == 12


def test_a_damaged_database(filled: PhotoLibrary, tmp_path: Path) -> None:
    filled.__exit__(None, None, None)
    file = filled.folder / DATABASE_FILE
    content = bytearray(file.read_bytes())
    content[4096 : 4096 * 3] = os.urandom(4096 * 2)
    file.write_bytes(content)
    with pytest.raises(LibraryDamagedError), PhotoLibrary(filled.folder) as library:
        library.examine()
    refused(run("index", "doctor", "-L", filled.folder, home=tmp_path), "is damaged")
    refused(run("index", "doctor", "-L", tmp_path / "none", home=tmp_path), "no library")


@pytest.mark.parametrize("fact", [None, "32", "abc", "0"])
def test_a_forgotten_width_costs_no_photo(filled: PhotoLibrary, photo_folder: Path, fact: str | None) -> None:
    change(filled, "DELETE FROM facts WHERE name = 'dim'")
    if fact is not None:
        change(filled, "INSERT INTO facts VALUES ('dim', ?)", fact)
    with PhotoLibrary(filled.folder) as again:
        with pytest.raises(LibraryDamagedError, match="doctor --repair"):
            again.search(photo_folder / "a" / "00.jpg", 3)
        assert again.examine()[0].what == f"The stored vector length is {fact}, but the vectors have length 256"
        again.repair(again.examine())
        assert again.examine() == []
        assert again.status().photos == 12
        assert len(again.search(photo_folder / "a" / "00.jpg", 3)) == 3


INDEX_FACTS = [
    ('"last_id": 12', '"last_id": "x"'),
    ('"last_id": 12', '"last_id": -1'),
    ('"last_id": 12', '"last_id": 3'),
    ('"kind": "exact"', '"kind": "ivf"'),
    ('"kind": "exact"', '"kind": "no"'),
    ('"rows": 12', '"rows": null'),
    ('"background": []', '"background": [1, 2]'),
    ('"file": "', '"file": "../'),
]


@pytest.mark.parametrize(("old", "new"), INDEX_FACTS)
def test_facts_of_the_index_that_cannot_be(filled: PhotoLibrary, photo_folder: Path, old: str, new: str) -> None:
    before = filled.search(photo_folder / "a" / "00.jpg", 12)
    change(
        filled, "UPDATE facts SET value = replace(value, ?, ?) WHERE name = 'index' AND instr(value, ?)", old, new, old
    )
    with PhotoLibrary(filled.folder) as again:
        assert "The index is missing" in [finding.what for finding in again.examine()]
        assert again.search(photo_folder / "a" / "00.jpg", 12) == before
        assert again.examine() == []


def test_a_library_without_photos(tmp_path: Path) -> None:
    with PhotoLibrary(tmp_path / "library") as library:
        assert library.examine() == []
        library.repair([])
        assert library.prune() == (0, 0)
