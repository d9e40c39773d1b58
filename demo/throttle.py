"""Limits of logins and uploads per address."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from demo.uploads import MAX_TOTAL_BYTES, make_room


class LoginThrottle:
    """Makes guessing a password slow. After some failed logins, an address must wait before each further one.

    Args:
        clock: Function that returns the time in seconds.
    """

    FREE_ATTEMPTS = 5
    MAX_WAIT_S = 300.0
    _MAX_ADDRESSES = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, _Attempts] = OrderedDict()

    def begin(self, address: str) -> float:
        """Count a login as failed until `succeeded` is called. Returns the seconds to wait first, or 0 if it may begin.

        Refused attempts are not counted.
        """
        key, now = _network(address), self._clock()
        attempts = self._failed.get(key, _Attempts(0, now))
        extra = attempts.failures - self.FREE_ATTEMPTS
        wait_s = 0.0 if extra < 0 else attempts.last + min(2.0 ** min(extra, 16), self.MAX_WAIT_S) - now
        if wait_s > 0:
            return wait_s
        self._failed[key] = _Attempts(attempts.failures + 1, now)
        self._failed.move_to_end(key)
        if len(self._failed) > self._MAX_ADDRESSES:
            self._failed.popitem(last=False)
        return 0.0

    def succeeded(self, address: str) -> None:
        """Forget the failed logins of an address."""
        self._failed.pop(_network(address), None)


class _Attempts(NamedTuple):
    failures: int
    last: float


def _network(address: str) -> str:
    """The address, or the /64 network of an IPv6 address, because one machine has all addresses of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


class UploadQuota:
    """Limits what one address uploads in a minute, and what is uploaded at the same time.

    Args:
        folder: Folder of uploaded photos.
        clock: Function that returns the time in seconds.
    """

    BYTES_PER_MINUTE = 100_000_000
    _MAX_ADDRESSES = 10_000

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._recent: OrderedDict[str, _Uploads] = OrderedDict()
        self._running_bytes = 0

    def begin(self, address: str, length: int) -> tuple[int, str] | None:
        """Reserve space for an upload until `end` is called. Returns a status and a line if it is refused."""
        key, now = _network(address), self._clock()
        uploads = self._recent.get(key, _Uploads(now, 0))
        if now - uploads.since > 60:
            uploads = _Uploads(now, 0)
        if uploads.size + length > self.BYTES_PER_MINUTE:
            return 429, "You uploaded many photos in the last minute. Try again in a minute."
        if not make_room(self._folder, total=MAX_TOTAL_BYTES - self._running_bytes - length):
            return 503, "Too many photos were uploaded in the last minute. Try again in a minute."
        self._recent[key] = _Uploads(uploads.since, uploads.size + length)
        self._recent.move_to_end(key)
        if len(self._recent) > self._MAX_ADDRESSES:
            self._recent.popitem(last=False)
        self._running_bytes += length
        return None

    def end(self, length: int) -> None:
        """Release the space of an upload. Its file counts from now on."""
        self._running_bytes -= length


class _Uploads(NamedTuple):
    since: float
    size: int
