"""The Ray engine beside the local one, on a real Ray of this machine, started once."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mvmr_zoo import Model, load
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.embed import embed_source, gather_parquet, open_source
from mvmr_zoo.embed.filesystem import Place
from mvmr_zoo.embed.folder import read_embeddings, read_facts
from mvmr_zoo.embed.plan import FOLDERS
from mvmr_zoo.embed.ray_engine import _Embedder, _Pool, _pool, embed_on_ray
from mvmr_zoo.errors import ConfigError, DataError, MissingDependencyError, UnknownModelError
from mvmr_zoo.inference.engines import OnnxEngine
from mvmr_zoo.inference.pipeline import unit

from ...command_line import Typed, refused, run
from ...conftest import write_photos
from .test_local_engine import write_list

pytestmark = pytest.mark.filterwarnings("ignore:.use_:DeprecationWarning:ray")

ODD = b"caf\xe9.jpg"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Its address."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # its token lies in a home that commands under test do not have
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        context = ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        yield context.address_info["gcs_address"]
        ray.shutdown()


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Model:
    return load(str(checkpoint.folder))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, one of them broken, some of names that are hard to read, and what is no photo."""
    folder = write_photos(tmp_path_factory.mktemp("photos") / "of 50 %41 #?;a", 28)
    whole = (folder / "a" / "00.jpg").read_bytes()
    for name in (ODD, b"two\nlines.JPG", b"what?; #1 [x] 50%.jpg", b"_under.jpg"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(whole)
    (folder / "a" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no photo")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "00.jpg").write_bytes(whole)
    return folder


@pytest.fixture(scope="module")
def local(photos: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the local engine makes of them."""
    folder = tmp_path_factory.mktemp("local") / "e"
    assert embed_source(open_source(photos), model, folder, shard_rows=10).embedded == 32
    return folder


@pytest.fixture(scope="module")
def parts(cluster: str, photos: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Ray makes of them."""
    folder = tmp_path_factory.mktemp("ray") / "parts"
    found = embed_on_ray(os.fspath(photos), model, os.fspath(folder), rows_per_part=8, batch_size=4)
    assert (found.images, found.reasons.total()) == (33, 1)
    return folder


def test_rows_equal_those_of_the_local_engine(parts: Path, local: Path, model: Model) -> None:
    files = list((parts / "parts").glob("*.parquet"))
    assert len(files) > 1
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    expected = read_embeddings(local)
    found = {_path(row): row["vector"] for row in rows if row["vector"] is not None}
    assert sorted(map(os.fsencode, found)) == list(map(os.fsencode, expected.image_paths))
    vectors = np.array([found[path] for path in expected.image_paths], np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert cosines(vectors, expected.rows(np.arange(32))).min() >= 0.9999
    failed = [{**row} for row in rows if row["vector"] is None]
    for row in failed:
        del row["vector"]
    assert failed == [row for n in range(4) for row in pq.read_table(_failures(local, n)).to_pylist()]
    assert all((row["stage"], row["reason"]) == (None, None) for row in rows if row["vector"] is not None)
    facts = json.loads((parts / "manifest.json").read_text())
    assert facts["weights_digest"] == model.weights_digest


def test_gathered_they_are_its_folder(parts: Path, local: Path, tmp_path: Path) -> None:
    report = gather_parquet(parts, tmp_path / "e", shard_rows=10)
    assert (report.images, report.embedded, report.shards, report.failed) == (33, 32, 4, 1)
    found, expected = read_embeddings(tmp_path / "e"), read_embeddings(local)
    assert found.image_paths == expected.image_paths
    assert found.facts == expected.facts
    every = np.arange(32)
    assert cosines(found.rows(every), expected.rows(every)).min() >= 0.9999
    assert [len(shard) for shard in found.shards] == [len(shard) for shard in expected.shards]
    for number in range(4):
        assert _failures(tmp_path / "e", number).read_bytes() == _failures(local, number).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    with pytest.raises(DataError, match="already exists"):
        gather_parquet(parts, tmp_path / "e")


def test_gathered_into_many_shards_they_stand_in_order_by_name_too(parts: Path, local: Path, tmp_path: Path) -> None:
    assert gather_parquet(parts, tmp_path / "e", shard_rows=3).shards == 11
    for kind in FOLDERS:
        names = sorted(path.stem for path in (tmp_path / "e" / kind).iterdir())
        assert names == [f"{kind}_{number:02}" for number in range(11)]
    assert read_embeddings(tmp_path / "e").image_paths == read_embeddings(local).image_paths


def test_the_command_joins_the_cluster_that_is_named(
    cluster: str,
    photos: Path,
    local: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: Typed,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    out, uri = tmp_path / "parts", f"{photos.as_uri()}/a"
    arguments = ("--engine", "ray", "--model", checkpoint.folder, "--strict")
    done = run("embed", uri, "-o", out.as_uri(), *arguments, home=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "14 of 15 images embedded, in 1 Parquet file." in done.stdout
    assert "1 failed (1 damaged or truncated" in done.stderr
    assert "Traceback" not in done.stderr
    done = typed("gather", out.as_uri(), "-o", tmp_path / "e")
    assert done.returncode == 0, done.stderr
    assert "14 of 15 images" in done.stdout
    paths = read_embeddings(tmp_path / "e").image_paths
    assert paths == [path for path in read_embeddings(local).image_paths if path.startswith(f"{photos}/a/")]
    refused(typed("embed", uri, "-o", out.as_uri(), *arguments), "already contains manifest.json")


def test_a_file_system_of_fsspec(cluster: str, photo_folder: Path, model: Model, tmp_path: Path) -> None:
    archive, out = tmp_path / "photos.zip", tmp_path / "parts"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(photo_folder.rglob("*.jpg")):
            file.write(path, f"below/{path.relative_to(photo_folder)}")
        for name in (
            "below/UPPER.JPG",
            "below/_MG_1.jpg",
            "below/_x/_y.jpg",
            "below/why?#.jpg",
            "below/notes.txt",
            "below/.hidden/x.jpg",
            "below/a/.x.jpg",
            "other/x.jpg",
        ):
            file.writestr(name, "no photo")
    found = embed_on_ray(f"zip://below::file://{archive}", model, os.fspath(out))
    assert (found.images, found.reasons.total()) == (16, 4)
    gather_parquet(out, tmp_path / "e")
    vectors = read_embeddings(tmp_path / "e")
    photos = sorted(photo_folder.rglob("*.jpg"))
    assert vectors.image_paths == [f"zip://below/{path.relative_to(photo_folder)}::file://{archive}" for path in photos]
    assert cosines(vectors.rows(np.arange(12)), model.embed(photos)).min() >= 0.9999
    with pytest.raises(DataError, match="zip://none::file://"):
        embed_on_ray(f"zip://none::file://{archive}", model, os.fspath(tmp_path / "p"))


def test_what_a_stopped_run_left_is_made_anew_with_the_output_asked_for(
    cluster: str, photos: Path, aligned_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "p" / "parts").mkdir(parents=True)
    (tmp_path / "p" / "parts" / "left.parquet").write_text("half a file")
    with pytest.raises(DataError, match=r"has no manifest\.json"):
        gather_parquet(tmp_path / "p", tmp_path / "e")
    model = load(aligned_checkpoint.folder, dim=20)
    found = embed_on_ray(os.fspath(photos / "b"), model, os.fspath(tmp_path / "p"))
    assert (found.images, found.reasons.total()) == (14, 0)
    assert (found.facts.output, found.facts.dim) == ("aligned", 20)
    gather_parquet(tmp_path / "p", tmp_path / "e")
    gathered = read_embeddings(tmp_path / "e")
    assert gathered.facts == found.facts
    assert cosines(gathered.rows(np.arange(14)), model.embed(gathered.image_paths)).min() >= 0.9999


def test_machines_that_have_another_model(
    cluster: str, photos: Path, local: Path, model: Model, other_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """One actor fails on Ray, which reports its error. The other error is raised by the same constructor."""
    other = replace(model, spec=str(other_checkpoint.folder))
    with pytest.raises(DataError, match=r"Ray stopped: .*is a different model on"):
        embed_on_ray(os.fspath(photos / "b"), other, os.fspath(tmp_path / "p"))
    facts = read_facts(local)
    assert facts is not None
    with pytest.raises(UnknownModelError, match="No model is"):
        _Embedder("no-such-model", facts, Place.local(os.fspath(photos)), _Pool(1, 1, 0), 4)
    assert not (tmp_path / "p" / "manifest.json").exists()


def test_shares_of_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def nodes(*machines: dict[str, float]) -> None:
        monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": each} for each in machines])

    nodes({"CPU": 2})
    assert _pool(on_gpu=False) == (1, 2, 0)
    nodes({"CPU": 64}, {"CPU": 16}, {"memory": 1})  # a head without processors for tasks
    assert _pool(on_gpu=False) == (10, 8, 0)
    nodes({"CPU": 32, "GPU": 4}, {"CPU": 16, "GPU": 1}, {"CPU": 64})
    assert _pool(on_gpu=True) == (5, 8, 1)
    nodes({"CPU": 1})
    assert _pool(on_gpu=True) == (1, 1, 0)


def test_an_actor_keeps_to_its_share(model: Model, photos: Path, local: Path) -> None:
    facts = read_facts(local)
    assert facts is not None
    engine = _Embedder(model.spec, facts, Place.local(os.fspath(photos)), _Pool(2, 1, 0), 4)._model.engine
    assert isinstance(engine, OnnxEngine)
    assert engine._session.get_session_options().intra_op_num_threads == 1


def test_runs_that_cannot_be(photos: Path, parts: Path, model: Model, tmp_path: Path, typed: Typed) -> None:
    file, out = write_list(tmp_path, ["a.jpg"]), os.fspath(tmp_path / "p")
    for source in (file, f"parquet:{file}", tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="reads a folder, or a URI"):
            embed_on_ray(str(source), model, out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No photos found in"):
        embed_on_ray(os.fspath(tmp_path / "empty"), model, out)
    with pytest.raises(DataError, match="foo://bucket cannot be used"):
        embed_on_ray("foo://bucket", model, out)
    with pytest.raises(DataError, match=r"already contains \.thumbnails"):
        embed_on_ray(os.fspath(photos), model, os.fspath(photos))
    with pytest.raises(ConfigError, match="batch_size is 0"):
        embed_on_ray(os.fspath(photos), model, out, batch_size=0)
    assert not Path(out).exists()
    refused(typed("embed", photos, "-o", out, "--engine", "rey"), "'rey'; expected local or ray.")


def test_without_ray(photos: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mvmr-zoo\[ray\]'"):
        embed_on_ray(os.fspath(photos), model, os.fspath(tmp_path / "p"))
    assert not (tmp_path / "p").exists()


def test_parts_that_are_damaged(parts: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(parts, copy)
    file = next((copy / "parts").iterdir())
    whole = file.read_bytes()
    for damage in (whole[:-9], None):
        file.unlink() if damage is None else file.write_bytes(damage)
        with pytest.raises(DataError, match="copy cannot be used"):
            gather_parquet(copy, tmp_path / "e")
    (copy / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged"):
        gather_parquet(copy, tmp_path / "e")
    assert not (tmp_path / "e").exists()


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row by row; vectors kept as float16 are not quite of unit length."""
    return (unit(one) * unit(other)).sum(axis=1)


def _path(row: dict[str, object]) -> str:
    raw = row["image_path_bytes"]
    return os.fsdecode(raw) if isinstance(raw, bytes) else str(row["image_path"])


def _failures(folder: Path, number: int) -> Path:
    return folder / "failures" / f"failures_{number}.parquet"
