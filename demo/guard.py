"""Middleware that rejects unwanted requests and adds security headers to responses.

Gradio checks file access and logins itself. This module adds protection for private photos: neither the server nor the
browser fetches anything from other servers, other websites cannot use a local page, and large requests are aborted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.uploads import MAX_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FORM_OVERHEAD_BYTES = 100_000
_CLOSE = (b"connection", b"close")
"""Prevents the server from reading the rest of a request that is too large."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_FILES = "/gradio_api/file="
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_THUMBNAIL_CACHE_CONTROL = "private, max-age=86400"


class _TooLarge(Exception):
    """The body of a request exceeds the upload limit."""


class Guard:
    """ASGI middleware that rejects unwanted requests.

    Args:
        app: Wrapped application.
        local: Accept only requests with a local host name and from the page itself. This prevents DNS rebinding and
            requests from other websites.
        thumbnails: Folder of thumbnails. Browsers may cache its files, because they never change.
    """

    def __init__(self, app: ASGIApp, *, local: bool, thumbnails: str) -> None:
        self._app, self._local, self._thumbnails = app, local, thumbnails

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or reject it with a one-line response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        rejection = self._rejection(scope["path"], headers)
        if rejection is not None:
            await _reject(send, *rejection)
            return
        await self._handle_limited(scope, receive, send)

    def _rejection(self, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        lower = path.lower()
        if "http:/" in lower or "https:/" in lower or "/proxy=" in lower:
            return 403, "This page does not fetch from other servers."
        if self._local:
            host, origin = headers.get("host", ""), headers.get("origin")
            if host.rpartition(":")[0] not in _LOCAL_NAMES and host not in _LOCAL_NAMES:
                return 403, "This page is only available at 127.0.0.1 or localhost."
            if origin is not None and origin.partition("://")[2] != host:
                return 403, "Requests from other websites are not allowed."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BYTES + _FORM_OVERHEAD_BYTES:
            return 413, _too_large_message()
        return None

    async def _handle_limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request and abort it if its body exceeds the limit."""
        received, started = 0, False

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BYTES + _FORM_OVERHEAD_BYTES:
                raise _TooLarge
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                added = self._response_headers(scope["path"]) + ([_CLOSE] if message["status"] == 413 else [])
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        try:
            await self._app(scope, receive_limited, send_with_headers)
        except _TooLarge:
            if not started:
                await _reject(send, 413, _too_large_message())

    def _response_headers(self, path: str) -> list[tuple[bytes, bytes]]:
        is_file = path.startswith(_FILES)
        headers = {
            "content-security-policy": _FILE_POLICY if is_file else _PAGE_POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        if path.startswith(_FILES + self._thumbnails):
            headers["cache-control"] = _THUMBNAIL_CACHE_CONTROL
        return [(name.encode(), value.encode()) for name, value in headers.items()]


def _too_large_message() -> str:
    return f"The upload is too large. Send a photo of at most {MAX_BYTES / 1e6:.0f} MB."


async def _reject(send: Send, status: int, line: str) -> None:
    body = line.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        _CLOSE,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
