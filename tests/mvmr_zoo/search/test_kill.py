"""An add that is killed loses nothing, and the next one goes on."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import numpy as np

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.search import PhotoLibrary

from ...conftest import write_photos
from ...forked import LIGHT, run_forked

ADD = """
import os, signal, sys, threading
from mvmr_zoo.search import PhotoLibrary, sync

def die_soon(done, total):
    end = threading.Timer(float(sys.argv[4]), os.kill, (os.getpid(), signal.SIGKILL))
    end.daemon = True
    end.start()

sync.BATCH_SIZE = 8
with PhotoLibrary(sys.argv[1], model=sys.argv[2]) as library:
    library.add([sys.argv[3]], progress=die_soon)
"""
"""An add that kills itself soon after it has begun to embed. Another process could be too late on busy cores."""


def rows(folder: Path) -> dict[bytes, tuple[object, ...]]:
    connection = sqlite3.connect(folder / "library.sqlite")
    found = connection.execute(
        "SELECT path, size, mtime_ns, content, width, height, vector FROM photos ORDER BY path"
    ).fetchall()
    connection.close()
    return {row[0]: row[1:] for row in found}


def test_kill_five_times_then_finish(tmp_path: Path, checkpoint: Checkpoint) -> None:
    photos = write_photos(tmp_path / "photos", 120)
    words = ["-c", ADD, str(tmp_path / "killed"), str(checkpoint.folder), str(photos)]
    random = np.random.default_rng(0)
    interrupted = 0
    for _ in range(5):
        done = run_forked([*words, str(random.uniform(0, 0.15))], os.environ, LIGHT)
        interrupted += done.returncode == -signal.SIGKILL
    assert interrupted >= 3
    with PhotoLibrary(tmp_path / "killed", model=str(checkpoint.folder)) as library:
        assert library.add([photos]).total == 120
        assert library.status().index_current
    with PhotoLibrary(tmp_path / "whole", model=str(checkpoint.folder)) as library:
        library.add([photos])
    killed, whole = rows(tmp_path / "killed"), rows(tmp_path / "whole")
    assert killed.keys() == whole.keys()
    for path, row in whole.items():
        assert killed[path][:-1] == row[:-1]
        a, b = (np.frombuffer(r[-1], np.float16).astype(float) for r in (killed[path], row))
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.9999
