"""A library belongs to one encoder and one of its outputs."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.cli import main
from mvmr_zoo.errors import ConfigError, LibraryDamagedError, LibraryMismatchError
from mvmr_zoo.models.loading import load
from mvmr_zoo.search import PhotoLibrary
from mvmr_zoo.search.vectors_parquet import write_library_parquet

from ...command_line import Typist, refused
from .test_sync import vectors_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "library"


def facts(folder: Path) -> dict[str, str]:
    with sqlite3.connect(folder / "library.sqlite") as connection:
        rows = connection.execute("SELECT name, value FROM facts").fetchall()
    connection.close()
    return dict(rows)


def change_fact(folder: Path, name: str, value: str | None) -> None:
    with sqlite3.connect(folder / "library.sqlite") as connection:
        connection.execute("DELETE FROM facts WHERE name = ?", (name,))
        if value is not None:
            connection.execute("INSERT INTO facts VALUES (?, ?)", (name, value))
    connection.close()


def test_the_output_is_asked_for_once(aligned_checkpoint: Checkpoint, photo_folder: Path, folder: Path) -> None:
    spec = str(aligned_checkpoint.folder)
    with PhotoLibrary(folder, model=spec, output="aligned", dim=20) as library:
        library.add([photo_folder / "a"])
    with PhotoLibrary(folder) as library:  # neither the model nor its output is said again
        assert library.add([photo_folder / "b"]).added == 6
        assert (library.model.output, library.model.dim) == ("aligned", 20)
        hits = library.search(photo_folder / "a" / "00.jpg", 3, keep_query=True)
        assert hits[0].score > 0.999
        status = library.status()
    assert (status.model, status.output, status.dim) == (spec, "aligned", 20)
    expected = load(spec, dim=20).embed(sorted(photo_folder.rglob("*.jpg")))
    found = vectors_of(folder)
    for path, vector in zip(sorted(photo_folder.rglob("*.jpg")), expected, strict=True):
        np.testing.assert_allclose(found[os.fspath(path)], vector, atol=1e-3)


def test_without_an_output_it_is_the_encoders_default(
    aligned_checkpoint: Checkpoint, checkpoint: Checkpoint, photo_folder: Path, tmp_path: Path
) -> None:
    for made, output, dim in ((aligned_checkpoint, "aligned", "256"), (checkpoint, "features", "256")):
        home = tmp_path / output
        with PhotoLibrary(home, model=str(made.folder)) as library:
            library.add([photo_folder])
            assert library.model.output == output
        assert (facts(home)["output"], facts(home)["dim"]) == (output, dim)


@pytest.mark.parametrize(
    ("asked", "now"),
    [
        ({"output": "features"}, "features"),
        ({"dim": 21}, "aligned, 21 dimensions"),
        ({"output": "aligned", "dim": 256}, "aligned, 256 dimensions"),
    ],
)
def test_another_output_is_refused(
    aligned_checkpoint: Checkpoint, photo_folder: Path, folder: Path, asked: dict[str, object], now: str
) -> None:
    spec = str(aligned_checkpoint.folder)
    with PhotoLibrary(folder, model=spec, dim=20) as library:
        library.add([photo_folder])
    for model in (None, spec):
        message = f"contains vectors of the output aligned, 20 dimensions, not {now}"
        with PhotoLibrary(folder, model=model, **asked) as other:
            with pytest.raises(LibraryMismatchError, match=message):
                other.search(photo_folder / "a" / "00.jpg")
            with pytest.raises(LibraryMismatchError, match=message):
                other.add([photo_folder])
    for same in ({}, {"output": "aligned"}, {"dim": 20}):
        with PhotoLibrary(folder, model=spec, **same) as library:
            assert library.add([photo_folder]).unchanged == 12


def test_the_same_encoder_under_another_name_needs_no_output(
    aligned_checkpoint: Checkpoint, photo_folder: Path, folder: Path, tmp_path: Path
) -> None:
    with PhotoLibrary(folder, model=str(aligned_checkpoint.folder), dim=20) as library:
        library.add([photo_folder])
    elsewhere = shutil.copytree(aligned_checkpoint.folder, tmp_path / "copy")
    with PhotoLibrary(folder, model=str(elsewhere)) as library:
        assert (library.model.output, library.model.dim) == ("aligned", 20)


def test_another_encoder_is_refused_and_both_are_named(
    aligned_checkpoint: Checkpoint, checkpoint: Checkpoint, photo_folder: Path, folder: Path
) -> None:
    spec = str(aligned_checkpoint.folder)
    with PhotoLibrary(folder, model=spec, dim=20) as library:
        library.add([photo_folder])
    with PhotoLibrary(folder, model=str(checkpoint.folder)) as other:
        with pytest.raises(
            LibraryMismatchError, match=r"has the output features, not aligned, 20 dimensions\. Use `--model"
        ) as caught:
            other.search(photo_folder / "a" / "00.jpg")
        assert spec in str(caught.value)
    with (
        PhotoLibrary(folder, model=str(checkpoint.folder), output="aligned") as other,
        pytest.raises(ConfigError, match="has only features"),
    ):
        other.search(photo_folder / "a" / "00.jpg")


def test_a_library_from_before_there_were_two_outputs(
    aligned_checkpoint: Checkpoint, photo_folder: Path, folder: Path
) -> None:
    """It holds the hash of the weights, and no output: it stays valid, though the encoder's default is another now."""
    with PhotoLibrary(folder, model=str(aligned_checkpoint.folder), output="features") as library:
        library.add([photo_folder])
    assert facts(folder)["weights"] == aligned_checkpoint.weights_digest
    change_fact(folder, "output", None)
    with PhotoLibrary(folder) as library:
        assert library.add([photo_folder]).unchanged == 12
        assert library.search(photo_folder / "a" / "00.jpg", 1, keep_query=True)[0].score > 0.999
        assert (library.model.output, library.status().output, library.status().dim) == ("features", "features", None)


