"""Embeddings folders that can be searched: IVF-PQ, made shard by shard."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from mvmr_zoo import Model, load
from mvmr_zoo.checkpoint import Checkpoint, alignment_from_projector
from mvmr_zoo.embed.folder import EmbeddingsFacts, write_embeddings
from mvmr_zoo.embed.plan import facts_of
from mvmr_zoo.errors import ConfigError, DataError, LibraryBusyError, LibraryError, LibraryMismatchError
from mvmr_zoo.inference.pipeline import unit
from mvmr_zoo.search import EmbeddingsLibrary, Query, build_ivfpq, read_ivfpq
from mvmr_zoo.search.index import ivfpq_build as shards_build
from mvmr_zoo.search.index.mapped_folder import Paths, write_paths

from ....command_line import refused, run
from ....conftest import make_checkpoint, shared_checkpoint, write_photos
from ....forked import LIGHT, run_forked

ROWS, SHARD = 11_000, 3_000

BUILD = f"""
import os, signal, sys
from pathlib import Path
from mvmr_zoo.search import build_ivfpq

def die(done, total):
    if done > {SHARD}:
        os.kill(os.getpid(), signal.SIGKILL)

build_ivfpq(Path(sys.argv[1]), recall=0.9, progress=die)
"""


@pytest.fixture(scope="module")
def model(run_folder: Path) -> Model:
    """An encoder of 64 features, because builds take a time in proportion to them."""
    return load(str(shared_checkpoint(run_folder / "narrow", architecture="resnet8").folder))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Path:
    """Twelve photos' vectors at the end of many made-up ones, with an index."""
    folder = tmp_path_factory.mktemp("shards")
    photos = sorted(write_photos(folder / "photos", 12).rglob("*.jpg"))
    random, dim = np.random.default_rng(0), model.card.embedding_dim
    centers = random.standard_normal((30, dim))
    vectors = centers[random.integers(30, size=ROWS - 12)] + 0.8 * random.standard_normal((ROWS - 12, dim))
    names = [f"/far/{number}-é\udcff.jpg" for number in range(ROWS - 12)] + [str(path) for path in photos]
    vectors = np.concatenate([unit(vectors.astype("f4")), model.embed(photos)])
    batches = [(vectors[i : i + 1000], names[i : i + 1000]) for i in range(0, ROWS, 1000)]
    facts = EmbeddingsFacts(
        model=model.spec,
        weights_digest=model.weights_digest,
        preprocess_digest=model.preprocess.digest,
        dim=dim,
        normalized=True,
    )
    write_embeddings(folder / "e", batches, facts, shard_rows=SHARD)
    build_ivfpq(folder / "e", recall=0.95)
    return folder / "e"


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copied"))


def vectors_of(folder: Path) -> NDArray[np.float32]:
    count = len(list((folder / "img_emb").iterdir()))
    return np.concatenate([np.load(folder / f"img_emb/img_emb_{n}.npy") for n in range(count)]).astype("f4")


def test_rows_are_found_as_by_comparing_all(made: Path) -> None:
    vectors, library = vectors_of(made), EmbeddingsLibrary(made)
    assert len(vectors) == ROWS
    agree = []
    for row in range(40, 8_000, 100):
        exact = np.argsort(-(vectors @ vectors[row]), kind="stable")[:11].tolist()
        hits = library.search(Query(like_ids=[row]), 10)
        assert row not in [hit.id for hit in hits]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert hits[0].score == pytest.approx(vectors[hits[0].id] @ vectors[row], abs=1e-3)
        agree.append(len({hit.id for hit in hits} & set(exact)) / 10)
        assert library.search(Query(like_ids=[row]), 1, keep_query=True)[0].id == row
    assert np.mean(agree) >= 0.93
    assert read_ivfpq(made).tuning.chosen.low >= 0.95


