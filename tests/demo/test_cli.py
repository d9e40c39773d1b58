from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo.cli import main
from mvmr_zoo import PhotoLibrary

from ..command_line import Typist, refused
from ..conftest import write_photos
from ..environment import ROOT, clean_environment
from .conftest import Album, running


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "Anyone on the network could see your photos at 0.0.0.0. Add --auth NAME:PASSWORD."),
        (["--host", "192.168.1.5", "--public"], "Add --auth NAME:PASSWORD."),
        (["--auth", "ann"], "--auth needs the form NAME:PASSWORD, and neither part may be empty."),
        (["--mcp", "--auth", "ann:secret"], "The MCP endpoint does not support a login."),
        (["--auth", "ann:"], "--auth needs the form NAME:PASSWORD, and neither part may be empty."),
        (["/nowhere"], "/nowhere is not a folder. Pass a library or a folder of photos."),
        (["--public", "."], "is not a library, and a public page cannot index folders."),
    ],
)
def test_invalid_arguments_are_rejected(typist: Typist, words: list[str], message: str) -> None:
    refused(typist(main, "mvmr-demo", *words), message)


def test_port_in_use_is_reported(album: Album, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = demo(tmp_path, album.library, "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Error: Port {port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_weights_are_reported(album: Album, tmp_path: Path) -> None:
    done = demo(tmp_path, album.library, "--model", "resnet50-clip-kd")
    assert done.returncode == 2
    assert "its weights are not on this machine" in done.stderr
    assert "Traceback" not in done.stderr


def demo(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *map(str, words)]
    return subprocess.run(command, env=clean_environment(home), cwd=ROOT, capture_output=True, text=True, check=False)


def test_folder_is_indexed_into_the_default_library(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 4)
    with running(tmp_path, photos) as (_, process):
        process.terminate()
        assert process.wait(timeout=60) == 0
    with PhotoLibrary(tmp_path / ".local/share/mvmr_zoo/library") as library:
        assert set(library.folders()) <= {photos / "a", photos / "b"}
    assert "Stopped." in (tmp_path / "page.log").read_text()
