from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mvmr_zoo.embed import open_source
from mvmr_zoo.embed.inputs import Source
from mvmr_zoo.errors import DataError, ImageError
from mvmr_zoo.images import PhotoFile, decode_pool


def every(source: Source, shard_rows: int = 5) -> list[PhotoFile]:
    """All inputs, read in ranges as shards are; the last range first."""
    count = source.listed().count
    ranges = [(first, min(first + shard_rows, count)) for first in range(0, count, shard_rows)]
    found = {first: list(source.inputs(first, last)) for first, last in reversed(ranges)}
    return [each for first, _ in ranges for each in found[first]]


def image_structs(photos: list[Path], *, path: bool) -> pa.Array:
    return pa.array([{"bytes": p.read_bytes()} | ({"path": p.name} if path else {}) for p in photos])


def test_a_folder_is_scanned_as_the_library_does(photo_folder: Path) -> None:
    (photo_folder / ".hidden").mkdir()
    (photo_folder / ".hidden" / "x.jpg").write_bytes(b"")
    (photo_folder / "notes.txt").write_text("no photo")
    (photo_folder / "a" / "loop").symlink_to(photo_folder)
    source = open_source(photo_folder)
    paths = [each.path for each in every(source)]
    assert paths == sorted(str(p) for p in photo_folder.rglob("*.jpg") if ".hidden" not in p.parts)
    assert source.listed() == open_source(photo_folder).listed()
    (photo_folder / "b" / "99.jpg").write_bytes(b"")
    assert source.listed() != open_source(photo_folder).listed()


def test_what_cannot_be_looked_at_is_an_input_that_fails(photo_folder: Path) -> None:
    (photo_folder / "b" / "broken.jpg").symlink_to("nowhere.jpg")
    inputs = every(open_source(photo_folder))
    assert len(inputs) == 13
    with pytest.raises(ImageError, match=r"broken\.jpg: cannot be accessed: No such file"):
        decode_pool().photo(inputs[-1])


def test_a_list_is_relative_to_its_folder(photo_folder: Path) -> None:
    name = os.fsencode(photo_folder / "a") + b"/caf\xe9 .jpg"
    lines = [b"\xef\xbb\xbfa/00.jpg\r\n", b"\n", b"  \n", os.fsencode(photo_folder / "b" / "01.jpg") + b"\n", name]
    (photo_folder / "list.txt").write_bytes(b"".join(lines))
    inputs = every(open_source(photo_folder / "list.txt"), 2)
    assert [os.fsencode(each.path) for each in inputs] == [
        os.fsencode(photo_folder / "a" / "00.jpg"), os.fsencode(photo_folder / "b" / "01.jpg"), name
    ]  # fmt: skip
    assert min(decode_pool().photo(inputs[0]).image.size) > 32
    with pytest.raises(ImageError, match="no such file"):
        decode_pool().photo(inputs[2])


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_column_of_paths(photo_folder: Path, type_: pa.DataType) -> None:
    names = ["a/00.jpg", None, str(photo_folder / "b" / "01.jpg"), "gone.jpg"] * 4
    for column, spec in (("image_path", ""), ("file", ":file")):
        pq.write_table(pa.table({column: pa.array(names, type_)}), photo_folder / "p.parquet", row_group_size=3)
        inputs = every(open_source(f"parquet:{photo_folder / 'p.parquet'}{spec}"))
        assert [each.path for each in inputs[:4]] == [
            str(photo_folder / "a" / "00.jpg"), f"{photo_folder / 'p.parquet'}#1",
            str(photo_folder / "b" / "01.jpg"), str(photo_folder / "gone.jpg"),
        ]  # fmt: skip
        assert inputs[13].path.endswith("p.parquet#13")
        assert len(inputs) == 16
        with pytest.raises(ImageError, match="the row is empty"):
            decode_pool().photo(inputs[1])


@pytest.mark.parametrize("row_group_size", [4, 200])
@pytest.mark.parametrize("kind", ["structs", "no path", "binary"])
def test_encoded_images(photo_folder: Path, kind: str, row_group_size: int) -> None:
    photos = sorted(photo_folder.rglob("*.jpg")) * 12
    values = (
        pa.array([p.read_bytes() for p in photos])
        if kind == "binary"
        else image_structs(photos, path=kind == "structs")
    )
    file = photo_folder / "images.parquet"
    pq.write_table(
        pa.table({"label": pa.array(range(len(photos))), "image": values}), file, row_group_size=row_group_size
    )
    inputs = every(open_source(f"parquet:{file}"), 50)
    named = [p.name for p in photos] if kind == "structs" else [f"{file}#{row}" for row in range(len(photos))]
    assert [each.path for each in inputs] == named
    assert [each.content for each in inputs] == [p.read_bytes() for p in photos]


def test_structs_without_bytes_name_files(photo_folder: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": None, "path": "a/00.jpg"}, None, {"bytes": None, "path": None}, {"bytes": b"", "path": "x.jpg"}]
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), photo_folder / "i.parquet")
    inputs = every(open_source(f"parquet:{photo_folder / 'i.parquet'}:image"))
    assert decode_pool().photo(inputs[0]).image.mode == "RGB"
    assert [each.problem for each in inputs] == [None, "the row is empty", "the row is empty", None]
    with pytest.raises(ImageError, match=r"x\.jpg: the file is empty"):
        decode_pool().photo(inputs[3])


def test_other_images_under_the_same_names_are_another_list(photo_folder: Path) -> None:
    photos, file = sorted(photo_folder.rglob("*.jpg")), photo_folder / "i.parquet"
    digests = set()
    for order in (photos, photos[::-1]):
        pq.write_table(pa.table({"image": image_structs(order, path=False)}), file)
        digests.add(open_source(f"parquet:{file}").listed().digest)
    assert len(digests) == 2


def test_sources_that_are_none(photo_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 nothing PAR1")
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "n.parquet")
    for named, message in {
        "nowhere": "does not exist",
        tmp_path / "empty": "No photos found in",
        f"parquet:{tmp_path / 'nowhere'}": "is not a file",
        f"parquet:{damaged}": "cannot be read as Parquet",
        f"parquet:{tmp_path / 'n.parquet'}": "has the columns n; expected image_path or image or img",
        f"parquet:{tmp_path / 'n.parquet'}:x": "expected x",
        f"parquet:{tmp_path / 'n.parquet'}:n": "n has the type int64; expected paths",
        "/dev/null": "neither a folder nor a file",
    }.items():
        with pytest.raises(DataError, match=message):
            open_source(named)
    for file in (photo_folder / "a" / "00.jpg", tmp_path / "n.parquet"):
        with pytest.raises(DataError, match="is not a list of paths"):
            open_source(file).listed()
