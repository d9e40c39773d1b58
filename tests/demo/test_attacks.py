"""Attacks on a reachable page. They must leak nothing, run no code, and give one clear message."""

from __future__ import annotations

import json
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from PIL import Image

from .conftest import PLACE_NAME, Album, Server, running, save_with_place

FILE = {"meta": {"_type": "gradio.FileData"}}
NOT_AN_UPLOAD = "Paths and URLs are not accepted. Upload the photo itself."


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


@pytest.fixture
def thumbnail(server: Server) -> Path:
    """A thumbnail of the library."""
    return next((server.album.library / "thumbnails").glob("*-320.jpg"))


def call(http: httpx.Client, name: str, *values: Any) -> tuple[str, Any]:
    """Call an endpoint, and return its event (`complete` or `error`) and its data."""
    call_info = http.post(f"gradio_api/call/{name}", json={"data": list(values)}).json()
    stream = http.get(f"gradio_api/call/{name}/{call_info['event_id']}").text
    event, data = (line.partition(": ")[2] for line in stream.splitlines()[:2])
    return event, json.loads(data)


def search(http: httpx.Client, payload: Any) -> str:
    """Search with a payload that must be rejected, and return the message."""
    event, data = call(http, "search", payload, 3, 0, "", "")
    assert event == "error"
    return str(data["error"])


def send(http: httpx.Client, name: str, content: bytes) -> str:
    return str(http.post("gradio_api/upload", files={"files": (name, content)}).json()[0])


def secrets(server: Server, thumbnail: Path) -> list[str]:
    album = server.album
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


def test_no_other_file_is_served(http: httpx.Client, server: Server, thumbnail: Path) -> None:
    for secret in secrets(server, thumbnail):
        for path in (f"gradio_api/file={secret}", f"gradio_api/file/{secret}", f"file={secret}", f"static/{secret}"):
            answer = raw_get(server.address, path)
            assert answer.split(b" ", 2)[1] in (b"403", b"404", b"307", b"400"), path
            assert b"root:" not in answer
            assert b"SQLite format" not in answer


def raw_get(address: str, path: str) -> bytes:
    """Request a path without normalizing it, and return the raw response."""
    url = urlsplit(address)
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        request = f"GET /{path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.replace("\\", "%5C").encode())
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_symlinks_in_the_thumbnail_folder_are_not_followed(http: httpx.Client, server: Server, thumbnail: Path) -> None:
    link = thumbnail.with_name("link.jpg")
    link.symlink_to(server.album.photos / "abroad.jpg")
    try:
        assert PLACE_NAME.encode() not in http.get(f"gradio_api/file={link}").content
    finally:
        link.unlink()


def test_local_files_cannot_be_used_as_query(http: httpx.Client, server: Server, thumbnail: Path) -> None:
    for secret in secrets(server, thumbnail):
        for payload in (
            {"path": secret, **FILE},
            {"path": secret},
            {"path": secret, "url": None, "orig_name": "a.jpg"},
        ):
            message = search(http, payload)
            assert message in ("None", NOT_AN_UPLOAD), payload


def test_no_other_server_is_contacted(http: httpx.Client) -> None:
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
            assert search(http, payload) in ("None", NOT_AN_UPLOAD), payload
        assert listener.connections == 0


class Listener:
    """A server that counts connections."""

    def __enter__(self) -> Listener:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/a.png"
        self.connections = 0
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


def test_decompression_bombs_are_rejected(http: httpx.Client) -> None:
    for side, message in (
        (60_000, "exceeds the limit of 179 megapixels"),
        (8_000, "exceeds the limit of 60 megapixels"),
    ):
        bomb = send(http, "bomb.png", png_of(side))
        assert message in search(http, {"path": bomb, **FILE})


def png_of(side: int) -> bytes:
    """Return a PNG of `side` x `side` black pixels with one bit per pixel, which has a few kilobytes."""
    pack = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    rows = b"".join(pack.compress(row) for _ in range(side)) + pack.flush()
    header = side.to_bytes(4, "big") * 2 + bytes((1, 0, 0, 0, 0))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
        parts += [len(data).to_bytes(4, "big"), kind, data, zlib.crc32(kind + data).to_bytes(4, "big")]
    return b"".join(parts)


def test_svg_is_rejected_and_sandboxed(http: httpx.Client) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>window.ran=1</script></svg>'
    for name in ("a.svg", "a.png", "a.html"):
        sent = send(http, name, svg)
        assert search(http, {"path": sent, **FILE}) == f"{name}: not an image in a known format"
        answer = http.get(f"gradio_api/file={sent}")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].partition(";")[0] in ("application/octet-stream", "image/png")


def test_large_uploads_are_aborted(http: httpx.Client, server: Server) -> None:
    too_large = (413, "The upload is too large. Send a photo of at most 20 MB.")
    answer = http.post("gradio_api/upload", files={"files": ("a.jpg", bytes(21_000_000))})
    assert (answer.status_code, answer.text) == too_large
    url = urlsplit(server.address)
    # announces 300 MB and sends nothing
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 300000000\r\n\r\n".encode()
        )
        response = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    assert response.startswith("HTTP/1.1 413")
    assert response.endswith(too_large[1])


def test_large_uploads_of_unknown_length_are_aborted(http: httpx.Client) -> None:
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
        pass  # the server closed the connection during the upload
    assert sent < 120