def test_a_photo_finds_itself_among_all(made: Path, tmp_path: Path) -> None:
    photo = EmbeddingsLibrary(made)._paths[ROWS - 1]
    done = run("search", photo, "-L", made, "-k", 3, "--keep-query", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    hits = json.loads(done.stdout)["hits"]
    assert (hits[0]["id"], hits[0]["path"]) == (ROWS - 1, str(photo))
    assert hits[0]["score"] > 0.999
    without = EmbeddingsLibrary(made).search(photo, 2)
    assert [hit.id for hit in without] == [hit["id"] for hit in hits[1:]]


def test_pages_follow_one_another_and_percentiles_cut(made: Path) -> None:
    library, query = EmbeddingsLibrary(made), Query(like_ids=[5])
    whole = [hit.id for hit in library.search(query, 30)]
    assert [hit.id for page in range(3) for hit in library.search(query, 10, offset=10 * page)] == whole
    few = library.search(query, 5_000, min_percentile=99)
    assert 0 < len(few) < 5_000
    assert min(hit.percentile or 0 for hit in few) >= 99
    assert os.fsencode(library.search(query, 1)[0].path).endswith(b"-\xc3\xa9\xff.jpg")


def test_the_folder_may_be_moved(copied: Path, made: Path) -> None:
    query = Query(like_ids=[77])
    assert EmbeddingsLibrary(copied).search(query) == EmbeddingsLibrary(made).search(query)


def test_a_killed_build_goes_on_with_the_shards_that_are_left(copied: Path, made: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "index")
    assert run_forked(["-c", BUILD, str(copied)], os.environ, LIGHT).returncode == -signal.SIGKILL
    refused(run("search", "--id", 1, "-L", copied, home=tmp_path), "has no index. Run `mvmr-zoo index build --from")
    (copied / "index" / ".block_9.faiss.1-1.part").write_bytes(b"half")
    told: list[int] = []
    build_ivfpq(copied, recall=0.9, progress=lambda done, total: told.append(done))
    assert min(told) == SHARD  # the first was not made again
    assert sorted(path.name for path in (copied / "index").iterdir() if path.name != ".lock") == [
        "index.json", "paths.bin", "paths.npy", "vectors.faiss"
    ]  # fmt: skip
    query = Query(like_ids=[123])
    assert EmbeddingsLibrary(copied).search(query, 3) == EmbeddingsLibrary(made).search(query, 3)


def test_another_recall_tunes_what_is_there(copied: Path, tmp_path: Path) -> None:
    before = (copied / "index" / "vectors.faiss").stat().st_mtime_ns
    done = run("index", "tune", "-L", copied, "--recall", 0.5, home=tmp_path)
    assert done.returncode == 0, done.stderr
    tuning = read_ivfpq(copied).tuning
    assert f"Each query searches {tuning.nprobe} of {tuning.lists} clusters." in done.stdout
    assert tuning.target == 0.5
    assert run("index", "status", "-L", copied, home=tmp_path).stdout == done.stdout
    assert (copied / "index" / "vectors.faiss").stat().st_mtime_ns == before


def test_what_cannot_be_built(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recall is 2"):
        build_ivfpq(copied, recall=2)
    with FileLock(copied / "index" / ".lock"), pytest.raises(LibraryBusyError, match="Another command"):
        build_ivfpq(copied)
    (copied / "manifest.json").unlink()
    with pytest.raises(DataError, match="is not a finished embeddings folder"):
        build_ivfpq(copied)
    facts = EmbeddingsFacts(model="m", weights_digest="w", preprocess_digest="p", dim=4, normalized=True)
    write_embeddings(tmp_path / "few", [(np.eye(4, dtype="f4"), list("abcd"))], facts)
    refused(
        run("index", "build", "--from", tmp_path / "few", home=tmp_path), "contains 4 vectors; an index needs at least"
    )


@pytest.mark.parametrize("name", ["vectors.faiss", "paths.bin", "paths.npy", "index.json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "gone"])
def test_a_damaged_index_is_one_clear_error(name: str, damage: str, copied: Path) -> None:
    file = copied / "index" / name
    match damage:
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(file.read_bytes()[:-100])
        case "gone":
            file.unlink()
    with pytest.raises(LibraryError, match=r"damaged|has no index"):
        EmbeddingsLibrary(copied)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"rows": 11000', '"rows": "x"'), ('"nprobe": ', '"nprobe": -'), ('"size": ', '"size": null, "a": ')],
)
def test_facts_that_cannot_be(old: str, new: str, copied: Path) -> None:
    facts = copied / "index" / "index.json"
    assert old in facts.read_text()
    facts.write_text(facts.read_text().replace(old, new))
    with pytest.raises(LibraryError, match="damaged"):
        EmbeddingsLibrary(copied)


def test_a_damaged_index_is_made_again(copied: Path, made: Path) -> None:
    (copied / "index" / "vectors.faiss").write_bytes(b"")
    build_ivfpq(copied, recall=0.9)
    query = Query(like_ids=[123])
    assert EmbeddingsLibrary(copied).search(query, 3) == EmbeddingsLibrary(made).search(query, 3)


def test_a_build_that_was_killed_while_tuning_only_tunes(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / "index" / "vectors.faiss").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(shards_build, "_tuned", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build_ivfpq(copied)
    assert (copied / "index" / "made_of").exists()
    notes: list[str] = []
    build_ivfpq(copied, recall=0.9, note=notes.append)
    assert notes == ["Choosing how many clusters to search."]
    assert not [*(copied / "index").glob("block_*"), *(copied / "index").glob("trained*")]


def test_an_index_of_other_embeddings_is_refused_and_made_again(copied: Path) -> None:
    manifest = copied / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(LibraryError, match="other embeddings"):
        EmbeddingsLibrary(copied)
    notes: list[str] = []
    build_ivfpq(copied, recall=0.9, note=notes.append)
    assert notes[0] == f"Training the index of {ROWS:,} vectors."
    assert EmbeddingsLibrary(copied).search(Query(like_ids=[5]), 3)


def test_an_altered_shard_is_not_indexed(copied: Path) -> None:
    shutil.rmtree(copied / "index")
    shard = copied / "img_emb" / "img_emb_2.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"img_emb_2\.npy is missing or was altered"):
        build_ivfpq(copied)


def test_pages_reach_the_last_row(made: Path) -> None:
    library = EmbeddingsLibrary(made)
    assert len(library.search(Query(like_ids=[5]), ROWS)) == ROWS - 1
    assert len(library.search(Query(like_ids=[5]), 10, offset=ROWS - 4)) == 3
    assert library.search(Query(like_ids=[5]), 10, offset=10**20) == []
    assert len(library.search(Query(like_ids=[5]), 10**20)) == ROWS - 1


@pytest.mark.parametrize("percentile", [-1, 500, float("nan")])
def test_a_percentile_out_of_range(percentile: float, made: Path) -> None:
    with pytest.raises(ConfigError, match="expected 0 to 100"):
        EmbeddingsLibrary(made).search(Query(like_ids=[5]), min_percentile=percentile)


def test_another_model_is_refused(made: Path, photo_folder: Path) -> None:
    with pytest.raises(LibraryMismatchError, match="different weights"):
        EmbeddingsLibrary(made, model="effnet-lite:0").search(photo_folder / "a" / "00.jpg")


def test_what_an_embeddings_folder_does_not_know(made: Path, tmp_path: Path) -> None:
    refused(run("search", "--id", 1, "-L", made, "--from", "2024", home=tmp_path), "has no dates")
    refused(run("search", "--id", ROWS, "-L", made, home=tmp_path), f"Rows are numbered 0 to {ROWS - 1}")


def test_paths_of_any_bytes(tmp_path: Path) -> None:
    names = [[], ["a", "", "é\udcff\n"], [], ["b" * 255]]
    write_paths(tmp_path, names)
    paths = Paths(tmp_path, 4)
    assert [str(paths[row]) for row in range(4)] == ["a", ".", "é\udcff\n", "b" * 255]


def test_an_embeddings_folder_of_another_output(
    aligned_checkpoint: Checkpoint, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Searched without a word about the output: the folder says which."""
    photos, random = write_photos(tmp_path / "photos", 12), np.random.default_rng(0)
    model = load(aligned_checkpoint.folder, dim=20)
    paths = sorted(map(str, photos.rglob("*.jpg")))
    vectors = np.concatenate([unit(random.standard_normal((ROWS, 20)).astype("f4")), model.embed(paths)])
    names = [f"/far/{number}.jpg" for number in range(ROWS)] + paths
    write_embeddings(tmp_path / "e", [(vectors, names)], facts_of(model))
    build_ivfpq(tmp_path / "e", recall=0.9)
    library = EmbeddingsLibrary(tmp_path / "e")
    hits = library.search(paths[0], 1, keep_query=True)
    assert (library.model.output, library.model.dim) == ("aligned", 20)
    assert hits[0].score > 0.999
    for other in (checkpoint, copied_with_other_weights(tmp_path)):  # the first has features alone
        with pytest.raises(
            LibraryMismatchError, match="has different weights, different preprocessing or a different output"
        ):
            _ = EmbeddingsLibrary(tmp_path / "e", model=str(other.folder)).model


def copied_with_other_weights(folder: Path) -> Checkpoint:
    """An encoder with the same outputs and other weights."""
    weight = np.random.default_rng(1).standard_normal((300, 256)).astype(np.float32)
    return make_checkpoint(folder / "other", seed=1, alignment=alignment_from_projector(weight, None))
