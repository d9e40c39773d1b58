from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from mvmr_zoo import Model, load
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.embed import BulkReport, embed_source, open_source
from mvmr_zoo.embed.folder import read_embeddings
from mvmr_zoo.embed.inputs import InputList, list_names
from mvmr_zoo.embed.plan import FOLDERS
from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.images import PhotoFile


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Model:
    return load(str(checkpoint.folder))


def write_list(folder: Path, names: list[str], name: str = "list.txt") -> Path:
    (folder / name).write_text("\n".join(names), errors="surrogateescape")
    return folder / name


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_vectors_are_those_of_embed(photo_folder: Path, tmp_path: Path, model: Model) -> None:
    told: list[tuple[int, int]] = []
    source = open_source(photo_folder)
    report = embed_source(source, model, tmp_path / "e", shard_rows=5, progress=lambda *now: told.append(now))
    assert report == BulkReport(images=12, embedded=12, shards=3, made=3)
    found = read_embeddings(tmp_path / "e")
    assert [len(shard) for shard in found.shards] == [5, 5, 2]
    assert all(shard.dtype == np.float16 for shard in found.shards)
    assert found.image_paths == [each.path for each in source.inputs(0, 12)]
    expected = model.embed(found.image_paths)
    assert (found.rows(np.arange(12)) * expected).sum(axis=1).min() >= 0.9999
    assert found.facts is not None
    assert (found.facts.weights_digest, found.facts.normalized) == (model.weights_digest, True)
    assert told[-1] == (12, 12)
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == [
        "failures", "img_emb", "manifest.json", "metadata", "plan.json"
    ]  # fmt: skip


