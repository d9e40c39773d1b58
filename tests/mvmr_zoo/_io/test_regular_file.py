from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from mvmr_zoo._io import open_regular, read_regular

from ...command_line import refused, run

WAIT_S = 120


def test_regular_files_and_links_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for path in (tmp_path / "a", str(tmp_path / "link"), os.fsencode(tmp_path / "a")):
        assert read_regular(path) == b"content"
    with open_regular(tmp_path / "a") as file:
        assert file.read(3) == b"con"


def test_other_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    script = (
        "import sys\n"
        "from mvmr_zoo._io import read_regular\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        read_regular(path)\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)\n"
    )
    paths = [tmp_path / "pipe", tmp_path / "socket", "/dev/zero", tmp_path, tmp_path / "missing"]
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, timeout=WAIT_S)
    assert done.stdout.split() == ["OSError", "OSError", "OSError", "IsADirectoryError", "FileNotFoundError"]


def test_commands_do_not_wait_for_a_pipe(photo_folder: Path, tmp_path: Path) -> None:
    """Commands blocked forever if a photo, a config.json or a manifest.json was a pipe."""
    for name in ("photo.jpg", "config.json", "manifest.json"):
        (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / name / name)
    pipe = tmp_path / "photo.jpg" / "photo.jpg"
    (tmp_path / "names.txt").write_text(f"{next(photo_folder.rglob('*.jpg'))}\n{pipe}\n")

    def type_(*words: object) -> subprocess.CompletedProcess[str]:
        return run(*words, home=tmp_path / "home", timeout=WAIT_S)

    embedded = type_("embed", tmp_path / "names.txt", "-o", tmp_path / "out", "--model", "effnet-lite:0")
    assert embedded.returncode == 0, embedded.stderr
    assert "it is not a regular file" in embedded.stdout + embedded.stderr
    refused(type_("search", pipe, "--library", tmp_path / "out"), "has no index")
    refused(type_("verify", tmp_path / "config.json"), "it is not a regular file")
    refused(type_("search", pipe, "--library", tmp_path / "manifest.json"), "There is no library")
