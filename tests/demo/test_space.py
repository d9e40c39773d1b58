from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from gradio_client import Client
from PIL import Image

from demo.space import LARGE_PX, make_space
from mvmr_zoo import __version__
from mvmr_zoo.errors import ConfigError, DataError

from ..environment import clean_environment
from .conftest import PLACE_NAME, Album, free_port


def test_space_has_the_files_required_by_the_hub(tmp_path: Path) -> None:
    assert make_space(tmp_path / "space") == 160
    header = yaml.safe_load((tmp_path / "space" / "README.md").read_text().split("---")[1])
    assert (header["sdk"], header["app_file"], header["license"]) == ("gradio", "app.py", "apache-2.0")
    needed = (tmp_path / "space" / "requirements.txt").read_text().splitlines()
    assert f"mvmr-zoo[runtime,demo]=={__version__}" in needed
    assert sorted(each.name for each in (tmp_path / "space").iterdir()) == [
        "README.md", "app.py", "photos", "requirements.txt",
    ]  # fmt: skip


def test_photos_are_copied_without_personal_metadata(album: Album, tmp_path: Path) -> None:
    private = tmp_path / "Ann's party"
    private.mkdir()
    (private / "Ann.jpg").write_bytes((album.photos / "abroad.jpg").read_bytes())
    Image.new("RGB", (3_000, 2_000), "red").save(private / "Bob.png")
    (private / "notes.jpg").write_text("no photo")
    assert make_space(tmp_path / "space", private) == 2
    copies = sorted((tmp_path / "space" / "photos").iterdir())
    assert [each.name for each in copies] == ["0001.jpg", "0002.jpg"]
    assert PLACE_NAME.encode() not in copies[0].read_bytes()
    with Image.open(copies[1]) as image:
        assert max(image.size) == LARGE_PX


def test_wheel_is_included(tmp_path: Path) -> None:
    wheel = tmp_path / "mvmr_zoo-9.9-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    make_space(tmp_path / "space", wheel=wheel)
    assert "./mvmr_zoo-9.9-py3-none-any.whl[runtime,demo]" in (tmp_path / "space" / "requirements.txt").read_text()
    assert (tmp_path / "space" / wheel.name).read_bytes() == b"wheel"


def test_invalid_folders_are_rejected_for_a_space(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        make_space(tmp_path / "full")
    with pytest.raises(DataError, match="has no readable photo"):
        make_space(tmp_path / "space", tmp_path / "full")


def test_app_of_a_space_is_a_public_page(album: Album, tmp_path: Path) -> None:
    make_space(tmp_path / "space", album.photos)
    port = free_port()
    environment = clean_environment(tmp_path, GRADIO_SERVER_NAME="127.0.0.1", GRADIO_SERVER_PORT=str(port))
    command = [sys.executable, "app.py"]
    with subprocess.Popen(
        command, cwd=tmp_path / "space", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"Open http://127.0.0.1:{port}/\n"
            address = f"http://127.0.0.1:{port}/"
            config = httpx.get(f"{address}config").text
            assert '"label":"Map"' in config
            assert '"label":"Index"' not in config
            hits = Client(address, verbose=False).predict(id=1, k=2, api_name="/search_by_id")
            assert [os.path.dirname(hit["place"]) for hit in hits] == ["photos", "photos"]  # noqa: PTH120
        finally:
            process.terminate()
