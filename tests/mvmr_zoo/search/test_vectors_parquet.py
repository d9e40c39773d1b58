"""Vectors as a Parquet file: what is in it, and that it is what the library or the embeddings folder holds."""

from __future__ import annotations

import functools
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.cli import main
from mvmr_zoo.embed.folder import EmbeddingsFacts, read_embeddings, write_embeddings
from mvmr_zoo.errors import ConfigError, DataError, LibraryDamagedError, LibraryError
from mvmr_zoo.search import PhotoLibrary, store
from mvmr_zoo.search import vectors_parquet as parquet
from mvmr_zoo.search.store import DATABASE_FILE
from mvmr_zoo.search.vectors_parquet import write_folder_parquet, write_library_parquet

from ...command_line import Typist, refused, run

ODD = b"caf\xe9.jpg"
FACTS = EmbeddingsFacts(model="tiny", weights_digest="1", preprocess_digest="2", dim=4, normalized=False)


@pytest.fixture
def filled(library: PhotoLibrary, photo_folder: Path) -> PhotoLibrary:
    (photo_folder / "a" / "00.jpg").rename(photo_folder / "a" / os.fsdecode(ODD))
    library.add([photo_folder])
    return library


def vectors_of(table: pa.Table) -> np.ndarray:
    """`(N, D)` float32."""
    column = table.column("vector").combine_chunks()
    return column.values.to_numpy().reshape(len(table), -1)


def paths_of(table: pa.Table) -> list[bytes]:
    """Names as they are on the disk."""
    text, raw = table.column("image_path").to_pylist(), table.column("image_path_bytes").to_pylist()
    return [os.fsencode(shown) if odd is None else odd for shown, odd in zip(text, raw, strict=True)]


def told(file: Path) -> dict[str, str]:
    """The key-value metadata, Arrow's own left out."""
    found = pq.read_metadata(file).metadata or {}
    return {name.decode(): value.decode() for name, value in found.items() if name != b"ARROW:schema"}


def test_the_file_is_what_the_library_holds(
    filled: PhotoLibrary, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo_folder / "b" / "01.jpg").unlink()
    filled.add([photo_folder])  # marks it missing
    monkeypatch.setattr(store, "_ROWS_PER_PART", 5)
    file, seen = tmp_path / "out.parquet", []
    assert write_library_parquet(file, filled, progress=lambda done, total: seen.append((done, total))) == 11
    assert seen == [(5, 11), (9, 11), (11, 11)]  # the missing one is the seventh
    assert [pq.read_metadata(file).row_group(group).num_rows for group in range(3)] == [5, 4, 2]
    table = pq.read_table(file)
    assert table.schema.equals(
        pa.schema(
            {
                "id": pa.int64(),
                "image_path": pa.string(),
                "image_path_bytes": pa.binary(),
                "vector": pa.list_(pa.float32(), 256),
                "taken": pa.string(),
                "width": pa.int32(),
                "height": pa.int32(),
                "size": pa.int64(),
            }
        )
    )
    with closing(sqlite3.connect(filled.folder / DATABASE_FILE)) as connection:
        found = connection.execute(
            "SELECT id, path, taken, width, height, size, vector FROM photos WHERE missing = 0 ORDER BY id"
        ).fetchall()
    ids, paths, *facts, vectors = zip(*found, strict=True)
    assert table.column("id").to_pylist() == list(ids)
    assert paths_of(table) == list(paths)
    assert [tuple(table.column(name).to_pylist()) for name in ("taken", "width", "height", "size")] == facts
    stored = np.stack([np.frombuffer(vector, np.float16) for vector in vectors]).astype(np.float32)
    np.testing.assert_allclose(vectors_of(table), stored, atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors_of(table), axis=1), 1, atol=1e-6)


def test_names_that_are_not_text(filled: PhotoLibrary, photo_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"\xe9t\xe9.parquet")
    write_library_parquet(file, filled)
    with file.open("rb") as opened:
        table = pq.read_table(opened)
    odd = [row for row in table.select(["image_path", "image_path_bytes"]).to_pylist() if row["image_path_bytes"]]
    assert odd == [
        {
            "image_path": f"{photo_folder}/a/caf\\xe9.jpg",
            "image_path_bytes": os.fsencode(photo_folder / "a") + b"/" + ODD,
        }
    ]


