"""The commands as people type them, in a process of their own."""

from __future__ import annotations

import json
import re
import resource
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from mvmr_zoo.checkpoint import Checkpoint

from ..command_line import refused, run
from ..conftest import write_photos


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
    assert found["query"] == str(photo)
    assert len(found["hits"]) == 3
    assert all(Path(hit["path"]).exists() for hit in found["hits"])
    with Image.open(sheet) as image:
        assert image.size == (4 * 168 + 8, 202 + 8)

    done = run("search", photo, "-k", 3, home=tmp_path)
    assert len(done.stdout.splitlines()) == 3

    status = json.loads(run("index", "status", "--json", home=tmp_path).stdout)
    assert status["photos"] == 12
    assert status["model"] == "resnet18-imagenette-kd"
    assert status["index"] == {"generation": 1, "current": True}


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


def test_commands_that_cannot_run(photo_folder: Path, tmp_path: Path, other_checkpoint: Checkpoint) -> None:
    photo = photo_folder / "a" / "00.jpg"
    (tmp_path / "nothing").mkdir()
    refused(run("search", photo, home=tmp_path), "There is no library")
    refused(run("index", "status", home=tmp_path), "There is no library")
    refused(run("index", "add", tmp_path / "nowhere", home=tmp_path), "does not exist")
    refused(run("index", "add", tmp_path / "nothing", home=tmp_path), "No photo in")
    refused(run("index", "add", photo, home=tmp_path), "is not a folder")
    refused(run("index", "add", photo_folder, "--model", "resnet18-imagenet-kd", home=tmp_path), "Closest: resnet")
    assert run("index", "add", photo_folder, home=tmp_path).returncode == 0
    refused(run("index", "add", photo_folder, "--model", other_checkpoint.folder, home=tmp_path), "was made by")
    refused(run("search", tmp_path / "none.jpg", home=tmp_path), "none.jpg: no such file")
    refused(run("search", tmp_path, home=tmp_path), "is a directory")
    refused(run("search", photo, "--sheet", tmp_path / "sheet.txt", home=tmp_path), "end the name in")
    refused(run("search", photo, "--sheet", photo, home=tmp_path), "would overwrite")
    refused(run("index", "add", "~nobody-here/photos", home=tmp_path), "does not exist")
    refused(run("index", "add", "x" * 300, home=tmp_path), "does not exist")
    refused(run("quickstart", "--folder", photo, home=tmp_path), "00.jpg")
    refused(run("quickstart", "--folder", photo_folder, home=tmp_path), "no quickstart made")
    refused(run("search", photo, "--sheet", tmp_path / "no" / "sheet.png", home=tmp_path), "cannot be written")


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 100)

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (160_000, 160_000))

    refused(run("index", "add", photos, home=tmp_path, preexec_fn=no_room), "disk may be full")
    done = run("index", "add", photos, home=tmp_path)
    assert done.returncode == 0
    assert "holds 100 photos" in done.stdout
    (unchanged,) = re.findall(r"(\d+) unchanged", done.stdout)
    assert 32 <= int(unchanged) < 100


def test_models(tmp_path: Path) -> None:
    assert "resnet50-clip-kd" in run("models", home=tmp_path).stdout
    cards = json.loads(run("models", "--json", home=tmp_path).stdout)
    assert cards[0]["name"] == "resnet18-imagenette-kd"


def test_version_and_help(tmp_path: Path) -> None:
    assert run("--version", home=tmp_path).stdout.strip() == "0.1.0"
    assert "quickstart" in run("--help", home=tmp_path).stdout


@pytest.mark.parametrize("arguments", [["search"], ["index", "ad"], ["search", "x", "-k", "0"], ["--nonsense"]])
def test_wrong_usage_exits_with_2(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_quickstart(tmp_path: Path) -> None:
    done = run("quickstart", "--folder", tmp_path / "quick", home=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (ours,) = (line for line in lines if line.startswith("resnet18-imagenette-kd "))
    (pixels,) = (line for line in lines if line.startswith("raw 16 x 16 pixels"))
    assert float(ours.split()[-2]) >= 0.9
    assert float(ours.split()[-2]) > float(pixels.split()[-2])
    assert " search " in lines[-3]
    again = subprocess.run(lines[-3], shell=True, capture_output=True, text=True, cwd=Path.cwd())
    assert len(again.stdout.splitlines()) == 10, again.stderr
    assert (tmp_path / "quick" / "sheet.png").exists()
