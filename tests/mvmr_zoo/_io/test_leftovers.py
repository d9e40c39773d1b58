from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mvmr_zoo._io import sweep_leftovers
from mvmr_zoo._io.leftovers import new_part, new_scratch

WAIT_S = 120
OWNER = """
import sys, time
from pathlib import Path
from mvmr_zoo._io import scratch_folder, written_whole
with written_whole(Path(sys.argv[1]) / "file") as part, scratch_folder(Path(sys.argv[1])) as scratch:
    (scratch / "big").write_bytes(bytes(1000))
    print("ready", flush=True)
    time.sleep(600)
"""


def test_leftovers_live_as_long_as_their_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == "ready\n"
            made = sorted(tmp_path.iterdir())
            assert len(made) == 2
            for path in [*made, *made[1].iterdir(), made[1]]:
                os.utime(path, (0, 0))  # the age does not matter
            sweep_leftovers(tmp_path)
            assert sorted(tmp_path.iterdir()) == made
        finally:
            owner.send_signal(signal.SIGKILL)
    sweep_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_empty_scratch_folder_is_deleted(tmp_path: Path) -> None:
    scratch, handle = new_scratch(tmp_path, hidden=True)
    assert handle is not None
    os.close(handle)
    (scratch / ".lock").unlink()  # killed before it made the lock
    sweep_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("days", [0, 2])
def test_leftovers_of_other_machines_are_deleted_after_a_day(days: int, tmp_path: Path) -> None:
    part, part_lock = new_part(tmp_path / "file")
    scratch, scratch_lock = new_scratch(tmp_path, hidden=True)
    for path, handle in ((part, part_lock), (scratch, scratch_lock)):
        assert handle is not None
        os.close(handle)
        fields = path.name.split("-")
        path.rename(path.with_name("-".join([*fields[:-2], "0" * 8, fields[-1]])))
    then = time.time() - days * 86_400
    for path in [*tmp_path.rglob("*")][::-1]:
        os.utime(path, (then, then))
    sweep_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == (0 if days else 2)


def test_files_of_the_user_are_kept(tmp_path: Path) -> None:
    part, handle = new_part(tmp_path / "file")
    assert handle is not None
    os.close(handle)
    part.unlink()
    kept = [".file.1-2.part", ".notes.part", "mvmr-zoo-scratch", ".mvmr-zoo-scratch-a b", f"{part.name}~"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".lock").touch()
    part.symlink_to(tmp_path / "folder" / ".lock")
    (tmp_path / ".mvmr-zoo-scratch-00000000-0000").symlink_to(tmp_path / "folder")
    pipe, handle = new_scratch(tmp_path, hidden=False)
    assert handle is not None
    os.close(handle)
    (pipe / ".lock").unlink()
    os.mkfifo(pipe / ".lock")
    before = sorted(tmp_path.rglob("*"))
    sweep_leftovers(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    sweep_leftovers(tmp_path / "missing")
    (tmp_path / "file").touch()
    sweep_leftovers(tmp_path / "file")