def test_thumbnails_have_no_personal_metadata(http: httpx.Client, server: Server, tmp_path: Path) -> None:
    _, (hits,) = call(http, "search_by_id", 5, 200, 0, "2024", "")
    assert [hit["name"] for hit in hits] == ["abroad.jpg"]
    original = (server.album.photos / "abroad.jpg").read_bytes()
    assert PLACE_NAME.encode() in original
    kept = list((server.album.library / "thumbnails").glob("*.jpg"))
    assert len(kept) > 80
    for file in kept:
        assert PLACE_NAME.encode() not in file.read_bytes()
        with Image.open(file) as image:
            assert not image.getexif()
            assert "comment" not in image.info


def test_photos_with_a_position_can_be_used_as_query(http: httpx.Client, tmp_path: Path) -> None:
    save_with_place(Image.radial_gradient("L").convert("RGB"), tmp_path / "mine.jpg")
    event, (hits,) = call(
        http, "search", {"path": send(http, "mine.jpg", (tmp_path / "mine.jpg").read_bytes()), **FILE}, 3, 0, "", ""
    )
    assert event == "complete"
    assert PLACE_NAME not in json.dumps(hits)


def test_html_in_names_is_escaped_in_messages(http: httpx.Client) -> None:
    message = search(http, {"path": send(http, "<b>bold.jpg", b"no photo"), **FILE})
    assert "<" not in message


def test_requests_from_other_sites_are_rejected(http: httpx.Client, server: Server) -> None:
    netloc = urlsplit(server.address).netloc
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"host": "evil.example"}):
        assert http.post("gradio_api/call/status", json={"data": []}, headers=headers).status_code == 403
    assert (
        http.post("gradio_api/call/status", json={"data": []}, headers={"origin": f"http://{netloc}"}).status_code
        == 200
    )


def test_content_security_policy_allows_no_other_hosts(http: httpx.Client) -> None:
    policy = http.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http:" not in policy
    assert "https:" not in policy


def test_values_of_wrong_types_give_errors(http: httpx.Client) -> None:
    for values in ([[1], 3, 0, "", ""], [1, "x", 0, "", ""], [{"a": 1}, None, None, None, None], ["../", 3, 0, 5, 6]):
        event, data = call(http, "search_by_id", *values)
        assert event == "error"
        assert "Traceback" not in str(data)
    assert call(http, "status")[0] == "complete"


def test_private_page_has_a_folder_field(server: Server) -> None:
    assert os.path.isdir(server.album.photos)
    config = httpx.get(f"{server.address}config").json()
    assert any(each.get("props", {}).get("elem_id") == "folder" for each in config["components"])


def test_login_of_a_public_page(server: Server, tmp_path: Path) -> None:
    """Logins are throttled, their cookie is not sent by other websites, and no answer names the library's folder."""
    with (
        running(tmp_path, server.album.library, "--public", "--auth", "me:secret") as (address, _),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        assert client.get("config").status_code == 401
        for _ in range(4):
            assert client.post("login", data={"username": "me", "password": "no"}).status_code == 400
        login = client.post("login", data={"username": "me", "password": "secret"})
        assert login.status_code == 200
        for cookie in login.headers.get_list("set-cookie"):
            assert "SameSite=Lax" in cookie
            assert "HttpOnly" in cookie
        client.cookies.update({name: value for name, value in login.cookies.items() if "unsecure" in name})
        hits = call(client, "search_by_id", 1, 3, 0, "", "")
        assert hits[0] == "complete"
        texts = [json.dumps(hits), client.get("config").text, client.get("/").text, json.dumps(call(client, "status"))]
        assert not [text for text in texts if str(server.album.library) in text or str(server.album.photos) in text]
        guesses = [client.post("login", data={"username": "me", "password": str(n)}).status_code for n in range(9)]
        assert guesses[:5] == [400] * 5
        assert guesses[-1] == 429


def test_no_request_prints_a_traceback(album: Album, tmp_path: Path) -> None:
    with running(tmp_path, album.library) as (address, _), httpx.Client(base_url=address, timeout=60) as http:
        for name, data in (
            ("search", ["/etc/passwd", 3, 0, "", ""]),
            ("search", [[1], 3, 0, "", ""]),
            ("search_by_id", [1, -5, 0, "", ""]),
        ):
            assert call(http, name, *data)[0] == "error"
        for number in (99_999, -1):
            http.post("gradio_api/run/status", json={"data": [], "fn_index": number})
        http.post("gradio_api/cancel", content=b'{"session_hash": NaN, "fn_index": 0, "event_id": "\\ud800"}')
        http.post("gradio_api/reset", content=b'{"event_id": NaN}')
        http.post("gradio_api/upload", files={"files": ("", b"photo")})
        http.get("gradio_api/info", headers={"X-Forwarded-Host": "evil.example"})
        assert "evil.example" not in http.get("gradio_api/info").text
    log = (tmp_path / "page.log").read_text()
    assert log.count("could not be handled") >= 3  # the searches above
    assert "Traceback" not in log
    assert '  File "' not in log


def test_unfinished_uploads_do_not_keep_others_out(http: httpx.Client, server: Server) -> None:
    url = urlsplit(server.address)
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1000\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(socket.create_connection((url.hostname, url.port), timeout=60))
            connection.sendall(head.encode())
        assert call(http, "status")[0] == "complete"


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\0\x01\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"POST /gradio_api/call/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /gradio_api/call/status HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
    ],
)
def test_requests_that_are_not_http_are_refused(http: httpx.Client, server: Server, request_: bytes) -> None:
    url = urlsplit(server.address)
    with suppress(ConnectionError), socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(request_)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 4")
    assert call(http, "status")[0] == "complete"


def test_no_answer_can_be_framed(http: httpx.Client) -> None:
    for path in ("/", "config", "gradio_api/info", "nothing", "login", "gradio_api/file=/etc/passwd"):
        assert http.get(path).headers["x-frame-options"] == "DENY", path
