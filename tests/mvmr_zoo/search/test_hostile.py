"""What file systems hold: names that are no text, files that change while they are read, clocks that went back."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.search import PhotoLibrary, contact_sheet
from mvmr_zoo.search.contact_sheet import drawable

from ...command_line import refused, run

NAMES = {
    "not UTF-8": b"n\xff\xfe.jpg",
    "a line break": b"two\nlines.jpg",
    "quotes": b'it\'s "so".jpg',
    "255 bytes": b"x" * 251 + b".jpg",
    "a dash": b"--help.jpg",
    "an escape": b"\x1b[2Jred.jpg",
    "spaces": b"  a\tb .jpg",
}


@pytest.fixture
def named(photo_folder: Path, tmp_path: Path) -> dict[str, Path]:
    """A photo of each name, in a folder of their own."""
    folder = tmp_path / "named"
    folder.mkdir()
    photos = sorted(photo_folder.rglob("*.jpg"))
    paths = {}
    for number, (what, name) in enumerate(NAMES.items()):
        paths[what] = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        shutil.copy(photos[number], paths[what])
    return paths


def test_photos_of_any_name_are_found_by_it(library: PhotoLibrary, named: dict[str, Path], tmp_path: Path) -> None:
    report = library.add([tmp_path / "named"])
    assert (report.added, report.failures) == (len(NAMES), [])
    for path in named.values():
        assert library.search(path, 1, keep_query=True)[0].path == path
        assert path not in [hit.path for hit in library.search(path, 99)]
    assert library.add([tmp_path / "named"]).unchanged == len(NAMES)
    assert library.examine() == []


def test_every_name_is_printed_on_one_line(library: PhotoLibrary, named: dict[str, Path], tmp_path: Path) -> None:
    library.add([tmp_path / "named"])
    shutil.copytree(tmp_path / "named", tmp_path / "copies")
    shutil.move(tmp_path / "copies", tmp_path / "named")
    (tmp_path / "named" / "broken.jpg").write_text("no photo")
    library.add([tmp_path / "named"])
    done = run("search", "-L", library.folder, "-k", 99, "--id", 1, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + 2 * len(NAMES) - 1
    assert "\x1b" not in done.stdout
    hits = json.loads(run("search", "-L", library.folder, "-k", 99, "--id", 1, "--json", home=tmp_path).stdout)["hits"]
    assert {hit["path"] for hit in hits} == {str(path) for path in (tmp_path / "named").rglob("*.jpg")} - {
        str(tmp_path / "named" / "broken.jpg"),
        os.fsdecode(library._store.by_id([1])[1].path),
    }
    copies = run("duplicates", "--exact", "-L", library.folder, home=tmp_path)
    assert len(copies.stdout.splitlines()) == 2 * len(NAMES) + 1
    run("duplicates", "--exact", "-L", library.folder, "-o", tmp_path / "copies.csv", home=tmp_path)
    text = (tmp_path / "copies.csv").read_bytes().decode("utf-8", "surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["path"] for row in rows} >= {str(path) for path in named.values()}
    status = run("index", "status", "-L", library.folder, home=tmp_path).stdout
    assert "broken.jpg: not an image" in status


@pytest.mark.parametrize("name", [b"n\xff\n", b'it\'s "so"', b"--odd \x1b[2J"])
def test_every_command_prints_any_library_and_failure(
    name: bytes, named: dict[str, Path], tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the terminal takes nothing but UTF-8, as in en_US.UTF-8: a name that is no text must not end a command."""
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    photos = shutil.copytree(tmp_path / "named", folder / "photos")
    (photos / "good.jpg").write_bytes(named["quotes"].read_bytes())
    for path in photos.iterdir():
        if path.name != "good.jpg":
            path.write_text("no photo")
    here = ("-L", folder / "library")
    lines = {
        ("index", "add", photos, *here, "--model", checkpoint.folder): 3,
        ("index", "status", *here): 6 + len(NAMES),
        ("search", photos / "good.jpg", *here, "--keep-query", "--sheet", folder / "sheet.png"): 3,
        ("duplicates", *here, "-o", folder / "copies.csv"): 2,
        ("index", "doctor", *here): 1,
        ("index", "remove", photos, *here): 1,
    }
    for command, expected in lines.items():
        done = run(*command, home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (done.stdout + done.stderr).count("\n") == expected, done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr
    refused(run("index", "remove", photos, *here, home=tmp_path), "contains no photos from")


def changing(library: PhotoLibrary, change: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Something happens between looking at the files and reading them: when the encoder is asked for."""
    bound = library._bound_model

    def changed() -> object:
        change()
        return bound()

    monkeypatch.setattr(library, "_bound_model", changed)


def test_a_photo_that_changes_before_it_is_read(
    library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, other = photo_folder / "a" / "00.jpg", photo_folder / "a" / "02.jpg"
    with monkeypatch.context() as patch:
        changing(library, lambda: photo.write_bytes(other.read_bytes()), patch)
        library.add([photo_folder])
    report = library.add([photo_folder])
    assert report.added + report.recognized == 1  # its stamp is that of before: it is looked at again
    hits = library.search(other, 2, keep_query=True)
    assert {hit.path for hit in hits} == {photo, other}
    assert min(hit.score for hit in hits) > 0.999
    assert library.add([photo_folder]).unchanged == 12


def test_a_photo_that_is_cut_while_it_is_read(
    library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = photo_folder / "a" / "00.jpg"
    whole = photo.read_bytes()
    with monkeypatch.context() as patch:
        changing(library, lambda: photo.write_bytes(whole[: len(whole) // 2]), patch)
        report = library.add([photo_folder])
    assert ([os.fsdecode(row.path) for row in report.failures], report.total) == ([str(photo)], 11)
    photo.write_bytes(whole)
    assert (library.add([photo_folder]).added, library.status().failures) == (1, [])


def test_a_photo_that_is_written_all_the_time(library: PhotoLibrary, photo_folder: Path) -> None:
    """Whatever the first adds saw of it, the add after the last change has the last content."""
    photo, other = photo_folder / "a" / "00.jpg", photo_folder / "b" / "01.jpg"
    contents = [photo.read_bytes(), other.read_bytes()]
    over = threading.Event()

    def write() -> None:
        for content in itertools.cycle(contents):
            photo.write_bytes(content)
            if content is contents[1] and over.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        for _ in range(3):
            library.add([photo_folder])
        over.set()
        writer.result()
    report = library.add([photo_folder])
    assert (report.total, report.failures) == (12, [])
    assert {hit.path for hit in library.search(other, 2, keep_query=True)} == {photo, other}
    assert library.examine() == []


def test_names_on_a_sheet_are_drawn_with_an_installed_font_or_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setattr(contact_sheet, "FONT_FOLDERS", (str(tmp_path),))
    for name, escaped in (
        ("日本 1.jpg", r"\u65e5\u672c 1.jpg"),
        ("фото.jpg", r"\u0444\u043e\u0442\u043e.jpg"),
        ("cafe\u0301.jpg", r"caf\xe9.jpg"),
        ("two\nlines\udcff.jpg", r"two\nlines\xff.jpg"),
    ):
        assert drawable(name)[0] == escaped
    (tmp_path / "no font.ttf").write_text("text")
    shutil.copy(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), tmp_path)
    monkeypatch.setattr(contact_sheet, "FONT_FOLDERS", (f"{tmp_path}/",))  # not cached
    text, font = drawable("фото.jpg")
    assert (text, font.getname()[0]) == ("фото.jpg", "DejaVu Sans")
    assert drawable("cafe\u0301.jpg")[0] == "café.jpg"
    assert drawable("日本 1.jpg")[0] == r"\u65e5\u672c 1.jpg"


def test_a_photo_that_goes_before_it_is_read(
    library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        changing(library, (photo_folder / "a" / "00.jpg").unlink, patch)
        report = library.add([photo_folder])
    assert [row.reason for row in report.failures] == ["no such file"]
    assert library.add([photo_folder]).total == 11
    assert library.status().failures == []


@pytest.mark.parametrize("seconds", [-(10**9), 0, 946_684_800, 2**33, 10**10])
def test_a_clock_that_was_set_wrong(library: PhotoLibrary, photo_folder: Path, seconds: int) -> None:
    """Before 1970, 1970, 2000, 2242, and 2286, which is later than SQLite's nanoseconds reach."""
    photo, other = photo_folder / "a" / "00.jpg", photo_folder / "b" / "01.jpg"
    library.add([photo_folder])
    photo.write_bytes(other.read_bytes())
    os.utime(photo, (seconds, seconds))
    report = library.add([photo_folder])
    assert report.added + report.recognized == 1
    assert {hit.path for hit in library.search(other, 2, keep_query=True)} == {photo, other}
    assert library.add([photo_folder]).unchanged == 12


def test_two_dates_that_the_database_cannot_hold_are_told_apart(library: PhotoLibrary, photo_folder: Path) -> None:
    photo, other = photo_folder / "a" / "00.jpg", photo_folder / "b" / "01.jpg"
    size = max(photo.stat().st_size, other.stat().st_size) + 1
    for number, content in enumerate((photo.read_bytes(), other.read_bytes())):
        photo.write_bytes(content.ljust(size, b"\0"))  # decoders stop before it
        os.utime(photo, (10**10 + number, 10**10 + number))
        library.add([photo_folder])
    assert {hit.path for hit in library.search(other, 2, keep_query=True)} == {photo, other}
    assert library.add([photo_folder]).unchanged == 12
