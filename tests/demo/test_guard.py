from __future__ import annotations

import asyncio
from typing import Any

import pytest

from demo.guard import Guard
from demo.uploads import MAX_BYTES

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
    path: str = "/", *parts: bytes, local: bool = True, **headers: str
) -> tuple[int, dict[bytes, bytes], bytes, bool]:
    """Send a request, and return status, headers and body of the response, and whether the page was called."""
    fake_page = FakePage()
    guard = Guard(fake_page, local=local, thumbnails="/library/thumbnails")
    request_headers = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"type": "http", "path": path, "headers": [(k.encode(), v.encode()) for k, v in request_headers.items()]}
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b""})

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"], fake_page.called


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


def test_other_origins_are_rejected() -> None:
    assert respond(origin="http://127.0.0.1:7860")[0] == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8000", "http://127.0.0.1:7860.evil.example"):
        assert respond(origin=origin)[::3] == (403, False)


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
