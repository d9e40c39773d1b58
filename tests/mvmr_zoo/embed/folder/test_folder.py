from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mvmr_zoo.embed.folder import EmbeddingsFacts, read_embeddings, shard_name, write_embeddings
from mvmr_zoo.errors import DataError

FACTS = EmbeddingsFacts(model="tiny", weights_digest="1", preprocess_digest="2", dim=4, normalized=False)


def batches(*sizes: int) -> list[tuple[np.ndarray, list[str]]]:
    random, names = np.random.default_rng(0), iter(range(99))
    return [(random.random((n, 4), np.float32), [f"a/{next(names)}.jpg" for _ in range(n)]) for n in sizes]


def test_shards_read_back_as_one(tmp_path: Path) -> None:
    given = batches(3, 3, 2)
    write_embeddings(tmp_path / "e", given, FACTS, shard_rows=5)
    found = read_embeddings(tmp_path / "e")
    assert [len(shard) for shard in found.shards] == [6, 2]
    assert found.facts == FACTS
    assert found.image_paths == [name for _, names in given for name in names]
    expected = np.concatenate([vectors for vectors, _ in given])
    wanted = np.array([7, 0, 5, 6])
    np.testing.assert_allclose(found.rows(wanted), expected[wanted], atol=1e-3)


def test_the_layout_is_that_of_clip_retrieval(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "e", batches(3), FACTS)
    assert np.load(tmp_path / "e" / "img_emb" / "img_emb_0.npy").dtype == np.float16
    table = pq.read_table(tmp_path / "e" / "metadata" / "metadata_0.parquet")
    assert table.column("image_path").to_pylist() == ["a/0.jpg", "a/1.jpg", "a/2.jpg"]


def test_names_that_are_not_text_come_back(tmp_path: Path) -> None:
    names = ["plain.jpg", os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg", "café.jpg"]
    write_embeddings(tmp_path / "e", [(np.ones((4, 4), np.float32), names)], FACTS)
    assert read_embeddings(tmp_path / "e").image_paths == names
    text = pq.read_table(tmp_path / "e" / "metadata" / "metadata_0.parquet").column("image_path").to_pylist()
    assert text == ["plain.jpg", "caf\\xe9.jpg", "caf\\xe9.jpg", "café.jpg"]


def test_a_folder_without_rows_is_read(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "e", [], FACTS)
    assert read_embeddings(tmp_path / "e").rows(np.arange(0)).shape == (0, 4)


def test_another_programs_folder_needs_no_manifest(tmp_path: Path) -> None:
    for name in ("img_emb", "metadata"):
        (tmp_path / name).mkdir()
    for number in (0, 1, 10):  # ten comes after one
        np.save(tmp_path / "img_emb" / f"img_emb_{number:02}.npy", np.full((2, 4), number, np.float32))
        paths = pa.table({"image_path": [f"{number}/x.jpg", f"{number}/y.jpg"], "caption": ["", ""]})
        pq.write_table(paths, tmp_path / "metadata" / f"metadata_{number}.parquet")
    found = read_embeddings(tmp_path)
    assert found.facts is None
    assert found.rows(np.arange(6))[:, 0].tolist() == [0, 0, 1, 1, 10, 10]


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    write_embeddings(tmp_path, batches(3), FACTS)
    with pytest.raises(DataError, match="already contains embeddings"):
        write_embeddings(tmp_path, batches(3), FACTS)
    array = tmp_path / "img_emb" / "img_emb_0.npy"
    content = array.read_bytes()
    array.write_bytes(content[:-1] + b"x")
    with pytest.raises(DataError, match=r"img_emb_0\.npy is missing or was altered"):
        read_embeddings(tmp_path)
    (tmp_path / "manifest.json").unlink()
    array.write_bytes(content[:-20])
    with pytest.raises(DataError, match=r"img_emb_0\.npy .*cannot be read"):
        read_embeddings(tmp_path)
    np.save(array, np.zeros((2, 4), np.float16))
    with pytest.raises(DataError, match=r"shape \(2, 4\), but .* has 3 rows"):
        read_embeddings(tmp_path)
    with pytest.raises(DataError, match="not an embeddings folder"):
        read_embeddings(tmp_path / "img_emb")


@pytest.mark.parametrize(("shards", "last"), [(1, "0"), (10, "9"), (11, "10"), (101, "100")])
def test_names_of_shards_sort_as_text(shards: int, last: str) -> None:
    names = [shard_name(number, shards) for number in range(shards)]
    assert names == sorted(names)
    assert names[-1] == last
