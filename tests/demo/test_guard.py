from __future__ import annotations

import asyncio
from typing import Any

import pytest

from demo.guard import Guard
from demo.uploads import MAX_BYTES


class Inner:
    """The page: reads the whole request, answers how long it was."""

    def __init__(self) -> None:
        self.asked = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked = True
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(length).encode()})


def answer(
    path: str = "/", *parts: bytes, local: bool = True, **headers: str
) -> tuple[int, dict[bytes, bytes], bytes, bool]:
    """Status, headers and body of the answer to a request, and whether the page was asked at all."""
    inner = Inner()
    guard = Guard(inner, local=local, thumbnails="/library/thumbnails")
    asked = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"type": "http", "path": path, "headers": [(k.encode(), v.encode()) for k, v in asked.items()]}
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b""})

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"], inner.asked


def test_what_is_let_through_is_marked() -> None:
    status, headers, body, _ = answer("/", b"abc")
    assert (status, body) == (200, b"3")
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"cache-control" not in headers


def test_files_may_run_nothing_and_thumbnails_are_kept() -> None:
    _, headers, _, _ = answer("/gradio_api/file=/tmp/a.svg")
    assert b"sandbox" in headers[b"content-security-policy"]
    assert b"cache-control" not in headers
    _, headers, _, _ = answer("/gradio_api/file=/library/thumbnails/a.jpg")
    assert b"private" in headers[b"cache-control"]


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1", "[::1]:7860"])
def test_names_of_this_machine(host: str) -> None:
    assert answer(host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example:80", ""]
)
def test_other_names_are_refused_only_where_the_page_is_local(host: str) -> None:
    assert answer(host=host)[::3] == (403, False)
    assert answer(host=host, local=False)[0] == 200


def test_pages_of_other_sites_are_refused() -> None:
    assert answer(origin="http://127.0.0.1:7860")[0] == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8000", "http://127.0.0.1:7860.evil.example"):
        assert answer(origin=origin)[::3] == (403, False)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://a.example/x",
        "/gradio_api/file=HTTPS://a.example",
        "/gradio_api/proxy=x",
        "/file=http:/a",
    ],
)
def test_other_servers_are_not_asked(path: str) -> None:
    assert answer(path)[::3] == (403, False)


def test_lengths() -> None:
    assert answer("/", bytes(MAX_BYTES))[2] == str(MAX_BYTES).encode()
    for length in (str(MAX_BYTES * 2), "-1", "many"):
        status, headers, body, asked = answer("/", content_length=length)
        assert (status, body, asked) == (413, b"Photos of at most 20 MB are taken.", False)
        assert headers[b"connection"] == b"close"
    status, _, body, _ = answer("/", *[bytes(1_000_000)] * 30)
    assert (status, body) == (413, b"Photos of at most 20 MB are taken.")
