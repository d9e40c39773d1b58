from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from demo.comparison import Comparison
from demo.searcher import Options, Searcher
from demo.trail import Step
from mvmr_zoo import PhotoLibrary, load
from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import read_image

from ..conftest import write_photos
from .conftest import Album


@pytest.fixture(scope="module")
def searcher(album: Album, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    searcher = Searcher(album.library, None, uploads=tmp_path_factory.mktemp("uploads"))
    yield searcher
    searcher.close()


def test_columns_match_separate_searches(searcher: Searcher, checkpoint: Checkpoint, album: Album) -> None:
    other = str(checkpoint.folder)
    comparison = Comparison(searcher, [searcher.model.spec, other])
    assert comparison.specs == (searcher.model.spec, other)
    query = read_image(album.queries / "coffee--4.jpg")
    progress: list[tuple[int, int]] = []
    own, others = comparison.compare(
        query, comparison.specs, photos=500, k=10, progress=lambda done, total: progress.append((done, total))
    )
    step = Step((searcher.query_from_file(album.queries / "coffee--4.jpg"),))
    assert [hit.photo.id for hit in own.hits] == [hit.photo.id for hit in searcher.search(step, Options(k=10))]
    model = load(other)
    rows = searcher.rows(searcher.ids())
    cosines = model.embed([row.path.decode() for row in rows.values()]) @ model.embed(query)[0]
    assert [hit.score for hit in others.hits] == pytest.approx(np.sort(cosines)[::-1][:10].tolist(), abs=1e-4)
    assert (own.searched, others.searched) == (83, 83)
    assert progress[-1] == (82, 82)  # two photos are identical
    progress.clear()
    again = comparison.compare(query, [other], progress=lambda done, total: progress.append((done, total)))
    assert progress == [(0, 0)]
    assert again[0].hits[0] == others.hits[0]


def test_encoders_search_the_same_photos_without_the_query(searcher: Searcher, checkpoint: Checkpoint) -> None:
    comparison = Comparison(searcher, [str(checkpoint.folder)])
    id_, row = next(iter(searcher.rows(searcher.ids()).items()))
    columns = comparison.compare(read_image(row.path.decode()), comparison.specs, hidden=(id_,), photos=30, k=30)
    first, second = ({hit.photo.id for hit in column.hits} for column in columns)
    assert first == second
    assert len(first) == 30
    assert id_ not in first


def test_unknown_encoders_are_rejected(searcher: Searcher, album: Album) -> None:
    comparison = Comparison(searcher, [])
    query = read_image(album.queries / "coffee--4.jpg")
    for spec in ("hf-hub:somebody/something", "local-dir:/etc", "onnx:/etc/passwd"):
        with pytest.raises(ConfigError, match="is not available"):
            comparison.compare(query, [spec])


def test_unreadable_photos_are_skipped(tmp_path: Path, checkpoint: Checkpoint) -> None:
    photos = write_photos(tmp_path / "photos", 6)
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([photos])
    searcher = Searcher(tmp_path / "library", None, uploads=tmp_path)
    try:
        query = read_image(photos / "a" / "00.jpg")
        (photos / "a" / "00.jpg").unlink()
        (photos / "b" / "01.jpg").write_bytes(b"no photo")
        (column,) = Comparison(searcher, [str(checkpoint.folder)]).compare(query, [str(checkpoint.folder)])
        assert column.searched == 4
    finally:
        searcher.close()


def test_empty_library_has_no_hits(tmp_path: Path, checkpoint: Checkpoint, album: Album) -> None:
    searcher = Searcher(tmp_path / "library", None, uploads=tmp_path)
    try:
        query = read_image(album.queries / "coffee--4.jpg")
        assert Comparison(searcher, []).compare(query, [searcher.model.spec])[0].hits == []
    finally:
        searcher.close()
