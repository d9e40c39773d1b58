"""The Hub's own origin, route by route."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import yaml

from .hub_http import Handler
from .hub_storage import LFS_SUFFIXES

OWNER, READER = "hf_ownerTokenSecret000000000000000000", "hf_readerTokenSecret00000000000000000"
"""Tokens: the owner's may write to `org`, the reader's may read nothing that is private."""


class HubHandler(Handler):
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