def test_an_output_that_is_none(checkpoint: Checkpoint, photo_folder: Path, folder: Path) -> None:
    with PhotoLibrary(folder, model=str(checkpoint.folder)) as library:
        library.add([photo_folder])
    change_fact(folder, "output", "words")
    with PhotoLibrary(folder) as library, pytest.raises(LibraryDamagedError, match="'words'; expected features or"):
        library.search(photo_folder / "a" / "00.jpg")


def test_the_parquet_file_says_the_output(
    aligned_checkpoint: Checkpoint, photo_folder: Path, folder: Path, tmp_path: Path
) -> None:
    with PhotoLibrary(folder, model=str(aligned_checkpoint.folder), dim=20) as library:
        library.add([photo_folder])
        write_library_parquet(tmp_path / "v.parquet", library)
        said = pq.read_schema(tmp_path / "v.parquet").metadata
        assert (said[b"output"], said[b"dim"]) == (b"aligned", b"20")
        assert said[b"weights_digest"].decode() == library.model.vectors_digest


def test_the_commands(
    typist: Typist, aligned_checkpoint: Checkpoint, checkpoint: Checkpoint, photo_folder: Path, folder: Path
) -> None:
    spec, photo = str(aligned_checkpoint.folder), photo_folder / "a" / "00.jpg"

    def mvmr(*words: object):
        return typist(main, "mvmr-zoo", *words)

    add = ("index", "add", photo_folder, "--library", folder)
    for words, message in (
        (("--output", "words"), "output is 'words'; expected features or aligned"),
        (("--dim", 0), "dim is 0; expected at least 1"),
        (("--dim", 257), "expected at most 256, the length of aligned"),
        (("--output", "features", "--dim", 9), "dim is 9, but the features"),
    ):
        refused(mvmr(*add, "--model", spec, *words), message)
    refused(mvmr(*add, "--model", checkpoint.folder, "--output", "aligned"), "has only features")
    done = mvmr(*add, "--model", spec, "--output", "aligned", "--dim", 20)
    assert done.returncode == 0, done.stderr
    assert mvmr(*add).returncode == 0
    assert mvmr("search", photo, "--library", folder).returncode == 0
    refused(mvmr(*add, "--output", "features"), "contains vectors of the output aligned, 20 dimensions")
    assert f"{spec} (aligned, 20 dimensions)" in mvmr("index", "status", "--library", folder).stdout
    status = json.loads(mvmr("index", "status", "--library", folder, "--json").stdout)
    assert (status["output"], status["dim"]) == ("aligned", 20)
