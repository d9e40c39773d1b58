"""What somebody may try who can reach the page. Nothing leaks, nothing runs, one clear message."""

from __future__ import annotations

import json
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from PIL import Image

from .conftest import PLACE_NAME, Page, save_with_place

FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def http(page: Page) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.address, timeout=60) as client:
        yield client


@pytest.fixture
def thumbnail(page: Page) -> Path:
    """A thumbnail of the library."""
    return next((page.album.library / "thumbnails").glob("*-320.jpg"))


def call(http: httpx.Client, name: str, *values: Any) -> tuple[str, Any]:
    """How an endpoint's answer is called, `complete` or `error`, and what it says."""
    begun = http.post(f"gradio_api/call/{name}", json={"data": list(values)}).json()
    told = http.get(f"gradio_api/call/{name}/{begun['event_id']}").text
    event, data = (line.partition(": ")[2] for line in told.splitlines()[:2])
    return event, json.loads(data)


def search(http: httpx.Client, payload: Any) -> str:
    """Search with a payload that must be refused: the message."""
    event, data = call(http, "search", payload, 3, 0, "", "")
    assert event == "error"
    return str(data["error"])


def send(http: httpx.Client, name: str, content: bytes) -> str:
    return str(http.post("gradio_api/upload", files={"files": (name, content)}).json()[0])


def secrets(page: Page, thumbnail: Path) -> list[str]:
    album = page.album
    return [
        "/etc/passwd",
        str(album.library / "library.sqlite"),
        str(album.photos / "abroad.jpg"),
        f"{thumbnail.parent}/../library.sqlite",
        f"{thumbnail.parent}/%2e%2e/library.sqlite",
        f"{thumbnail.parent}/..%2flibrary.sqlite",
        f"{thumbnail}/../../library.sqlite",
        "../../../../../../etc/passwd",
        "pyproject.toml",
        "demo/app.py",
        str(thumbnail.parent),
        "file:///etc/passwd",
        f"{thumbnail.parent}\\..\\library.sqlite",
    ]


def test_thumbnails_are_served(http: httpx.Client, thumbnail: Path) -> None:
    answer = http.get(f"gradio_api/file={thumbnail}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")


def test_no_other_file_is_served(http: httpx.Client, page: Page, thumbnail: Path) -> None:
    for secret in secrets(page, thumbnail):
        for path in (f"gradio_api/file={secret}", f"gradio_api/file/{secret}", f"file={secret}", f"static/{secret}"):
            answer = raw_get(page.address, path)
            assert answer.split(b" ", 2)[1] in (b"403", b"404", b"307", b"400"), path
            assert b"root:" not in answer
            assert b"SQLite format" not in answer


def raw_get(address: str, path: str) -> bytes:
    """An answer to a request whose path nobody tidies up before it is sent."""
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=20) as line:
        request = f"GET /{path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n"
        line.sendall(request.replace("\\", "%5C").encode())
        return b"".join(iter(lambda: line.recv(65_536), b""))


def test_a_link_among_the_thumbnails_leads_nowhere(http: httpx.Client, page: Page, thumbnail: Path) -> None:
    link = thumbnail.with_name("link.jpg")
    link.symlink_to(page.album.photos / "abroad.jpg")
    try:
        assert PLACE_NAME.encode() not in http.get(f"gradio_api/file={link}").content
    finally:
        link.unlink()


def test_no_file_of_this_machine_can_be_searched_with(http: httpx.Client, page: Page, thumbnail: Path) -> None:
    for secret in secrets(page, thumbnail):
        for payload in (
            {"path": secret, **FILE},
            {"path": secret},
            {"path": secret, "url": None, "orig_name": "a.jpg"},
        ):
            message = search(http, payload)
            assert message in ("None", "Send the photo itself: addresses are not fetched."), payload


def test_no_server_is_asked_for_anything(http: httpx.Client) -> None:
    with Listener() as listener:
        for path in (
            f"gradio_api/file={listener.url}",
            f"gradio_api/file={listener.url.upper()}",
            f"gradio_api/file={quote(listener.url, safe='')}",
            f"gradio_api/proxy={listener.url}",
            f"gradio_api/file=https://example.invalid/{listener.url}",
        ):
            assert http.get(path).status_code == 403, path
        for payload in (
            {"path": listener.url, **FILE},
            {"path": listener.url, "url": listener.url, **FILE},
            {"url": listener.url, **FILE},
            {"path": None, "url": listener.url},
            {"path": listener.url.replace("http", "HTTP"), **FILE},
            {"path": "https://example.invalid/a.png", **FILE},
            {"path": "", "url": "data:image/png;base64,iVBORw0KGgo=", **FILE},
        ):
            assert search(http, payload) in ("None", "Send the photo itself: addresses are not fetched."), payload
        assert listener.asked == 0


class Listener:
    """A server that counts who asks."""

    def __enter__(self) -> Listener:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/a.png"
        self.asked = 0
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            line.close()


