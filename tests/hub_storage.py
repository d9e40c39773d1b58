"""What `HubServer` keeps on disk: repositories, their commits and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".safetensors", ".onnx")
"""Endings of files that are stored as large ones."""


class HubStorage:
    """ORG--NAME.json holds {"private", "gated", "refs", "tags": {name: commit}, "commits": {commit: {path: file}}}.

    Args:
        root: folder of its repositories and files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir(parents=True, exist_ok=True)

    def repo_path(self, repo: str) -> Path:
        return self.root / f"{repo.replace('/', '--')}.json"

    def read(self, repo: str) -> dict[str, Any] | None:
        path = self.repo_path(repo)
        return json.loads(path.read_text()) if path.exists() else None

    def write(self, repo: str, values: dict[str, Any]) -> None:
        self.repo_path(repo).write_text(json.dumps(values))

    def change(self, repo: str, **values: Any) -> None:
        """Set fields of a repository, as `private` or `gated`."""
        found = self.read(repo)
        assert found is not None
        self.write(repo, found | values)

    def blob(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256

    def files(self, repo: str, revision: str = "main") -> dict[str, dict[str, Any]]:
        """The files of a revision: path to {"sha256", "size", "lfs"}."""
        found = self.read(repo)
        assert found is not None
        commit = {**found["refs"], **found["tags"]}.get(revision, revision)
        return found["commits"][commit]

    def store(self, repo: str, folder: Path) -> str:
        """Put a folder's files into a repository's `main`, as if they had been pushed; returns the commit."""
        files = {}
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            data = path.read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            self.blob(sha256).write_bytes(data)
            name = path.relative_to(folder).as_posix()
            files[name] = {"sha256": sha256, "size": len(data), "lfs": name.endswith(LFS_SUFFIXES)}
        commit = hashlib.sha1(json.dumps(files).encode()).hexdigest()
        found = self.read(repo) or {"private": False, "gated": False, "refs": {}, "tags": {}, "commits": {}}
        found["commits"][commit], found["refs"]["main"] = files, commit
        self.write(repo, found)
        return commit
