from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from demo.uploads import KEPT_S, MAX_BYTES, SWEPT_EVERY_S, open_upload, sweep, uploads_folder
from mvmr_zoo.errors import ImageError

from ..environment import ROOT


def test_a_photo_that_was_sent(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.jpg")
    sent = open_upload(tmp_path / "a.jpg")
    assert (sent.name, sent.image.size, sent.image.mode) == ("a.jpg", (60, 40), "RGB")
    assert sent.content == (tmp_path / "a.jpg").read_bytes()


def test_what_may_not_be_sent(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "large.jpg").write_bytes(bytes(MAX_BYTES + 1))
    Image.new("1", (8_000, 8_000)).save(tmp_path / "wide.png")
    for name, reason in (
        ("text.jpg", "not an image in a known format"),
        ("large.jpg", "20 MB: over 20 MB, refused"),
        ("wide.png", "8000 x 8000 pixels: over 60 megapixels, refused"),
        ("gone.jpg", "is not there any more; send it again"),
    ):
        with pytest.raises(ImageError) as caught:
            open_upload(tmp_path / name)
        assert str(caught.value) == f"{name}: {reason}"


def test_old_files_are_swept_and_new_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "old.jpg").write_bytes(b"x")
    time.sleep(0.3)
    (tmp_path / "one" / "new.jpg").write_bytes(b"x")
    os.utime(tmp_path / "one" / "new.jpg", (0, 0))  # the date somebody gave it does not count
    sweep(tmp_path, 0.2)
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["new.jpg"]


def test_no_upload_is_kept_for_an_hour() -> None:
    assert KEPT_S + SWEPT_EVERY_S < 3_600


def test_the_folder_goes_at_the_end_and_those_of_killed_processes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = (
        "import os; from demo.uploads import uploads_folder; folder = uploads_folder(); folder.__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", killed], env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=ROOT, check=False)
    (left,) = tmp_path.glob("mvmr-demo-*")
    (tmp_path / "mvmr-demo-notes").mkdir()
    alive = tmp_path / f"mvmr-demo-{os.getppid()}-x"
    alive.mkdir()
    with uploads_folder() as folder:
        assert folder.is_dir()
        assert not left.exists()
        assert alive.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["mvmr-demo-notes", alive.name])
