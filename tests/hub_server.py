"""A small Hugging Face Hub on loopback, storing files on disk: what huggingface_hub speaks, and no more.

    python -m tests.hub_server ROOT        # then HF_ENDPOINT=http://127.0.0.1:PORT

Repositories, commits, tags, LFS uploads, resolving with etags and ranges, tokens, private and gated repositories.
Large files are served from a second origin, as the real Hub's are, which must never see a token. `Faults` make it
answer with errors or cut a transfer. Written from huggingface_hub's own client code.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from .hub_storage import LFS_SUFFIXES, HubStorage

OWNER, READER = "hf_ownerTokenSecret000000000000000000", "hf_readerTokenSecret00000000000000000"
"""Tokens: the owner's may write to `org`, the reader's may read nothing that is private."""


@dataclass
class Request:
    """One request, as it came."""

    method: str
    path: str
    range: str | None
    authorized: bool


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose `METHOD path` matches."""

    pattern: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    stall_s: float = 0
    """With `cut`: wait so long between half of the body and closing the connection."""


class HubServer(HubStorage):
    """The server; use it as a context manager.

    Args:
        root: folder of its repositories and files.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler(kind)) for kind in (_Hub, _Cdn)]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> HubServer:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(self, kind: type[_Handler]) -> type[_Handler]:
        return type(kind.__name__, (kind,), {"hub": self})

    def fault_of(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, f"{method} {path}"):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
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

    def answer_request(self) -> None:
        raise NotImplementedError

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
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


class _Cdn(_Handler):
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


class _Hub(_Handler):
    """The API."""

    def answer_request(self) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in (OWNER, READER):
            return self.fail(401, "Invalid credentials in Authorization header")
        self.owner = token == OWNER
        for method, pattern, name in _ROUTES:
            found = re.fullmatch(pattern, self.route)
            if found and self.command in method:
                act: Callable[..., None] = getattr(self, name)
                return act(*found.groups())
        return self.fail(404, f"No route for {self.command} {self.route}")

    def visible(self, repo: str) -> dict[str, Any] | None:
        """The repository, where the caller may see it; the answer is sent where not."""
        found = self.hub.read(repo)
        if found is None or (found["private"] and not self.owner):
            self.fail(401 if not self.owner else 404, "Repository not found", "RepoNotFound")
            return None
        return found

    def revision(self, found: dict[str, Any], revision: str) -> str | None:
        commit = {**found["refs"], **found["tags"]}.get(revision, revision)
        if commit not in found["commits"]:
            self.fail(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            return None
        return commit

    def create(self) -> None:
        given = json.loads(self.body)
        repo = f"{given['organization']}/{given['name']}"
        url = {"url": f"{self.hub.endpoint}/{repo}", "name": repo, "id": "0" * 24}
        if not self.owner or given["organization"] != "org":
            return self.fail(403, "You don't have the rights to create a model under this namespace")
        if self.hub.read(repo) is not None:
            return self.json({"error": "You already created this model repo", **url}, 409)
        first = hashlib.sha1(repo.encode()).hexdigest()
        private = given.get("visibility") == "private" or bool(given.get("private"))
        self.hub.write(
            repo,
            {"private": private, "gated": False, "refs": {"main": first}, "tags": {}, "commits": {first: {}}},
        )
        return self.json(url)

    def validate_yaml(self) -> None:
        content = json.loads(self.body)["content"]
        front = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        if front is None:
            return self.json({"errors": [], "warnings": [{"message": "empty or missing yaml metadata"}]})
        try:
            values = yaml.safe_load(front[1])
            assert isinstance(values["license"], str), '"license" must be a string'
            for model in values.get("model-index", []):
                for result in model["results"]:
                    assert result["task"]["type"], '"task.type" is missing'
                    assert result["dataset"]["name"], '"dataset.name" is missing'
                    assert result["dataset"]["type"], '"dataset.type" is missing'
                    assert all("value" in metric for metric in result["metrics"]), '"metrics.value" is missing'
        except (yaml.YAMLError, AssertionError, KeyError) as error:
            return self.json({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return self.json({"errors": [], "warnings": []})

    def preupload(self, repo: str, revision: str) -> None:
        if self.visible(repo) is None:
            return
        if not self.owner:
            return self.fail(403, "This token may not write")
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.json({"files": files, "revision": revision})

    def lfs_batch(self, repo: str) -> None:
        if self.visible(repo) is None:
            return
        objects = []
        for each in json.loads(self.body)["objects"]:
            known = {"oid": each["oid"], "size": each["size"]}
            if not self.hub.blob(each["oid"]).exists():
                known["actions"] = {
                    "upload": {"href": f"{self.hub.cdn}/{each['oid']}"},
                    "verify": {"href": f"{self.hub.endpoint}/{repo}.git/info/lfs/verify"},
                }
            objects.append(known)
        self.json({"transfer": "basic", "objects": objects})

    def lfs_verify(self, repo: str) -> None:
        given = json.loads(self.body)
        path = self.hub.blob(given["oid"])
        if not path.exists() or path.stat().st_size != given["size"]:
            return self.fail(404, "The object is not here")
        return self.json({})

    def commit(self, repo: str, revision: str) -> None:
        with self.hub.lock:
            found = self.hub.read(repo)
        if found is None or not self.owner:
            return self.fail(403, "This token may not write")
        files = dict(found["commits"][found["refs"][revision]])
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                data = base64.b64decode(value["content"])
                sha256 = hashlib.sha256(data).hexdigest()
                self.hub.blob(sha256).write_bytes(data)
                files[value["path"]] = {"sha256": sha256, "size": len(data), "lfs": False}
            elif operation["key"] == "lfsFile":
                blob = self.hub.blob(value["oid"])
                if not blob.exists():
                    return self.fail(400, f"LFS object {value['oid']} was never uploaded")
                files[value["path"]] = {"sha256": value["oid"], "size": blob.stat().st_size, "lfs": True}
            elif operation["key"] == "deletedFile":
                files.pop(value["path"])
        oid = hashlib.sha1(json.dumps([len(found["commits"]), files]).encode()).hexdigest()
        found["commits"][oid], found["refs"][revision] = files, oid
        with self.hub.lock:
            self.hub.write(repo, found)
        return self.json({"success": True, "commitOid": oid, "commitUrl": f"{self.hub.endpoint}/{repo}/commit/{oid}"})

    def model_info(self, repo: str, revision: str | None = None) -> None:
        found = self.visible(repo)
        if found is None or (commit := self.revision(found, revision or "main")) is None:
            return
        self.json(
            {
                "_id": "0" * 24, "id": repo, "modelId": repo, "sha": commit, "private": found["private"],
                "gated": found["gated"], "tags": [], "downloads": 0, "likes": 0,
                "siblings": [{"rfilename": name} for name in found["commits"][commit]],
            }
        )  # fmt: skip

    def tree(self, repo: str, revision: str) -> None:
        found = self.visible(repo)
        if found is None or (commit := self.revision(found, revision)) is None:
            return
        entries = []
        for name, file in found["commits"][commit].items():
            entry = {"type": "file", "path": name, "size": file["size"], "oid": file["sha256"][:40]}
            if file["lfs"]:
                entry["lfs"] = {"oid": file["sha256"], "size": file["size"], "pointerSize": 130}
            entries.append(entry)
        self.json(entries)

    def refs(self, repo: str) -> None:
        found = self.visible(repo)
        if found is None:
            return
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid} for name, oid in found["refs"].items()
        ]
        tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid} for name, oid in found["tags"].items()]
        self.json({"branches": branches, "converts": [], "tags": tags})

    def tag(self, repo: str, revision: str) -> None:
        found = self.visible(repo)
        if found is None or (commit := self.revision(found, revision)) is None:
            return
        if not self.owner:
            return self.fail(403, "This token may not write")
        name = json.loads(self.body)["tag"]
        if name in found["tags"]:
            return self.fail(409, "Tag reference exists already")
        found["tags"][name] = commit
        self.hub.write(repo, found)
        return self.json({})

    def resolve(self, repo: str, revision: str, name: str) -> None:
        found = self.visible(repo)
        if found is None:
            return
        if found["gated"] and not self.owner:
            return self.fail(403, f"Access to model {repo} is restricted", "GatedRepo")
        if (commit := self.revision(found, revision)) is None:
            return
        file = found["commits"][commit].get(name)
        if file is None:
            return self.fail(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit})
        if not file["lfs"]:
            headers = {"ETag": f'"{file["sha256"][:40]}"', "X-Repo-Commit": commit}
            return self.send_file(self.hub.blob(file["sha256"]), headers)
        return self.send(
            302,
            b"",
            {
                "Location": f"{self.hub.cdn}/{file['sha256']}",
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{file["sha256"]}"',
                "X-Linked-Size": str(file["size"]),
            },
        )


_REPO = r"([\w.-]+/[\w.-]+)"
_ROUTES = (
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("POST", rf"/api/models/{_REPO}/preupload/(.+)", "preupload"),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("POST", rf"/{_REPO}\.git/info/lfs/verify", "lfs_verify"),
    ("POST", rf"/api/models/{_REPO}/commit/(.+)", "commit"),
    ("POST", rf"/api/models/{_REPO}/tag/(.+)", "tag"),
    ("GET", rf"/api/models/{_REPO}/refs", "refs"),
    ("GET", rf"/api/models/{_REPO}/tree/([^/]+)", "tree"),
    ("GET", rf"/api/models/{_REPO}/revision/(.+)", "model_info"),
    ("GET", rf"/api/models/{_REPO}", "model_info"),
    ("GET HEAD", rf"/{_REPO}/resolve/([^/]+)/(.+)", "resolve"),
)


if __name__ == "__main__":
    with HubServer(Path(sys.argv[1])) as server:
        print(f"HF_ENDPOINT={server.endpoint} HF_HUB_DISABLE_XET=1 HF_TOKEN={OWNER}", flush=True)
        threading.Event().wait()
