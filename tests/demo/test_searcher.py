from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.hits import human_size
from demo.searcher import MAX_HITS, Options, Searcher
from demo.trail import QueryPhoto, Step
from mvmr_zoo import PhotoLibrary
from mvmr_zoo.errors import ConfigError, ImageError, LibraryError
from mvmr_zoo.search import Filters, Query, percentile_text

from ..conftest import write_photos
from .conftest import HTML_NAME, Album


@pytest.fixture(scope="module")
def searcher(album: Album, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    searcher = Searcher(album.library, None, uploads=tmp_path_factory.mktemp("uploads"))
    yield searcher
    searcher.close()


def ids(searcher: Searcher, step: Step, offset: int = 0, **options: object) -> list[int]:
    return [hit.photo.id for hit in searcher.search(step, Options(**options), offset=offset)]  # type: ignore[arg-type]


def id_of(searcher: Searcher, name: str) -> int:
    return next(id_ for id_, row in searcher.rows(searcher.ids()).items() if row.path.endswith(b"/" + name.encode()))


def test_uploaded_photo_gives_the_hits_of_the_library(searcher: Searcher, album: Album) -> None:
    query = album.queries / "china--4.jpg"
    query_photo = searcher.query_from_file(query)
    assert (query_photo.name, query_photo.ids) == ("china--4.jpg", ())
    assert query_photo.thumbnail.is_file()
    with PhotoLibrary(album.library) as library:
        known = library.search(query, 10)
    found = searcher.search(Step((query_photo,)), Options(k=10))
    assert [hit.photo.id for hit in found] == [hit.id for hit in known]
    np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in known], atol=2e-3)
    assert found[0].percentile == pytest.approx(known[0].percentile, abs=0.1)
    for hit in found:
        assert hit.photo.thumbnail.is_file()
        percentile = f"more similar than {percentile_text(hit.percentile)}\N{NO-BREAK SPACE}% of random pairs"
        assert hit.caption == f"{hit.photo.name}\nsimilarity {hit.score:.3f}\n{percentile}"


