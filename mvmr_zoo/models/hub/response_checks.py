"""Check what a server answers before huggingface_hub uses it for paths, transfers and further requests."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from mvmr_zoo.errors import HubError, printable

_PLAIN_NAME = re.compile(r"[0-9A-Za-z_-]{1,128}")
_PATH_HEADERS = ("etag", "x-linked-etag", "x-repo-commit")
"""Headers that become names of files and folders in the cache."""

_XET_HEADERS = ("x-xet-hash", "x-xet-refresh-route", "link")
"""Headers that name another server, which receives the token."""

_XET_HOST = "huggingface.co"
"""Endpoint whose headers may name another server. Its mirrors send files themselves."""

_MAX_COMPRESSED_BYTES = 1_000_000
"""Largest size of a compressed response. The Hub compresses text files, for example `config.json`."""


@contextmanager
def checked_responses(max_bytes: int) -> Iterator[None]:
    """Refuse responses to huggingface_hub that could harm this machine.

    Args:
        max_bytes: Largest size of a file that is accepted.

    Raises:
        HubError: Inside the block, for a header that is not a plain name, or a file that is too large.
    """
    from huggingface_hub import get_session

    thread = threading.get_ident()

    def check(response: Any) -> None:
        if threading.get_ident() == thread:  # the client is shared with all threads of the process
            _check_response(response, max_bytes)

    hooks: list[Any] = get_session().event_hooks.setdefault("response", [])
    hooks.append(check)
    try:
        yield
    finally:
        hooks.remove(check)


def _check_response(response: Any, max_bytes: int) -> None:
    host = urlsplit(str(response.request.url)).hostname or ""
    if response.request.method == "HEAD":
        # the etag of an error does not become a path, and has another form
        names = _PATH_HEADERS if response.status_code < 400 else _PATH_HEADERS[-1:]
        for name in names:
            value = response.headers.get(name)
            if value is not None and not _PLAIN_NAME.fullmatch(value.removeprefix("W/").strip('"')):
                raise HubError(f"{host} sent the header {name} {printable(value[:60])!r}, which is not a plain name.")
        if host != _XET_HOST:
            for name in _XET_HEADERS:
                response.headers.pop(name, None)
    elif response.request.method == "GET" and response.status_code in (200, 206):
        if "content-encoding" in response.headers:
            max_bytes = min(max_bytes, _MAX_COMPRESSED_BYTES)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > max_bytes:
            raise _too_large(host, max_bytes)
        response.stream = _limited(response, max_bytes, host)


def _limited(response: Any, max_bytes: int, host: str) -> Any:
    """The stream of a response, which raises HubError after `max_bytes`, because the stated length may be absent."""
    http = sys.modules[type(response).__module__.partition(".")[0]]  # huggingface_hub has used httpx and httpx2

    class LimitedStream(http.SyncByteStream):  # type: ignore[misc,name-defined]  # the library is known at run time
        def __iter__(self) -> Iterator[bytes]:
            received = 0
            for block in stream:
                received += len(block)
                if received > max_bytes:
                    raise _too_large(host, max_bytes)
                yield block

        def close(self) -> None:
            stream.close()

    stream = response.stream
    return LimitedStream()


def _too_large(host: str, max_bytes: int) -> HubError:
    return HubError(f"{host} sends more than {max_bytes:,} bytes, the most that this file may have.")
