"""Middleware that rejects unwanted requests and adds security headers to responses.

Gradio checks file access and logins itself. This module adds protection for private photos: neither the server nor the
browser fetches anything from other servers, other websites can neither use nor frame the page, passwords cannot be
guessed quickly, and large requests are aborted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from demo.throttle import LoginThrottle, UploadQuota
from demo.uploads import MAX_BYTES
from mvmr_zoo.errors import one_line, printable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FORM_OVERHEAD_BYTES = 100_000
_CLOSE = (b"connection", b"close")
"""Prevents the server from reading the rest of a request that is too large."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_FILES = "/gradio_api/file="
_LOGIN = "/login"
_UPLOAD = "/gradio_api/upload"
_DESCRIPTIONS = ("/gradio_api/info", "/gradio_api/openapi.json", "/info", "/openapi.json")
"""Gradio keeps these responses, with the name of the server from the first request."""

_RECORDING = "/gradio_api/process_recording"
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors "
)
_SPACE_FRAMES = "https://huggingface.co"
"""The website that shows the page of a Space in a frame."""

_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_THUMBNAIL_CACHE_CONTROL = "private, max-age=86400"


class _TooLarge(Exception):
    """The body of a request exceeds the upload limit."""


def log_error(what: str, error: BaseException) -> None:
    """Tell the operator in one line what could not be answered. Visitors can cause errors with any content."""
    line = printable(one_line(f"{what}: {type(error).__name__}: {error}"))
    print(line, file=sys.stderr)


