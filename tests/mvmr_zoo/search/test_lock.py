"""Two commands that change one library: the second waits, or says who holds it; searching goes on."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mvmr_zoo.errors import LibraryBusyError
from mvmr_zoo.search import PhotoLibrary
from mvmr_zoo.search import photo_library as photos
from mvmr_zoo.search.lock import writing

from ...conftest import write_photos

PATIENCE_S = 120.0
"""Limit of the waits that must succeed, on busy cores too."""

HOLD = """
import sys
from pathlib import Path
from mvmr_zoo.search.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def held(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_says_who_holds_the_library_and_searching_goes_on(
    library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add([photo_folder])
    monkeypatch.setattr(photos, "writing", lambda folder: writing(folder, patience_s=0.2))
    with held(library.folder) as process:
        for change in (lambda: library.add([photo_folder]), library.prune, library.tune):
            with pytest.raises(LibraryBusyError, match=rf"process {process.pid} \(`python .*since 20"):
                change()
        assert len(library.search(photo_folder / "a" / "00.jpg", 3)) == 3
        assert library.status().photos == 12
        process.communicate("\n")
    assert library.add([photo_folder]).unchanged == 12


def test_the_second_waits(library: PhotoLibrary, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "writing", functools.partial(writing, patience_s=PATIENCE_S))
    with held(library.folder) as process, subprocess.Popen(["sh", "-c", f"sleep 0.5; kill {process.pid}"]):
        assert library.add([photo_folder]).added == 12


def test_a_killed_command_holds_nothing(library: PhotoLibrary, photo_folder: Path) -> None:
    with held(library.folder) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with writing(library.folder, patience_s=PATIENCE_S):
            pass
    assert library.examine() == []


def test_two_adds_at_once_lose_nothing(library: PhotoLibrary, tmp_path: Path) -> None:
    folders = [write_photos(tmp_path / name, 16) for name in ("one", "two")]
    for path in folders[1].rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + b"another content")
    code = (
        "from mvmr_zoo.cli import main; from mvmr_zoo.search.lock import writing; "
        f"writing.__wrapped__.__kwdefaults__['patience_s'] = {PATIENCE_S}; main()"
    )
    model = library._spec
    commands = [
        [sys.executable, "-c", code, "index", "add", str(each), "-L", str(library.folder), "--model", str(model)]
        for each in folders
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for command in commands]
    output = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], output
    assert library.status().photos == 32
    assert library.examine() == []
