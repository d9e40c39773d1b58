from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvmr_zoo._io import replace_folder, scratch_folder, write_whole, written_whole

from ...environment import ROOT

WAIT_S = 120


@pytest.mark.parametrize("way", ["exchange", "renames"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_killed_at_every_moment(kind: str, way: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.mvmr_zoo._io.killed", tmp_path, kind, way]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= (20 if kind == "folder" else 5)


def test_a_folder_is_new_replaced_or_restored(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    for content in ("first", "second"):
        with scratch_folder(out.parent) as scratch:
            (scratch / "work").mkdir()
            (scratch / "work" / "file").write_text(content)
            replace_folder(scratch / "work", out)
        assert (out / "file").read_text() == content
        assert list(out.parent.iterdir()) == [out]
    with pytest.raises(FileNotFoundError), scratch_folder(out.parent) as scratch:
        replace_folder(scratch / "missing", out)
    assert (out / "file").read_text() == "second"
    assert list(out.parent.iterdir()) == [out]


def test_a_new_parent_stays_only_with_an_output(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "a" / "b"):
        pass
    assert not (tmp_path / "a").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "old")
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "file") as part:
        part.write_text(f"new {1 // 0}")
    assert (tmp_path / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127, os.fsdecode(b"\xff" * 255)):
        write_whole(tmp_path / name, name.encode("utf-8", "surrogateescape"))
        assert (tmp_path / name).read_bytes() == os.fsencode(name)


def test_special_files_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        with pytest.raises(OSError, match="it is not a regular file"):
            write_whole(tmp_path / name, "text")
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, "text")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "null").is_symlink()