def test_whose_vectors_they_are(filled: PhotoLibrary, checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_library_parquet(tmp_path / "out.parquet", filled)
    assert told(tmp_path / "out.parquet") == {
        "model": str(checkpoint.folder),
        "weights_digest": filled.model.weights_digest,
        "preprocess_digest": filled.model.preprocess.digest,
        "dim": "256",
        "output": "features",
        "metric": "cosine",
    }


def test_rows_of_an_embeddings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(8)] + [os.fsdecode(ODD)]
    batches = [(random.normal(size=(3, 4)).astype(np.float32), names[first : first + 3]) for first in (0, 3, 6)]
    write_embeddings(tmp_path / "e", batches, FACTS, shard_rows=6)
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 4)
    file = tmp_path / "out.parquet"
    assert write_folder_parquet(file, tmp_path / "e") == 9
    assert [pq.read_metadata(file).row_group(group).num_rows for group in range(3)] == [4, 2, 3]
    table = pq.read_table(file)
    assert table.column_names == ["id", "image_path", "image_path_bytes", "vector"]
    assert table.column("id").to_pylist() == list(range(9))
    assert paths_of(table) == [os.fsencode(name) for name in names]
    expected = np.concatenate([vectors for vectors, _ in batches])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors_of(table), expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors_of(table), axis=1), 1, atol=1e-6)
    assert told(file) == {
        "model": "tiny",
        "weights_digest": "1",
        "preprocess_digest": "2",
        "dim": "4",
        "output": "features",
        "metric": "cosine",
    }


def test_folders_that_cannot_be_written_as_one_file(tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    with pytest.raises(DataError, match="is not an embeddings folder"):
        write_folder_parquet(file, tmp_path / "nowhere")
    write_embeddings(tmp_path / "empty", [], FACTS)
    with pytest.raises(DataError, match="contains no vectors"):
        write_folder_parquet(file, tmp_path / "empty")
    write_embeddings(tmp_path / "e", [(np.ones((1, 4), np.float32), ["a.jpg"])], FACTS)
    with pytest.raises(ConfigError, match="is inside"):
        write_folder_parquet(tmp_path / "e" / "metadata" / "metadata_0.parquet", tmp_path / "e")
    with pytest.raises(ConfigError, match=r"Use a name that ends in \.parquet"):
        write_folder_parquet(tmp_path / "out.csv", tmp_path / "e")
    (tmp_path / "e" / "manifest.json").unlink()
    with pytest.raises(DataError, match="not finished, or it was created by another program"):
        write_folder_parquet(file, tmp_path / "e")
    write_embeddings(tmp_path / "f", [(np.ones((2, 4), np.float32), ["a.jpg", "b.jpg"])] * 2, FACTS, shard_rows=2)
    (tmp_path / "f" / "img_emb" / "img_emb_1.npy").unlink()
    with pytest.raises(DataError, match="files are missing"):
        write_folder_parquet(file, tmp_path / "f")
    assert not file.exists()


@pytest.mark.parametrize("cut", [1, 2])
def test_a_damaged_vector_leaves_the_file_that_was_there(cut: int, filled: PhotoLibrary, tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    file.write_text("of earlier")
    with closing(sqlite3.connect(filled.folder / DATABASE_FILE)) as connection, connection:
        connection.execute("UPDATE photos SET vector = substr(vector, 1, 512 - ?) WHERE id = 7", (cut,))
    with pytest.raises(LibraryDamagedError, match="length is not 256"):
        write_library_parquet(file, filled)
    assert file.read_text() == "of earlier"
    assert not list(tmp_path.glob(".*.part"))


def test_an_empty_library(library: PhotoLibrary, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="contains no photos"):
        write_library_parquet(tmp_path / "out.parquet", library)


def test_the_command(filled: PhotoLibrary, photo_folder: Path, tmp_path: Path, checkpoint: Checkpoint) -> None:
    file, out = tmp_path / "out.parquet", tmp_path / "out"
    done = run("vectors", "-o", file, "-L", filled.folder, home=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: 12 vectors.\n", "")
    of_library = pq.read_table(file)
    assert run("embed", photo_folder, "-o", out, "--model", checkpoint.folder, home=tmp_path).returncode == 0
    done = run("vectors", "-o", file, "--from", out, home=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: 12 vectors.\n", "")
    of_folder = pq.read_table(file)
    assert paths_of(of_folder) == [os.fsencode(path) for path in read_embeddings(out).image_paths]
    order = np.argsort([paths_of(of_library).index(path) for path in paths_of(of_folder)])
    np.testing.assert_allclose(vectors_of(of_folder)[order], vectors_of(of_library), atol=1e-3)


def test_commands_that_cannot_run(filled: PhotoLibrary, tmp_path: Path, typist: Typist) -> None:
    typed = functools.partial(typist, main, "mvmr-zoo")
    file, there = tmp_path / "out.parquet", ("-L", filled.folder)
    refused(typed("vectors", "-o", file, "-L", tmp_path / "nowhere"), "There is no library")
    refused(typed("vectors", "-o", file, "--from", tmp_path / "nowhere"), "is not an embeddings folder")
    refused(typed("vectors", "-o", tmp_path / "out.csv", *there), "Use a name that ends in .parquet")
    refused(typed("vectors", "-o", tmp_path / "no" / "out.parquet", *there), "No such file or directory")
    refused(typed("vectors", "-o", file, *there, "--from", tmp_path), "Use one of them")
    assert not (tmp_path / "nowhere").exists()

    def little_room() -> None:  # a file of 2,000 bytes is the largest that can be written
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    refused(run("vectors", "-o", file, *there, home=tmp_path, preexec_fn=little_room), "File too large")
    assert not file.exists()
    assert not list(tmp_path.glob(".*.part"))
