from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from demo.guard import Guard
from demo.uploads import MAX_BYTES, MAX_TOTAL_BYTES, make_room

TOO_LARGE = b"The upload is too large. Send a photo of at most 20 MB."


class FakePage:
    """An application that reads the whole request and responds with its length."""

    def __init__(self) -> None:
        self.called = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.called = True
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(length).encode()})


def respond(
    path: str = "/", *parts: bytes, local: bool = True, method: str = "GET", space: bool = False, **headers: str
) -> tuple[int, dict[bytes, bytes], bytes, bool]:
    """Send a request, and return status, headers and body of the response, and whether the page was called."""
    fake_page = FakePage()
    guard = Guard(fake_page, local=local, thumbnails="/library/thumbnails", space=space)
    return (*send(guard, path, *parts, method=method, **headers), fake_page.called)


def send(
    guard: Guard, path: str, *parts: bytes, method: str = "GET", scheme: str = "http", **headers: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send a request, and return status, headers and body of the response."""
    request_headers = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "scheme": scheme,
        "client": ("10.0.0.1", 5),
        "server": ("127.0.0.1", 7860),
        "headers": [(k.encode(), v.encode()) for k, v in request_headers.items()],
    }
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b""})

    async def receive() -> Any:
        return waiting.pop(0)

    async def collect(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, collect))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def test_responses_have_security_headers() -> None:
    status, headers, body, _ = respond("/", b"abc")
    assert (status, body) == (200, b"3")
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"cache-control" not in headers


def test_files_are_sandboxed_and_thumbnails_cached() -> None:
    _, headers, _, _ = respond("/gradio_api/file=/tmp/a.svg")
    assert b"sandbox" in headers[b"content-security-policy"]
    assert b"cache-control" not in headers
    _, headers, _, _ = respond("/gradio_api/file=/library/thumbnails/a.jpg")
    assert b"private" in headers[b"cache-control"]


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1", "[::1]:7860"])
def test_local_host_names_are_accepted(host: str) -> None:
    assert respond(host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example:80", ""]
)
def test_other_host_names_are_rejected_on_a_local_page(host: str) -> None:
    assert respond(host=host)[::3] == (403, False)
    assert respond(host=host, local=False)[0] == 200


@pytest.mark.parametrize("local", [True, False])
def test_other_origins_are_rejected(*, local: bool) -> None:
    assert respond(origin="http://127.0.0.1:7860", local=local)[0] == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8000", "http://127.0.0.1:7860.evil.example"):
        assert respond(origin=origin, local=local)[::3] == (403, False)


def test_origin_behind_a_reverse_proxy() -> None:
    forwarded = {"x_forwarded_host": "photos.example"}
    assert respond(origin="https://photos.example", local=False, **forwarded)[0] == 200
    assert respond(origin="https://evil.example", local=False, **forwarded)[0] == 403
    several = {"x_forwarded_host": "photos.example, inner.example"}
    assert respond(origin="https://photos.example", local=False, **several)[0] == 200
    assert respond(origin="https://inner.example", local=False, **several)[0] == 403
    for origin, status in (("https://photos.example", 200), ("http://photos.example", 403)):
        assert respond(origin=origin, local=False, host="photos.example:443")[0] == status


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("local", [True, False])
def test_requests_of_other_websites_without_origin_are_rejected(site: str, *, local: bool) -> None:
    image = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
    assert respond("/gradio_api/file=/library/a.jpg", local=local, sec_fetch_site=site, **image)[::3] == (403, False)
    form = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert respond("/login", local=local, method="POST", sec_fetch_site=site, **form)[::3] == (403, False)
    assert respond("/", local=local, sec_fetch_site=site, **form)[0] == 200
    assert respond("/", local=local, sec_fetch_site="same-origin", **image)[0] == 200


def test_only_a_space_can_be_framed_by_the_hub() -> None:
    frame = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    assert respond(local=False, **frame)[0] == 403
    assert respond(local=False, space=True, **frame)[0] == 200
    _, own, _, _ = respond()
    assert b"frame-ancestors 'none'" in own[b"content-security-policy"]
    assert own[b"x-frame-options"] == b"DENY"
    _, space, _, _ = respond(local=False, space=True)
    assert b"frame-ancestors https://huggingface.co" in space[b"content-security-policy"]
    assert b"x-frame-options" not in space


@pytest.mark.parametrize("path", ["/a\x1b[2Jb", "/\r\nLocation: x", "/\x9b31m", "/a\x00"])
def test_paths_with_control_characters_are_rejected(path: str) -> None:
    assert respond(path)[::3] == (400, False)


def test_recordings_are_not_taken() -> None:
    assert respond("/gradio_api/process_recording", method="POST")[::3] == (404, False)


def test_other_unusual_characters_are_accepted() -> None:
    assert respond("/gradio_api/file=/uploads/Screenshot 3.12\u202fPM \u2764\ufe0f.png")[0] == 200


def test_other_websites_cannot_open_websockets() -> None:
    called, sent = [], []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope["path"])

    async def collect(message: Any) -> None:
        sent.append(message)

    guard = Guard(page, local=True, thumbnails="")
    for origin in (b"https://evil.example", b"http://localhost:7860"):
        headers = [(b"host", b"localhost:7860"), (b"origin", origin)]
        asyncio.run(guard({"type": "websocket", "path": "/ws", "headers": headers}, collect, collect))
    assert (called, sent) == (["/ws"], [{"type": "websocket.close"}])


class LoginPage:
    """An application that sets a cookie for the right password and refuses others."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        right = (await receive())["body"] == b"right"
        headers = [(b"set-cookie", b"token=1; HttpOnly; Path=/; SameSite=none; Secure")] if right else []
        await send({"type": "http.response.start", "status": 200 if right else 400, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def test_login_cookies_are_not_sent_by_other_websites() -> None:
    guard = Guard(LoginPage(), local=False, thumbnails="")
    _, headers, _ = send(guard, "/login", b"right", method="POST", scheme="https")
    assert headers[b"set-cookie"] == b"token=1; Path=/; HttpOnly; SameSite=Lax; Secure"


def test_guessing_passwords_is_slow() -> None:
    guard = Guard(LoginPage(), local=False, thumbnails="")

    def login(password: bytes) -> int:
        return send(guard, "/login", password, method="POST")[0]

    assert [login(b"wrong") for _ in range(4)] == [400] * 4
    assert login(b"right") == 200  # forgets the failures
    statuses = [login(b"wrong") for _ in range(12)]
    assert statuses[:5] == [400] * 5
    assert statuses[-1] == 429
    assert login(b"right") == 429


def test_uploads_have_a_total_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(bytes(100))
    assert make_room(tmp_path, total=500)
    assert not make_room(tmp_path, total=250)  # all are newer than a minute
    created = {each.name: each.stat().st_ctime for each in tmp_path.iterdir()}
    monkeypatch.setattr("time.time", lambda: max(created.values()) + 61)  # a minute later, without waiting for it
    assert make_room(tmp_path, total=250)
    assert len(list(tmp_path.iterdir())) == 2
    guard = Guard(FakePage(), local=True, thumbnails="", uploads=tmp_path)
    assert send(guard, "/gradio_api/upload", b"photo", method="POST")[0] == 200
    monkeypatch.undo()
    os.truncate(next(tmp_path.iterdir()), MAX_TOTAL_BYTES)  # a sparse file
    assert send(guard, "/gradio_api/upload", b"photo", method="POST")[0] == 503


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://a.example/x",
        "/gradio_api/file=HTTPS://a.example",
        "/gradio_api/proxy=x",
        "/file=http:/a",
    ],
)
def test_paths_with_urls_are_rejected(path: str) -> None:
    assert respond(path)[::3] == (403, False)


def test_request_size_limit() -> None:
    assert respond("/", bytes(MAX_BYTES))[2] == str(MAX_BYTES).encode()
    for length in (str(MAX_BYTES * 2), "-1", "many"):
        status, headers, body, called = respond("/", content_length=length)
        assert (status, body, called) == (413, TOO_LARGE, False)
        assert headers[b"connection"] == b"close"
    status, _, body, _ = respond("/", *[bytes(1_000_000)] * 30)
    assert (status, body) == (413, TOO_LARGE)


class BrokenPage:
    """An application that fails, before or after the response has begun."""

    def __init__(self, *, started: bool) -> None:
        self._started = started

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("\x1b[31m secret\nline")


def test_errors_are_one_line_for_the_operator(capfd: pytest.CaptureFixture[str]) -> None:
    guard = Guard(BrokenPage(started=False), local=True, thumbnails="")
    status, _, body = send(guard, "/gradio_api/run/x", method="POST")
    assert (status, body) == (500, b"The page could not answer this request.")
    error = capfd.readouterr().err
    assert error.startswith("POST /gradio_api/run/x: KeyError:")
    assert "\x1b" not in error
    assert error.count("\n") == 1


def test_kept_descriptions_name_this_server() -> None:
    """Gradio keeps the description of the API with the name of the server in the first request."""
    seen: list[dict[bytes, bytes]] = []

    async def page(scope: Any, receive: Any, respond: Any) -> None:
        seen.append(dict(scope["headers"]))
        await respond({"type": "http.response.start", "status": 200, "headers": []})
        await respond({"type": "http.response.body", "body": b""})

    guard = Guard(page, local=False, thumbnails="")
    for path in ("/gradio_api/info", "/gradio_api/info/", "/config"):
        send(guard, path, host="evil.example", x_forwarded_host="evil.example", x_forwarded_proto="https")
    assert [each[b"host"] for each in seen] == [b"127.0.0.1:7860", b"127.0.0.1:7860", b"evil.example"]
    assert [b"x-forwarded-host" in each for each in seen] == [False, False, True]
