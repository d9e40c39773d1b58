"""Queries of several photos and of ids, filters, pages, percentiles, groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmr_zoo.errors import ConfigError, DataError
from mvmr_zoo.inference.pipeline import unit
from mvmr_zoo.search import Filters, PhotoLibrary, Query

from ...conftest import write_photos


@pytest.fixture
def filled(library: PhotoLibrary, tmp_path: Path) -> PhotoLibrary:
    """Twenty-four photos: enough for percentiles."""
    library.add([write_photos(tmp_path / "photos", 24)])
    return library


def vectors(library: PhotoLibrary) -> tuple[list[Path], np.ndarray]:
    paths = sorted(hit.path for hit in library.search(np.zeros((40, 40, 3), np.uint8), 99))
    return paths, library.model.embed(paths)


def test_an_id_answers_as_its_photo_does_and_loads_no_model(filled: PhotoLibrary) -> None:
    first = filled.search(np.zeros((40, 40, 3), np.uint8), 1)[0]
    by_photo = filled.search(first.path, 5)
    with PhotoLibrary(filled.folder) as opened:
        by_id = opened.search(Query(like_ids=[first.id]), 5)
        assert opened._model is None
    assert [hit.path for hit in by_id] == [hit.path for hit in by_photo]
    np.testing.assert_allclose([hit.score for hit in by_id], [hit.score for hit in by_photo], atol=2e-3)


def test_several_photos_are_their_mean_less_half_the_others(filled: PhotoLibrary) -> None:
    paths, found = vectors(filled)
    wanted = unit((found[:2].mean(axis=0) - 0.5 * found[5])[None])[0]
    order = [i for i in np.argsort(-(found @ wanted)) if i not in (0, 1, 5)]
    hits = filled.search(Query(like=paths[:2], unlike=[paths[5]]), 6)
    assert [hit.path for hit in hits] == [paths[i] for i in order[:6]]
    with_query = filled.search(Query(like=paths[:2], unlike=[paths[5]]), 30, keep_query=True)
    assert {hit.path for hit in with_query} == set(paths)


def test_a_vector_stands_for_its_photo(filled: PhotoLibrary) -> None:
    paths, made = vectors(filled)
    by_photos = filled.search(Query(like=paths[:2], unlike=[paths[5]]), 9)
    by_vectors = filled.search(Query(like=[3 * made[0], made[1]], unlike=[made[5]]), 12)
    asked = {paths[row] for row in (0, 1, 5)}  # by a vector nobody knows which photo was meant
    assert [hit.path for hit in by_vectors if hit.path not in asked][:9] == [hit.path for hit in by_photos]
    mixed = filled.search(Query(like=[paths[0], made[1]], unlike_ids=[by_photos[0].id]), 3)
    assert len(mixed) == 3
    with pytest.raises(ConfigError, match=r"a vector of length 7; expected 256"):
        filled.search(Query(like=[made[0, :7]]))


def test_pages_follow_one_another(filled: PhotoLibrary) -> None:
    query = filled.search(np.zeros((40, 40, 3), np.uint8), 1)[0].path
    whole = filled.search(query, 12)
    parts = [*filled.search(query, 5), *filled.search(query, 5, offset=5), *filled.search(query, 2, offset=10)]
    assert [hit.id for hit in parts] == [hit.id for hit in whole]
    assert filled.search(query, 5, offset=500) == []


def test_filters_by_folder_date_and_size(filled: PhotoLibrary, tmp_path: Path) -> None:
    dated = tmp_path / "dated"
    dated.mkdir()
    for number, day in enumerate(("2023:12:31 23:59:59", "2024:02:29 10:00:00", "2024:03:01 00:00:00")):
        image = Image.new("RGB", (400, 300), (80 * number, 40, 90))
        exif = image.getexif()
        exif[0x0132] = day
        image.save(dated / f"{number}.jpg", exif=exif)
    filled.add([dated])
    query = np.zeros((40, 40, 3), np.uint8)

    def names(filters: Filters) -> set[str]:
        return {hit.path.name for hit in filled.search(query, 99, filters=filters)}

    assert names(Filters(folder=dated)) == {"0.jpg", "1.jpg", "2.jpg"}
    assert names(Filters(taken_from="2024")) == {"1.jpg", "2.jpg"}
    assert names(Filters(taken_from="2024-02", taken_to="2024-02")) == {"1.jpg"}
    assert names(Filters(taken_to="2023-12-31")) == {"0.jpg"}
    assert names(Filters(min_px=250)) == {"0.jpg", "1.jpg", "2.jpg"}
    assert names(Filters(min_px=301)) == set()
    with pytest.raises(DataError, match="contains no photos from"):  # a name that begins alike is another folder
        names(Filters(folder=tmp_path / "date"))


def test_a_folder_that_is_not_in_the_library(filled: PhotoLibrary, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    query = Query(like_ids=filled.ids()[:1])
    known = rf"contains no photos from /no/such\. Use one of its folders or a subfolder: {photos}\.$"
    with pytest.raises(DataError, match=known):
        filled.search(query, filters=Filters(folder="/no/such"))
    assert len(filled.search(query, 99, filters=Filters(folder=photos))) == 23
    for path in (photos / "b").iterdir():
        path.unlink()
    filled.add([photos])
    assert filled.search(query, 99, filters=Filters(folder=photos / "b")) == []  # its photos are missing, not unknown


def test_dates_in_the_wrong_order() -> None:
    for taken_from, taken_to in (("2025", "2024"), ("2024-03", "2024-02-29"), ("2025", "2024-12-31")):
        with pytest.raises(ConfigError, match=f"Specify the earlier date first: from {taken_to} to {taken_from}"):
            Filters(taken_from=taken_from, taken_to=taken_to)
    Filters(taken_from="2024-05-31", taken_to="2024-05")
    Filters(taken_from="2024-12", taken_to="2024")


def test_percentiles_are_those_of_random_pairs(filled: PhotoLibrary) -> None:
    paths, found = vectors(filled)
    cosines = (found @ found.T)[~np.eye(len(found), dtype=bool)]
    hits = filled.search(paths[0], 99)
    percentiles = [hit.percentile for hit in hits]
    assert percentiles == sorted(percentiles, reverse=True)
    for hit in hits[3:-3:5]:
        assert hit.percentile == pytest.approx(100 * (cosines < hit.score).mean(), abs=6)
    above = filled.search(paths[0], 99, filters=Filters(min_percentile=50))
    assert [hit.id for hit in above] == [hit.id for hit in hits if hit.percentile >= 50]
    assert 0 < len(above) < len(hits)


def test_a_small_library_has_no_percentiles(library: PhotoLibrary, photo_folder: Path) -> None:
    library.add([photo_folder])
    hits = library.search(photo_folder / "a" / "00.jpg", 3)
    assert [hit.percentile for hit in hits] == [None] * 3
    with pytest.raises(ConfigError, match="too few photos for percentiles"):
        library.search(photo_folder / "a" / "00.jpg", 3, filters=Filters(min_percentile=99))


def test_near_duplicates_stand_behind_their_best_copy(filled: PhotoLibrary, tmp_path: Path) -> None:
    original = tmp_path / "photos" / "a" / "04.jpg"
    Image.open(original).save(tmp_path / "photos" / "again.jpg", quality=60)
    filled.add([tmp_path / "photos"])
    Image.open(original).save(tmp_path / "query.jpg", quality=75)
    plain = filled.search(tmp_path / "query.jpg", 3)
    assert {hit.path.name for hit in plain[:2]} == {"04.jpg", "again.jpg"}
    grouped = filled.search(tmp_path / "query.jpg", 3, group=True)
    assert grouped[0].path == original
    assert [copy.path.name for copy in grouped[0].copies] == ["again.jpg"]
    assert len(grouped) == 3
    assert "again.jpg" not in {hit.path.name for hit in grouped}


def test_pages_of_groups_do_not_depend_on_their_size(filled: PhotoLibrary, tmp_path: Path) -> None:
    original = tmp_path / "photos" / "a" / "04.jpg"
    photo = Image.open(original)
    photo.resize((photo.width * 2, photo.height * 2)).save(tmp_path / "photos" / "best.jpg", quality=95)
    for quality in (30, 32, 34, 36, 38):
        photo.save(tmp_path / "photos" / f"{quality}.jpg", quality=quality)
    photo.save(tmp_path / "query.jpg", quality=33)
    filled.add([tmp_path / "photos"])
    query = tmp_path / "query.jpg"
    ranks = [hit.path.name for hit in filled.search(query, 99)]
    assert ranks.index("best.jpg") >= 4  # after what a page of one group reads
    whole = filled.search(query, 99, group=True)
    assert (whole[0].path.name, len(whole[0].copies)) == ("best.jpg", 6)
    assert sorted(each.id for hit in whole for each in (hit, *hit.copies)) == sorted(filled.ids())
    pages = [filled.search(query, 1, offset=offset, group=True) for offset in range(len(whole) + 1)]
    assert [hit for page in pages for hit in page] == whole
    filters = Filters(folder=tmp_path / "photos" / "a", min_percentile=50)
    (only,) = (hit for hit in filled.search(query, 99, filters=filters, group=True) if hit.path == original)
    assert only.copies == ()


def test_rows_and_filters_are_read_once(filled: PhotoLibrary) -> None:
    first = filled.search(np.zeros((40, 40, 3), np.uint8), 1)[0]
    statements: list[str] = []
    filled._store._connection.set_trace_callback(statements.append)
    filled.search(Query(like_ids=[first.id]), 5)
    assert sum(each.startswith("SELECT id, root") for each in statements) == 1
    statements.clear()
    filled.search(first.path, 5, filters=Filters(min_px=1), group=True)
    assert sum("MIN(width, height)" in each for each in statements) == 1


def test_what_cannot_be_asked(filled: PhotoLibrary) -> None:
    with pytest.raises(ConfigError, match="no photo with the id 999"):
        filled.search(Query(like_ids=[999]))
    with pytest.raises(ConfigError, match="contains no photo"):
        Query(unlike_ids=[1])
    with pytest.raises(ConfigError, match="YYYY-MM-DD"):
        Filters(taken_from="yesterday")
    with pytest.raises(ConfigError, match="0 to 100"):
        Filters(min_percentile=101)
    with pytest.raises(ConfigError, match="offset"):
        filled.search(Query(like_ids=[1]), offset=-1)


@pytest.mark.parametrize("date", ["2024-99-99", "2024-02-30", "24", "2024-2-3", "today", ""])
def test_a_day_that_there_is_not(date: str) -> None:
    with pytest.raises(ConfigError, match="expected a date"):
        Filters(taken_from=date)


def test_numbers_beyond_all_photos(filled: PhotoLibrary) -> None:
    huge = 10**20
    with pytest.raises(ConfigError, match="has no photo with the id"):
        filled.search(Query(like_ids=[huge]))
    some = int(filled._store.all_ids()[0])
    assert filled.search(Query(like_ids=[some]), 3, filters=Filters(min_px=huge)) == []
    assert filled.search(Query(like_ids=[some]), 3, offset=huge) == []
    assert len(filled.search(Query(like_ids=[some]), huge)) == filled.status().photos - 1