class Guard:
    """ASGI middleware that rejects unwanted requests.

    Args:
        app: Wrapped application.
        local: Accept only requests with a local host name. This prevents DNS rebinding.
        thumbnails: Folder of thumbnails. Browsers may cache its files, because they never change.
        uploads: Folder of uploaded photos, whose total size is limited. None does not limit it.
        space: The page is a Hugging Face Space, which the website of the Hub shows in a frame.
    """

    def __init__(
        self, app: ASGIApp, *, local: bool, thumbnails: str, uploads: Path | None = None, space: bool = False
    ) -> None:
        self._app, self._local, self._thumbnails, self._space = app, local, thumbnails, space
        self._throttle = LoginThrottle()
        self._quota = None if uploads is None else UploadQuota(uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or reject it with a one-line response."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        rejection = self._rejection(scope, headers)
        if scope["type"] == "websocket":
            await (self._app(scope, receive, send) if rejection is None else send({"type": "websocket.close"}))
        elif rejection is not None:
            await _reject(send, *rejection)
        elif self._quota is not None and scope["method"] == "POST" and scope["path"].rstrip("/") == _UPLOAD:
            await self._handle_upload(self._quota, headers, scope, receive, send)
        else:
            await self._handle_limited(scope, receive, send)

    async def _handle_upload(
        self, quota: UploadQuota, headers: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        length = int(headers.get("content-length", MAX_BYTES + _FORM_OVERHEAD_BYTES))
        refusal = quota.begin(_client(scope), length)
        if refusal is not None:
            await _reject(send, *refusal)
            return
        try:
            await self._handle_limited(scope, receive, send)
        finally:
            quota.end(length)

    def _rejection(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        path, method = scope["path"], scope.get("method", "GET")
        if any(character < " " or "\x7f" <= character < "\xa0" for character in path):
            return 400, "The address contains control characters."
        lower = path.lower()
        if "http:/" in lower or "https:/" in lower or "/proxy=" in lower:
            return 403, "This page does not fetch from other servers."
        host = headers.get("host", "")
        if self._local and host.rpartition(":")[0] not in _LOCAL_NAMES and host not in _LOCAL_NAMES:
            return 403, "This page is only available at 127.0.0.1 or localhost."
        if self._is_cross_site(method, host, headers):
            return 403, "Requests from other websites are not allowed."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BYTES + _FORM_OVERHEAD_BYTES:
            return 413, _too_large_message()
        if method == "POST" and path.rstrip("/") == _LOGIN:
            wait_s = self._throttle.begin(_client(scope))
            if wait_s > 0:
                return 429, f"Too many failed logins. Try again in {wait_s:.0f} s."
        if path.rstrip("/") == _RECORDING:
            return 404, "This page does not accept recordings."
        return None

    def _is_cross_site(self, method: str, host: str, headers: dict[str, str]) -> bool:
        """Whether another website sent the request. Following a link to the page does not count."""
        origin = headers.get("origin")
        # browsers do not let other websites set X-Forwarded-Host; a reverse proxy sets it when it changes Host
        if origin is not None:
            scheme, _, own = origin.partition("://")
            forwarded = headers.get("x-forwarded-host", host).partition(",")[0].strip()
            if _without_port(own, scheme) not in (_without_port(host, scheme), _without_port(forwarded, scheme)):
                return True
        if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
            return False
        frames = ("document", "iframe") if self._space else ("document",)
        opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in frames
        return not (method in ("GET", "HEAD") and opened)

    async def _handle_limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request and abort it if its body exceeds the limit."""
        received, started, disconnected = 0, False, False

        async def receive_limited() -> Message:
            nonlocal received, disconnected
            message = await receive()
            disconnected = message["type"] == "http.disconnect"
            received += len(message.get("body", b""))
            if received > MAX_BYTES + _FORM_OVERHEAD_BYTES:
                raise _TooLarge
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if scope.get("method") == "POST" and scope["path"].rstrip("/") == _LOGIN and message["status"] == 200:
                    self._throttle.succeeded(_client(scope))
                added = self._response_headers(scope["path"]) + ([_CLOSE] if message["status"] == 413 else [])
                secure = scope.get("scheme") == "https"
                own = [
                    (name, _strict(value, secure) if name == b"set-cookie" else value)
                    for name, value in message.get("headers", ())
                ]
                message = {**message, "headers": [*own, *added]}
            await send(message)

        try:
            await self._app(_described_as(scope), receive_limited, send_with_headers)
        except _TooLarge:
            if not started:
                await _reject(send, 413, _too_large_message())
        except Exception as error:  # what a visitor sends can cause any error in Gradio
            if disconnected:
                return
            log_error(f"{scope['method']} {scope['path']}", error)
            if not started:
                await _reject(send, 500, "The page could not answer this request.")

    def _response_headers(self, path: str) -> list[tuple[bytes, bytes]]:
        is_file = path.startswith(_FILES)
        page_policy = _PAGE_POLICY + (_SPACE_FRAMES if self._space else "'none'")
        headers = {
            "content-security-policy": _FILE_POLICY if is_file else page_policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        if not self._space:
            headers["x-frame-options"] = "DENY"
        if path.startswith(_FILES + self._thumbnails):
            headers["cache-control"] = _THUMBNAIL_CACHE_CONTROL
        return [(name.encode(), value.encode()) for name, value in headers.items()]


def _described_as(scope: Scope) -> Scope:
    """The request, with this server's own address in place of names that the client chose if the response is kept."""
    server = scope.get("server")
    if scope["path"].rstrip("/") not in _DESCRIPTIONS or server is None:
        return scope
    own = [(name, value) for name, value in scope["headers"] if name != b"host" and b"forwarded" not in name]
    host = f"[{server[0]}]" if ":" in server[0] else server[0]
    return {**scope, "headers": [*own, (b"host", f"{host}:{server[1]}".encode())]}


def _without_port(host: str, scheme: str) -> str:
    """The host without the default port of a scheme, which browsers leave out of an origin and some proxies add."""
    return host.removesuffix({"http": ":80", "https": ":443"}.get(scheme, "\0"))


def _client(scope: Scope) -> str:
    """The address of the client. Behind a reverse proxy on this machine, the server has put the real one here."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _strict(cookie: bytes, secure: bool) -> bytes:
    """A cookie that scripts cannot read and that browsers do not send with requests from other websites.

    Args:
        cookie: Value of the header Set-Cookie.
        secure: The page was requested by HTTPS, so the cookie is never sent without it.
    """
    dropped = {b"samesite", b"httponly"} | ({b"secure"} if secure else set())
    kept = [part for part in cookie.split(b"; ") if part.partition(b"=")[0].strip().lower() not in dropped]
    return b"; ".join([*kept, b"HttpOnly", b"SameSite=Lax", *([b"Secure"] if secure else [])])


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
