from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from demo.uploads import MAX_BYTES, RETENTION_S, SWEEP_INTERVAL_S, decode_upload, read_upload, sweep, uploads_folder
from mvmr_zoo.errors import ImageError

from ..environment import ROOT


def test_uploads_are_read_and_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.jpg")
    sent = read_upload(tmp_path / "a.jpg")
    image = decode_upload(sent)
    assert (sent.name, image.size, image.mode) == ("a.jpg", (60, 40), "RGB")
    assert sent.content == (tmp_path / "a.jpg").read_bytes()


def test_invalid_uploads_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "large.jpg").write_bytes(bytes(MAX_BYTES + 1))
    Image.new("1", (8_000, 8_000)).save(tmp_path / "wide.png")
    for name, reason in (
        ("text.jpg", "not an image in a known format"),
        ("large.jpg", "larger than 20 MB"),
        ("wide.png", "8000 x 8000 pixels exceeds the limit of 60 megapixels"),
        ("gone.jpg", "no longer on the server; send it again"),
    ):
        with pytest.raises(ImageError) as caught:
            decode_upload(read_upload(tmp_path / name))
        assert str(caught.value) == f"{name}: {reason}"


def test_sweep_deletes_only_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "one" / "old.jpg", tmp_path / "one" / "new.jpg"
    old.parent.mkdir()
    old.write_bytes(b"x")
    deadline = time.monotonic() + 60
    while not new.exists() or new.stat().st_ctime <= old.stat().st_ctime:
        assert time.monotonic() < deadline
        new.write_bytes(b"x")
        os.utime(new, (0, 0))  # the mtime, which uploads can set, is ignored
    between = (old.stat().st_ctime + new.stat().st_ctime) / 2
    monkeypatch.setattr("demo.uploads.time", SimpleNamespace(time=lambda: between + 100))
    sweep(tmp_path, 100)
    assert list(old.parent.iterdir()) == [new]


def test_uploads_are_kept_for_less_than_an_hour() -> None:
    assert RETENTION_S + SWEEP_INTERVAL_S < 3_600


def test_upload_folders_are_deleted_at_the_end_and_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = (
        "import os; from demo.uploads import uploads_folder; folder = uploads_folder(); folder.__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", killed], env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=ROOT, check=False)
    (stale,) = tmp_path.iterdir()
    assert (stale / "uploads").is_dir()
    with uploads_folder() as first, uploads_folder() as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not stale.exists()
    assert not list(tmp_path.iterdir())