def test_a_small_file_of_very_many_pixels_is_refused(http: httpx.Client) -> None:
    for side, message in ((60_000, "over 179 million pixels"), (8_000, "over 60 megapixels")):
        bomb = send(http, "bomb.png", png_of(side))
        assert message in search(http, {"path": bomb, **FILE})


def png_of(side: int) -> bytes:
    """A PNG of `side` x `side` black pixels, a bit each, in a few kilobytes."""
    pack = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    rows = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
    header = side.to_bytes(4, "big") * 2 + bytes((1, 0, 0, 0, 0))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
        parts += [len(data).to_bytes(4, "big"), kind, data, zlib.crc32(kind + data).to_bytes(4, "big")]
    return b"".join(parts)


def test_an_svg_is_no_photo_and_its_script_cannot_run(http: httpx.Client) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>window.ran=1</script></svg>'
    for name in ("a.svg", "a.png", "a.html"):
        sent = send(http, name, svg)
        assert search(http, {"path": sent, **FILE}) == f"{name}: not an image in a known format"
        answer = http.get(f"gradio_api/file={sent}")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].partition(";")[0] in ("application/octet-stream", "image/png")


def test_large_uploads_end_early(http: httpx.Client, page: Page) -> None:
    too_large = (413, "Photos of at most 20 MB are taken.")
    answer = http.post("gradio_api/upload", files={"files": ("a.jpg", bytes(21_000_000))})
    assert (answer.status_code, answer.text) == too_large
    where = urlsplit(page.address)
    with socket.create_connection((where.hostname, where.port), timeout=20) as line:  # 300 MB are told, none is sent
        line.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 300000000\r\n\r\n".encode()
        )
        told = b"".join(iter(lambda: line.recv(65_536), b"")).decode()
    assert told.startswith("HTTP/1.1 413")
    assert told.endswith(too_large[1])


def test_a_large_upload_of_unknown_length_ends_early(http: httpx.Client) -> None:
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        for _ in range(300):
            sent += 1
            yield bytes(1_000_000)

    try:
        answer = http.post(
            "gradio_api/upload", content=parts(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # the line was cut while we were still sending
    assert sent < 120


def test_thumbnails_tell_nothing_of_place_and_person(http: httpx.Client, page: Page, tmp_path: Path) -> None:
    _, (hits,) = call(http, "search_by_id", 5, 200, 0, "2024", "")
    assert [hit["name"] for hit in hits] == ["abroad.jpg"]
    original = (page.album.photos / "abroad.jpg").read_bytes()
    assert PLACE_NAME.encode() in original
    kept = list((page.album.library / "thumbnails").glob("*.jpg"))
    assert len(kept) > 80
    for file in kept:
        assert PLACE_NAME.encode() not in file.read_bytes()
        with Image.open(file) as image:
            assert not image.getexif()
            assert "comment" not in image.info


def test_what_is_sent_with_a_place_is_searched_with_all_the_same(http: httpx.Client, tmp_path: Path) -> None:
    save_with_place(Image.radial_gradient("L").convert("RGB"), tmp_path / "mine.jpg")
    event, (hits,) = call(
        http, "search", {"path": send(http, "mine.jpg", (tmp_path / "mine.jpg").read_bytes()), **FILE}, 3, 0, "", ""
    )
    assert event == "complete"
    assert PLACE_NAME not in json.dumps(hits)


def test_html_in_names_is_text_in_messages_too(http: httpx.Client) -> None:
    message = search(http, {"path": send(http, "<b>bold.jpg", b"no photo"), **FILE})
    assert "<" not in message


def test_other_sites_cannot_use_the_page(http: httpx.Client, page: Page) -> None:
    netloc = urlsplit(page.address).netloc
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"host": "evil.example"}):
        assert http.post("gradio_api/call/status", json={"data": []}, headers=headers).status_code == 403
    assert (
        http.post("gradio_api/call/status", json={"data": []}, headers={"origin": f"http://{netloc}"}).status_code
        == 200
    )


def test_the_page_lets_browsers_ask_nobody_else(http: httpx.Client) -> None:
    policy = http.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    assert "https:" not in policy


def test_values_of_the_wrong_kind_cost_nothing(http: httpx.Client) -> None:
    for values in ([[1], 3, 0, "", ""], [1, "x", 0, "", ""], [{"a": 1}, None, None, None, None], ["../", 3, 0, 5, 6]):
        event, data = call(http, "search_by_id", *values)
        assert event == "error"
        assert "Traceback" not in str(data)
    assert call(http, "status")[0] == "complete"


def test_folders_can_be_named_only_where_the_page_is_private(page: Page) -> None:
    assert os.path.isdir(page.album.photos)
    config = httpx.get(f"{page.address}config").json()
    assert any(each.get("props", {}).get("elem_id") == "folder" for each in config["components"])
