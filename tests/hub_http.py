"""What both origins of `HubServer` share: requests, faults, files by range; and the origin of large files."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import time
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from .hub_server import HubServer


@dataclass
class Request:
    """One request, as it came."""

    method: str
    path: str
    range: str | None
    authorized: bool


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose `METHOD path` matches.

    Without `status`, the answer is right but for `headers`, which take the place of its own. An empty one is left out.
    """

    pattern: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    flood: bool = False
    """The body never ends, and its length is not stated."""
    compress: bool = False
    """The body is compressed, and its length is not stated, as the real Hub sends text files."""
    stall_s: float = 0
    """With `cut`: wait so long between half of the body and closing the connection."""


class Handler(BaseHTTPRequestHandler):
    """Logs a request, fails it where a fault says so, else has it answered."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle_one(self) -> None:
        self.path = unquote(self.path)
        self.route = urlsplit(self.path).path
        self.query = parse_qs(urlsplit(self.path).query)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        with self.hub.lock:
            self.hub.requests.append(
                Request(self.command, self.path, self.headers.get("Range"), "Authorization" in self.headers)
            )
        self.fault = self.hub.fault_of(self.command, self.path)
        if self.fault is not None and self.fault.status is not None:
            return self.fail(self.fault.status, "Made to fail", headers=self.fault.headers)
        self.answer_request()
        return None

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one

    @abstractmethod
    def answer_request(self) -> None:
        """Each origin's own."""

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        wrong = dict(self.fault.headers) if self.fault is not None else {}
        if self.fault is not None and (self.fault.flood or self.fault.compress) and self.command == "GET":
            wrong |= {"Content-Length": "", "Connection": "close"}
            self.close_connection = True
        if self.fault is not None and self.fault.compress and self.command == "GET":
            body, wrong["Content-Encoding"] = gzip.compress(body), "gzip"
        for name, value in {"Content-Length": str(len(body)), **(headers or {}), **wrong}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault is not None and self.fault.cut:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(self.fault.stall_s)
            self.close_connection = True
            return
        self.wfile.write(body)
        with suppress(OSError):  # until the client has had enough
            while self.fault is not None and self.fault.flood:
                self.wfile.write(bytes(1 << 20))

    def json(self, values: Any, status: int = 200) -> None:
        self.send(status, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def fail(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> None:
        told = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
        body = json.dumps({"error": message}).encode()
        self.send(status, body, {"Content-Type": "application/json", **told})

    def send_file(self, path: Path, headers: dict[str, str]) -> None:
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not wanted:
            return self.send(200, data, {"Accept-Ranges": "bytes", **headers})
        first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
        if first >= len(data):
            return self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        part = data[first : last + 1]
        return self.send(206, part, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(data)}", **headers})


class CdnHandler(Handler):
    """The second origin: large files, by address alone."""

    def answer_request(self) -> None:
        if "Authorization" in self.headers:
            return self.fail(400, "A token was sent to the wrong origin")
        path = self.hub.blob(self.route.removeprefix("/"))
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != path.name:
                return self.fail(400, "The upload is not what its oid says")
            path.write_bytes(self.body)
            return self.send(200)
        return self.send_file(path, {}) if path.exists() else self.fail(404, "No such file")
