"""Requests that are refused before they reach the page, and what browsers are told about its answers.

Gradio checks files and logins itself. This adds what a page of private photos wants besides: nothing is fetched from
other servers, by us or by the browser; other web sites cannot use a page on this machine; large requests end early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.uploads import MAX_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ROOM_FOR_FORM = 100_000
_CLOSE = (b"connection", b"close")
"""Without it the rest of a request that is too large would still be read."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_FILES = "/gradio_api/file="
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_THUMBNAIL_KEPT = "private, max-age=86400"


class _TooLarge(Exception):
    """A request's body is longer than an upload may be."""


class Guard:
    """ASGI middleware.

    Args:
        app: that answers what is not refused.
        local: the page is for this machine only: refuse requests that came by another name, as DNS rebinding makes
            them, and those that another site's page sends.
        thumbnails: folder of files that never change.
    """

    def __init__(self, app: ASGIApp, *, local: bool, thumbnails: str) -> None:
        self._app, self._local, self._thumbnails = app, local, thumbnails

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with one line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope["path"], headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        await self._limited(scope, receive, send)

    def _refusal(self, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        lower = path.lower()
        if "http:/" in lower or "https:/" in lower or "/proxy=" in lower:
            return 403, "Other servers are not asked from here."
        if self._local:
            host, origin = headers.get("host", ""), headers.get("origin")
            if host.rpartition(":")[0] not in _LOCAL_NAMES and host not in _LOCAL_NAMES:
                return 403, "This page is for this machine only, by the name 127.0.0.1 or localhost."
            if origin is not None and origin.partition("://")[2] != host:
                return 403, "Another site's page may not use this one."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BYTES + _ROOM_FOR_FORM:
            return 413, _too_large()
        return None

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as long as the request is no longer than it may be."""
        seen, begun = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BYTES + _ROOM_FOR_FORM:
                raise _TooLarge
            return message

        async def told(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                added = self._added(scope["path"]) + ([_CLOSE] if message["status"] == 413 else [])
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        try:
            await self._app(scope, counted, told)
        except _TooLarge:
            if not begun:
                await _refuse(send, 413, _too_large())

    def _added(self, path: str) -> list[tuple[bytes, bytes]]:
        is_file = path.startswith(_FILES)
        headers = {
            "content-security-policy": _FILE_POLICY if is_file else _PAGE_POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        if path.startswith(_FILES + self._thumbnails):
            headers["cache-control"] = _THUMBNAIL_KEPT
        return [(name.encode(), value.encode()) for name, value in headers.items()]


def _too_large() -> str:
    return f"Photos of at most {MAX_BYTES / 1e6:.0f} MB are taken."


async def _refuse(send: Send, status: int, line: str) -> None:
    body = line.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        _CLOSE,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
