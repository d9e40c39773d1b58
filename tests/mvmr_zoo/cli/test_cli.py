"""The commands. Each runs in a process of its own, except for the errors after the first."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mvmr_zoo.checkpoint import Checkpoint

from ...command_line import Typed, refused, run
from ...conftest import write_photos


def test_the_main_job(photo_folder: Path, tmp_path: Path) -> None:
    done = run("index", "add", photo_folder, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "12 indexed" in done.stdout
    assert done.stderr == ""  # not a terminal: no progress bar
    library = tmp_path / ".local/share/mvmr_zoo/library"
    assert (library / "library.sqlite").exists()

    photo = photo_folder / "a" / "00.jpg"
    sheet = tmp_path / "sheet.png"
    done = run("search", photo, "-k", 3, "--json", "--sheet", sheet, home=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["query"] == [str(photo)]
    assert len(found["hits"]) == 3
    assert all(Path(hit["path"]).exists() for hit in found["hits"])
    with Image.open(sheet) as image:
        assert image.size == (4 * 168 + 8, 202 + 8)

    done = run("search", photo, "-k", 3, home=tmp_path)
    table = done.stdout.splitlines()
    assert table[0].split() == ["rank", "id", "similarity", "path"]  # too few photos for percentiles
    for rank, (line, hit) in enumerate(zip(table[1:], found["hits"], strict=True), start=1):
        assert line.split() == [str(rank), str(hit["id"]), f"{hit['score']:.3f}", hit["path"]]
    assert done.stderr == ""

    status = json.loads(run("index", "status", "--json", home=tmp_path).stdout)
    assert status["photos"] == 12
    assert status["model"] == "effnet-lite1-whitened"
    assert status["index"] == {"kind": "exact", "generation": 1, "rows": 12, "tuning": None, "current": True}


def test_hits_have_ids_percentiles_and_the_facts_of_their_photos(tmp_path: Path, typed: Typed) -> None:
    photos = write_photos(tmp_path / "photos", 24)
    exif = Image.Exif()
    exif[0x0132] = "2024:05:17 10:20:30"
    with Image.open(photos / "a" / "00.jpg") as image:
        image.save(photos / "a" / "00.jpg", quality=95, exif=exif)
    with Image.open(photos / "a" / "00.jpg") as image:
        image.save(photos / "copy.jpg", quality=80)
        width, height = image.size
    typed("index", "add", photos)
    found = json.loads(
        typed("search", photos / "a" / "00.jpg", photos / "copy.jpg", "--keep-query", "--group", "--json").stdout
    )
    assert found["query"] == [str(photos / "a" / "00.jpg"), str(photos / "copy.jpg")]
    best = found["hits"][0]
    assert (best["taken_at"], best["width"], best["height"]) == ("2024-05-17 10:20:30", width, height)
    assert best["size"] == (photos / "a" / "00.jpg").stat().st_size
    assert [(copy["path"], copy["taken_at"]) for copy in best["copies"]] == [(str(photos / "copy.jpg"), None)]
    assert json.loads(typed("search", "--id", best["id"], "--json").stdout)["query"] == []

    done = typed("search", photos / "a" / "00.jpg", photos / "copy.jpg", "--keep-query", "--group")
    header, first, copy, *_ = done.stdout.splitlines()
    assert header.split() == ["rank", "id", "similarity", "percentile", "path"]
    assert first.split()[:2] == ["1", str(best["id"])]
    assert abs(float(first.split()[3]) - best["percentile"]) <= 0.1
    assert copy.split()[:2] == ["copy", str(best["copies"][0]["id"])]
    assert done.stderr.count("\n") == 1
    assert "percentage of random photo pairs in this library that are less similar" in done.stderr


def test_a_library_of_the_former_default_keeps_it_and_says_how_to_move(photo_folder: Path, tmp_path: Path) -> None:
    made = run("index", "add", photo_folder, "--model", "effnet-lite:0", home=tmp_path)
    assert made.returncode == 0
    again = run("index", "add", photo_folder, home=tmp_path)
    assert (again.returncode, "12 unchanged" in again.stdout) == (0, True)
    photo = next(photo_folder.rglob("*.jpg"))
    assert len(run("search", photo, "-k", 3, home=tmp_path).stdout.splitlines()) == 1 + 3
    status = " ".join(run("index", "status", home=tmp_path).stdout.split())
    assert "model effnet-lite:0" in status
    assert "to switch to the default encoder, effnet-lite1-whitened" in status
    moved = run("index", "reindex", home=tmp_path)
    assert (moved.returncode, "12 photos embedded, 0 failed." in moved.stdout) == (0, True), moved.stderr
    assert json.loads(run("index", "status", "--json", home=tmp_path).stdout)["model"] == "effnet-lite1-whitened"
    assert len(run("search", photo, "-k", 3, home=tmp_path).stdout.splitlines()) == 1 + 3


def test_failures_are_summed_up(photo_folder: Path, tmp_path: Path) -> None:
    (photo_folder / "text.jpg").write_text("no photo")
    done = run("index", "add", photo_folder, home=tmp_path)
    assert done.returncode == 0
    assert "12 indexed" in done.stdout
    assert "1 failed" in done.stdout
    assert "index status" in done.stderr
    assert run("index", "add", photo_folder, "--strict", home=tmp_path).returncode == 1
    status = run("index", "status", home=tmp_path)
    assert f"{photo_folder / 'text.jpg'}: not an image in a known format" in status.stdout


def test_the_summary_adds_up(photo_folder: Path, typed: Typed) -> None:
    (photo_folder / "text.jpg").write_text("no photo")
    (photo_folder / "link.jpg").symlink_to(photo_folder / "nowhere.jpg")
    first, second, *_ = typed("index", "add", photo_folder).stdout.splitlines()
    assert first == "13 photos found: 12 indexed, 0 unchanged, 0 recognized by content, 1 failed."
    assert second == "1 folder or file could not be read. There may be more photos."
    (photo_folder / "a" / "00.jpg").rename(photo_folder / "b" / "moved.jpg")
    (photo_folder / "a" / "02.jpg").unlink()
    (photo_folder / "link.jpg").unlink()
    first, second, third = typed("index", "add", photo_folder).stdout.splitlines()
    assert first == "12 photos found: 0 indexed, 10 unchanged, 1 recognized by content, 1 failed."
    assert (
        second
        == "2 earlier paths were removed from the library's results because their files are gone or now excluded."
    )
    assert third.endswith("library contains 11 photos.")


def test_one_photo_is_singular(photo_folder: Path, tmp_path: Path, typed: Typed) -> None:
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(photo_folder / "a" / "00.jpg", one)
    lines = typed("index", "add", one).stdout.splitlines()
    assert lines[0].startswith("1 photo found: 1 indexed, ")
    assert lines[1].endswith("library contains 1 photo.")
    done = typed("embed", one, "-o", tmp_path / "out")
    assert done.stdout.endswith("out: 1 of 1 image embedded, in 1 shard. 1 new.\n")
    shutil.copy(one / "00.jpg", one / "copy.jpg")
    typed("index", "add", one)
    assert typed("duplicates").stdout.splitlines()[-1].startswith("1 photo has 1 copy (")


def test_commands_that_cannot_run(
    photo_folder: Path, tmp_path: Path, other_checkpoint: Checkpoint, typed: Typed
) -> None:
    photo = photo_folder / "a" / "00.jpg"
    (tmp_path / "nothing").mkdir()
    refused(run("search", photo, home=tmp_path), "There is no library")
    refused(typed("index", "status"), "There is no library")
    refused(typed("index", "add", tmp_path / "nowhere"), "does not exist")
    refused(typed("index", "add", tmp_path / "nothing"), "No photos found in")
    refused(typed("index", "add", photo), "is not a folder")
    refused(typed("index", "add", photo_folder, "--model", "resnet18-imagenet-kd"), "Closest: resnet")
    assert typed("index", "add", photo_folder).returncode == 0
    refused(typed("index", "add", photo_folder, "--model", other_checkpoint.folder), "was created with")
    refused(typed("search", tmp_path / "none.jpg"), "none.jpg: no such file")
    refused(typed("search", tmp_path), "is a folder, not a photo")
    refused(
        typed("search", photo, "--folder", tmp_path / "nothing"),
        f"Use one of its folders or a subfolder: {photo_folder}",
    )
    refused(typed("search", photo, "--from", "2025", "--to", "2024"), "Specify the earlier date first")
    refused(typed("search", photo, "--sheet", tmp_path / "sheet.txt"), "Use a name that ends in")
    refused(typed("search", photo, "--sheet", photo), "would overwrite")
    refused(typed("index", "add", "~nobody-here/photos"), "does not exist")
    refused(typed("index", "add", "x" * 300), "does not exist")
    refused(typed("quickstart", "--folder", photo), "00.jpg")
    refused(typed("quickstart", "--folder", photo_folder), "no quickstart made")
    refused(typed("search", photo, "--sheet", tmp_path / "no" / "sheet.png"), "cannot be written")


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 100)

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (260_000, 260_000))

    refused(run("index", "add", photos, home=tmp_path, preexec_fn=no_room), "disk may be full")
    done = run("index", "add", photos, home=tmp_path)
    assert done.returncode == 0
    assert "contains 100 photos" in done.stdout
    (unchanged,) = re.findall(r"(\d+) unchanged", done.stdout)
    assert 32 <= int(unchanged) < 100


def test_models(tmp_path: Path) -> None:
    listed = run("models", home=tmp_path).stdout
    assert "resnet50-clip-kd" in listed
    assert "New photo libraries use effnet-lite1-whitened" in listed
    cards = json.loads(run("models", "--json", home=tmp_path).stdout)
    assert cards[0]["name"] == "effnet-lite1-whitened"


def test_version_and_help(tmp_path: Path) -> None:
    assert run("--version", home=tmp_path).stdout.strip() == "0.1.0"
    assert "quickstart" in run("--help", home=tmp_path).stdout


@pytest.mark.parametrize("arguments", [["search"], ["index", "ad"], ["search", "x", "-k", "0"], ["--nonsense"]])
def test_wrong_usage_exits_with_2(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_quickstart_measures_the_users_photos_too(tmp_path: Path, photo_folder: Path) -> None:
    done = run("quickstart", "--folder", tmp_path / "quick", "--photos", photo_folder, home=tmp_path)
    assert done.returncode == 0, done.stderr
    (ours,) = (line for line in done.stdout.splitlines() if line.startswith("effnet-lite1-whitened "))
    assert 0 <= float(ours.split()[-1]) <= 1
    assert "same subfolder" in done.stdout
    refused(
        run("quickstart", "--folder", tmp_path / "quick", "--photos", photo_folder / "a", home=tmp_path),
        "has fewer than two subfolders with at least two photos each",
    )
    refused(run("quickstart", "--folder", tmp_path / "q", "--photos", tmp_path / "no", home=tmp_path), "not a folder")


def test_quickstart(tmp_path: Path) -> None:
    done = run("quickstart", "--folder", tmp_path / "quick", home=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (ours,) = (line for line in lines if line.startswith("effnet-lite1-whitened "))
    (pixels,) = (line for line in lines if line.startswith("raw 16 x 16 pixels"))
    view, _, half = (float(each) for each in ours.split()[-3:])
    assert view >= 0.95
    assert (view, half) > tuple(float(each) for each in pixels.split()[-3::2])
    assert half > 0.5
    assert " search " in lines[-3]
    again = subprocess.run(lines[-3], shell=True, capture_output=True, text=True, cwd=Path.cwd())
    assert len(again.stdout.splitlines()) == 1 + 10, again.stderr
    assert (tmp_path / "quick" / "sheet.png").exists()


@pytest.mark.parametrize(
    ("module", "main"),
    [("mvmr_zoo.cli.app", "mvmr_zoo.cli"), ("export.cli", "export.__main__"), ("demo.cli", "demo.__main__")],
)
def test_ctrl_c_while_modules_are_imported(module: str, main: str) -> None:
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"from {main} import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")