def test_uploaded_library_photo_is_recognized_by_content(searcher: Searcher, album: Album, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.jpg"
    copy.write_bytes((album.photos / "astronaut--0.jpg").read_bytes())
    query_photo = searcher.query_from_file(copy)
    assert sorted(query_photo.ids) == sorted(id_of(searcher, name) for name in ("astronaut--0.jpg", "again.jpg"))
    assert query_photo.vector is None
    assert query_photo.name == "renamed.jpg"
    assert not set(query_photo.ids) & set(ids(searcher, Step((query_photo,)), k=100))
    assert set(query_photo.ids) <= set(ids(searcher, Step((query_photo,)), k=3, hide_query=False))


def test_a_copy_of_a_library_photo_is_not_decoded(tmp_path: Path) -> None:
    """The copy has more pixels than an upload may have, so decoding it would raise an error."""
    (tmp_path / "photos").mkdir()
    Image.new("1", (8_000, 8_000)).save(tmp_path / "photos" / "wide.png")
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([tmp_path / "photos"])
    searcher = Searcher(tmp_path / "library", None, uploads=tmp_path)
    try:
        (tmp_path / "copy.png").write_bytes((tmp_path / "photos" / "wide.png").read_bytes())
        assert searcher.query_from_file(tmp_path / "copy.png").ids == tuple(searcher.ids())
    finally:
        searcher.close()


def test_an_upload_is_hashed_once_and_its_hits_are_fetched_once(
    searcher: Searcher, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = album.queries / "china--4.jpg"
    content, calls, sha256, photos = upload.read_bytes(), [], hashlib.sha256, PhotoLibrary.photos

    def counted_sha256(data: bytes = b"", **options: Any) -> Any:
        calls.extend(["hash"] * (data == content))
        return sha256(data, **options)

    def counted_photos(library: PhotoLibrary, ids: Any) -> Any:
        found = photos(library, ids)
        calls.extend(["fetch"] * bool(found))
        return found

    monkeypatch.setattr(hashlib, "sha256", counted_sha256)
    monkeypatch.setattr(PhotoLibrary, "photos", counted_photos)
    hits = searcher.search(Step((searcher.query_from_file(upload),)), Options())
    waiting = hits[0].photo
    hits[0] = hits[0]._replace(photo=dataclasses.replace(waiting, thumbnail=searcher.thumbnails.placeholder))
    assert searcher.wait_for_thumbnails(hits)[0].photo == waiting
    assert calls == ["hash", "fetch"]


def test_hits_are_returned_before_slow_thumbnails(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(12):
        Image.effect_noise((3_000, 2_000), 80 + number).save(tmp_path / "photos" / f"{number}.png")
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([tmp_path / "photos"])
    searcher = Searcher(tmp_path / "library", None, uploads=tmp_path)
    try:
        step = Step((QueryPhoto("first", tmp_path, (searcher.ids()[0],)),))
        hits = searcher.search(step, Options())
        placeholder = searcher.thumbnails.placeholder
        assert placeholder in [hit.photo.thumbnail for hit in hits]
        done = searcher.wait_for_thumbnails(hits)
        assert placeholder not in [hit.photo.thumbnail for hit in done]
        assert [(hit.photo.id, hit.score) for hit in done] == [(hit.photo.id, hit.score) for hit in hits]
        assert searcher.wait_for_thumbnails(done) == done
    finally:
        searcher.close()


def test_pages_are_consecutive(searcher: Searcher) -> None:
    step = Step((searcher.query_from_id(id_of(searcher, "rocket--0.jpg")),))
    whole = ids(searcher, step, k=30)
    assert ids(searcher, step, k=10) + ids(searcher, step, 10, k=10) + ids(searcher, step, 20, k=10) == whole
    assert len(ids(searcher, step, k=MAX_HITS)) == 82
    assert ids(searcher, step, 82, k=10) == []


def test_query_with_like_and_unlike_photos(searcher: Searcher, album: Album) -> None:
    coffee, china = (searcher.query_from_file(album.queries / f"{name}--4.jpg") for name in ("coffee", "china"))
    with PhotoLibrary(album.library) as library:
        query = Query(like=[coffee.vector], unlike=[china.vector])
        known = [hit.id for hit in library.search(query, 20)]
    assert ids(searcher, Step((coffee,), (china,)), k=20) == known
    assert known != ids(searcher, Step((coffee,)), k=20)
    both = searcher.search(Step((coffee, china)), Options(k=8))
    assert {"coffee", "china"} <= {hit.photo.name.split("--")[0] for hit in both}


def test_filters_and_groups(searcher: Searcher, album: Album) -> None:
    step = Step((searcher.query_from_file(album.queries / "astronaut--4.jpg"),))
    dated = searcher.search(step, Options(filters=Filters(taken_from="2024")))
    assert [(hit.photo.name, hit.photo.taken) for hit in dated] == [("abroad.jpg", "2024-05-17 10:20:30")]
    assert "taken 2024-05-17 10:20:30 · 300 x 200 pixels" in dated[0].photo.facts
    assert searcher.search(step, Options(filters=Filters(folder="/not/indexed/yet"))) == []
    grouped = searcher.search(step, Options(group=True, k=5))
    best = next(hit for hit in grouped if hit.copies)
    assert best.copies == 2
    assert best.caption.endswith("\n+ 2 near duplicates")
    assert {"again.jpg", "astronaut--0.jpg", "smaller.jpg"} & {hit.photo.name for hit in grouped} == {best.photo.name}


def test_invalid_ids_and_numbers_are_rejected(searcher: Searcher) -> None:
    for id_ in (0, -1, 10**30, 99_999):
        with pytest.raises(ConfigError, match=f"no photo with the id {id_}"):
            searcher.query_from_id(id_)
        with pytest.raises(ConfigError, match=f"no photo with the id {id_}"):
            searcher.large(id_)
    for k in (0, MAX_HITS + 1):
        with pytest.raises(ConfigError, match="expected 1 to 200"):
            Options(k=k)
    assert searcher.details([99_999]) == []


def test_error_of_an_upload_does_not_show_its_folder(searcher: Searcher, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no photo")
    with pytest.raises(ImageError, match=r"^x\.jpg: not an image in a known format$"):
        searcher.query_from_file(tmp_path / "x.jpg")


def test_examples_are_stable(searcher: Searcher) -> None:
    examples = searcher.examples(8)
    assert len({each.id for each in examples}) == 8
    assert examples == searcher.examples(8)
    assert len(searcher.examples(1_000)) == 83


def test_concurrent_searches_match_sequential_ones(searcher: Searcher, album: Album) -> None:
    queries = sorted(album.queries.iterdir())
    alone = [ids(searcher, Step((searcher.query_from_file(query),)), k=5) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda query: ids(searcher, Step((searcher.query_from_file(query),)), k=5), queries))
    assert together == alone


def test_public_page_hides_full_paths(album: Album, tmp_path: Path) -> None:
    public = Searcher(album.library, None, uploads=tmp_path, full_paths=False)
    try:
        shown = public.examples(84)
        assert {Path(each.place).parent for each in shown} == {Path("photos")}
        assert public.folders() == {"photos": album.photos}
        empty = Searcher(tmp_path / "empty", None, uploads=tmp_path, full_paths=False)
        with pytest.raises(LibraryError) as caught:
            empty.search(Step((public.query_from_file(album.queries / "coffee--4.jpg"),)), Options())
        assert str(tmp_path) not in str(caught.value)
        empty.close()
    finally:
        public.close()


def test_private_page_shows_full_paths(searcher: Searcher, album: Album) -> None:
    assert searcher.folders() == {str(album.photos): album.photos}
    assert {str(Path(each.place).parent) for each in searcher.examples(84)} == {str(album.photos)}


def test_undecodable_names_are_escaped(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 3)
    os.rename(os.fsencode(photos / "a" / "00.jpg"), os.fsencode(photos / "a") + b"/\xff\n.jpg")  # noqa: PTH104
    (photos / HTML_NAME).write_bytes((photos / "b" / "01.jpg").read_bytes())
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([photos])
    searcher = Searcher(tmp_path / "library", None, uploads=tmp_path)
    try:
        names = [each.name for each in searcher.examples(9)]
        assert sorted(names)[-1] == "\\xff\\n.jpg" or "\\xff\\n.jpg" in names
        assert HTML_NAME in names
        for each in searcher.examples(9):
            each.place.encode()
    finally:
        searcher.close()


def test_photos_indexed_later_are_found(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 4)
    searcher = Searcher(tmp_path / "library", None, uploads=tmp_path)
    try:
        assert searcher.examples(4) == []
        with PhotoLibrary(tmp_path / "library") as library:
            library.add([photos])
        query_photo = searcher.query_from_id(searcher.examples(1)[0].id)
        assert len(ids(searcher, Step((query_photo,)))) == 3
    finally:
        searcher.close()


def test_human_size() -> None:
    assert [human_size(size) for size in (0, 999, 1_000, 9_940, 45_200, 1_400_000, 2e9)] == [
        "0 B", "999 B", "1.0 kB", "9.9 kB", "45 kB", "1.4 MB", "2.0 GB",
    ]  # fmt: skip