def test_failures_stand_beside_and_a_shard_may_have_nothing_else(
    photo_folder: Path, tmp_path: Path, model: Model
) -> None:
    (photo_folder / "text.jpg").write_text("no photo")
    whole = (photo_folder / "a" / "00.jpg").read_bytes()
    (photo_folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    names = ["gone.jpg", "text.jpg", "a/00.jpg", "half.jpg", "b/01.jpg", "a"]
    report = embed_source(open_source(write_list(photo_folder, names)), model, tmp_path / "e", shard_rows=2)
    assert (report.images, report.embedded, report.failed, report.shards) == (6, 2, 4, 3)
    assert report.reasons["no such file"] == report.reasons["is a folder, not a photo"] == 1
    found = read_embeddings(tmp_path / "e")
    assert [len(shard) for shard in found.shards] == [0, 1, 1]
    assert found.image_paths == [str(photo_folder / "a" / "00.jpg"), str(photo_folder / "b" / "01.jpg")]
    assert (found.rows(np.arange(2)) * model.embed(found.image_paths)).sum(axis=1).min() >= 0.9999
    tables = [pq.read_table(tmp_path / "e" / "failures" / f"failures_{number}.parquet") for number in range(3)]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [Path(row["image_path"]).name for row in rows] == ["gone.jpg", "text.jpg", "half.jpg", "a"]
    assert [row["stage"] for row in rows] == ["open", "open", "decode", "open"]
    again = embed_source(open_source(photo_folder / "list.txt"), model, tmp_path / "e", shard_rows=2)
    assert (again.was_finished, again.made, again.failed) == (True, 0, 4)


def test_every_image_failed(photo_folder: Path, tmp_path: Path, model: Model) -> None:
    report = embed_source(open_source(write_list(photo_folder, ["x.jpg", "y.jpg"])), model, tmp_path / "e")
    assert (report.embedded, report.failed) == (0, 2)
    found = read_embeddings(tmp_path / "e")
    assert found.image_paths == []
    assert found.rows(np.arange(0)).shape == (0, model.card.embedding_dim)


def test_names_that_are_not_text(photo_folder: Path, tmp_path: Path, model: Model) -> None:
    odd = os.fsencode(photo_folder) + b"/caf\xe9.jpg"
    Path(os.fsdecode(odd)).write_bytes((photo_folder / "a" / "00.jpg").read_bytes())
    Path(os.fsdecode(odd) + "\n.jpg").write_text("no photo")
    report = embed_source(open_source(photo_folder), model, tmp_path / "e")
    assert (report.embedded, report.failed) == (13, 1)
    table = pq.read_table(tmp_path / "e" / "metadata" / "metadata_0.parquet")
    row = table.column("image_path").to_pylist().index(f"{photo_folder}/caf\\xe9.jpg")
    assert [n for n, raw in enumerate(table.column("image_path_bytes").to_pylist()) if raw is not None] == [row]
    assert os.fsencode(read_embeddings(tmp_path / "e").image_paths[row]) == odd  # opens
    failed = pq.read_table(tmp_path / "e" / "failures" / "failures_0.parquet").to_pylist()[0]
    assert failed["image_path_bytes"] == odd + b"\n.jpg"


def test_a_shard_that_is_missing_or_damaged_is_made_again_alone(
    photo_folder: Path, tmp_path: Path, model: Model
) -> None:
    source, out = open_source(photo_folder), tmp_path / "e"
    embed_source(source, model, out, shard_rows=4)
    whole = content(out)
    for name in ("img_emb/img_emb_1.npy", "metadata/metadata_1.parquet", "failures/failures_1.parquet"):
        for damage in (b"", whole[name][:-9], None):
            (out / "manifest.json").unlink()
            (out / name).unlink() if damage is None else (out / name).write_bytes(damage)
            (out / "img_emb" / ".img_emb_1.npy.1-1.part").write_bytes(b"left by a killed one")
            assert embed_source(source, model, out, shard_rows=4).made == 1
            assert content(out) == whole


@pytest.mark.parametrize("done_before", [0, 5, 12])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_is_deleted_while_it_is_written(
    photo_folder: Path, tmp_path: Path, model: Model, *, replaced: bool, done_before: int
) -> None:
    """Shards of two runs were mixed in the new folder."""
    source, out = open_source(photo_folder), tmp_path / "e"

    def delete(done: int, total: int) -> None:
        if done >= done_before and out.exists() and not (out / "new").exists():
            shutil.rmtree(out)
            if replaced:
                for name in FOLDERS:
                    (out / name).mkdir(parents=True)
                (out / "new").touch()

    with pytest.raises(DataError, match="was deleted or replaced while it was in use"):
        embed_source(source, model, out, shard_rows=5, progress=delete)
    assert content(out) == ({"new": b""} if replaced else {})


def test_something_else_is_refused(
    photo_folder: Path, tmp_path: Path, model: Model, other_checkpoint: Checkpoint
) -> None:
    source, out = open_source(photo_folder), tmp_path / "e"
    embed_source(source, model, out, shard_rows=6)
    whole = content(out)
    listed = open_source(write_list(photo_folder, ["a/00.jpg"]))
    for finished in (True, False):
        with pytest.raises(DataError, match="was created with the model"):
            embed_source(source, load(str(other_checkpoint.folder)), out, shard_rows=6)
        with pytest.raises(DataError, match=r"another list: 12 inputs of .*photos, now 1 of .*list\.txt"):
            embed_source(listed, model, out, shard_rows=6)
        with pytest.raises(DataError, match="created with --shard-rows 6, not 7"):
            embed_source(source, model, out, shard_rows=7)
        if finished:
            assert content(out) == whole
            (out / "manifest.json").unlink()
    with FileLock(out / ".lock"), pytest.raises(DataError, match="Another command is writing"):
        embed_source(source, model, out, shard_rows=6)
    for damage in ("", "[]", json.dumps({"schema": 1}), json.dumps({"schema": 9})):
        (out / "plan.json").write_text(damage)
        with pytest.raises(DataError, match=r"plan\.json (is damaged|has schema 9)"):
            embed_source(source, model, out, shard_rows=6)
    with pytest.raises(DataError, match="contains a but no plan"):
        embed_source(source, model, photo_folder)
    with pytest.raises(DataError, match="is a file"):
        embed_source(source, model, photo_folder / "list.txt")
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(DataError, match="contains no images"):
        embed_source(open_source(tmp_path / "none.txt"), model, tmp_path / "f")
    with pytest.raises(ConfigError, match="shard_rows is 0"):
        embed_source(source, model, tmp_path / "f", shard_rows=0)
    assert not (tmp_path / "f").exists()


def test_a_list_that_changes_in_the_middle_is_noticed(photo_folder: Path, tmp_path: Path, model: Model) -> None:
    path = write_list(photo_folder, ["a/00.jpg", "b/01.jpg", "a/02.jpg", "b/03.jpg"])

    def change(done: int, total: int) -> None:
        if done == 2:
            write_list(photo_folder, ["a/00.jpg", "b/01.jpg", "b/03.jpg", "a/02.jpg "])

    with pytest.raises(DataError, match="changed while it was being read"):
        embed_source(open_source(path), model, tmp_path / "e", shard_rows=2, batch_size=2, progress=change)
    assert not (tmp_path / "e" / "manifest.json").exists()


@dataclass(frozen=True)
class Endless:
    """One photo, again and again."""

    photo: str
    count: int
    name = "endless"

    def stamp(self) -> None: ...

    def listed(self) -> InputList:
        return list_names(b"" for _ in range(self.count))

    def inputs(self, first: int, last: int) -> Iterator[PhotoFile]:
        return (PhotoFile(self.photo) for _ in range(first, last))


def test_inputs_are_read_as_they_are_needed(photo_folder: Path, tmp_path: Path, model: Model) -> None:
    read: list[int] = []
    ahead: list[int] = []

    class Counted(Endless):
        def inputs(self, first: int, last: int) -> Iterator[PhotoFile]:
            for row in range(first, last):
                read.append(row)
                yield PhotoFile(self.photo)

    source = Counted(str(photo_folder / "a" / "00.jpg"), 100)
    embed_source(
        source, model, tmp_path / "e", shard_rows=50, batch_size=4,
        progress=lambda done, total: ahead.append(len(read) - done),
    )  # fmt: skip
    assert max(ahead) <= 4 * 4


def test_twelve_shards_stand_in_order_by_name_too(photo_folder: Path, tmp_path: Path, model: Model) -> None:
    source, out = open_source(photo_folder), tmp_path / "e"
    embed_source(source, model, out, shard_rows=1)
    found, whole = read_embeddings(out), content(out)
    for kind in FOLDERS:
        assert sorted(path.stem for path in (out / kind).iterdir()) == [f"{kind}_{number:02}" for number in range(12)]
    by_name = sorted((out / "img_emb").iterdir())
    assert found.image_paths == [each.path for each in source.inputs(0, 12)]
    np.testing.assert_array_equal(np.concatenate([np.load(path) for path in by_name]), np.concatenate(found.shards))
    assert embed_source(source, model, out, shard_rows=1).was_finished
    for name in ("manifest.json", "img_emb/img_emb_03.npy", "metadata/metadata_10.parquet"):  # as a killed one left it
        (out / name).unlink()
    assert embed_source(source, model, out, shard_rows=1).made == 2
    assert content(out) == whole


def test_another_output(aligned_checkpoint: Checkpoint, photo_folder: Path, tmp_path: Path) -> None:
    """The folder says which it holds, goes on with no other, and one from before there were two is of features."""
    source, out = open_source(photo_folder), tmp_path / "e"
    model = load(aligned_checkpoint.folder, dim=20)
    embed_source(source, model, out)
    found = read_embeddings(out)
    assert found.facts is not None
    assert (found.facts.output, found.facts.dim, found.facts.asked_dim) == ("aligned", 20, 20)
    assert found.facts.weights_digest == model.vectors_digest
    assert (found.rows(np.arange(12)) * model.embed(found.image_paths)).sum(axis=1).min() >= 0.9999
    assert embed_source(source, model, out).was_finished
    features = load(aligned_checkpoint.folder, output="features")
    with pytest.raises(DataError, match="created with the model output aligned, 20 dimensions, not features"):
        embed_source(source, features, out)
    embed_source(source, features, tmp_path / "f")
    for name in ("plan.json", "manifest.json"):
        values = json.loads((tmp_path / "f" / name).read_text())
        assert (values.pop("output"), values["weights_digest"]) == ("features", aligned_checkpoint.weights_digest)
        (tmp_path / "f" / name).write_text(json.dumps(values))
    assert embed_source(source, features, tmp_path / "f").was_finished
    facts = read_embeddings(tmp_path / "f").facts
    assert facts is not None
    assert (facts.output, facts.asked_dim) == ("features", None)
    (tmp_path / "f" / "manifest.json").write_text(json.dumps({**values, "output": "words"}))
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        read_embeddings(tmp_path / "f")
