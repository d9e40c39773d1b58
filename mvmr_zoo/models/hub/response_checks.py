"""Check what a server answers before huggingface_hub uses it for paths, transfers and further requests."""

from __future__ import annotations

import re
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


@contextmanager
def checked_responses(max_bytes: int) -> Iterator[None]:
    """Refuse responses to huggingface_hub that could harm this machine.

    Args:
        max_bytes: Size of the largest file that is received.

    Raises:
        HubError: Inside the block, for a header that is not a plain name, or a file that is too large or of unstated
            size.
    """
    from huggingface_hub import get_session

    def check(response: Any) -> None:
        _check_response(response, max_bytes)

    client = get_session()
    hooks: dict[str, list[Any]] = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks.get("response", []), check]}
    try:
        yield
    finally:
        now = client.event_hooks
        client.event_hooks = {**now, "response": [hook for hook in now.get("response", []) if hook is not check]}


def _check_response(response: Any, max_bytes: int) -> None:
    host = urlsplit(str(response.request.url)).hostname or ""
    if response.request.method == "HEAD":
        for name in _PATH_HEADERS:
            value = response.headers.get(name)
            if value is not None and not _PLAIN_NAME.fullmatch(value.removeprefix("W/").strip('"')):
                raise HubError(f"{host} sent the header {name} {printable(value[:60])!r}, which is not a plain name.")
        if host != _XET_HOST:
            for name in _XET_HEADERS:
                response.headers.pop(name, None)
    elif response.request.method == "GET" and response.status_code in (200, 206):
        length = response.headers.get("content-length", "")
        if not length.isdecimal():
            raise HubError(f"{host} does not state the size of the file.")
        if int(length) > max_bytes:
            raise HubError(f"{host} sends {int(length):,} bytes, but the file may have at most {max_bytes:,}.")
