"""`hf-hub:org/name@revision`: a repository on the Hub, and which of its states."""

from __future__ import annotations

import re
from typing import NamedTuple

from mvmr_zoo.errors import ConfigError

PREFIX = "hf-hub:"

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)


class HubSpec(NamedTuple):
    """A repository and a branch, tag or commit of it."""

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}@{self.revision}"


def is_hub_spec(spec: str) -> bool:
    """Whether `spec` begins as `hf-hub:` does."""
    return spec.startswith(PREFIX)


def parse_hub_spec(spec: str) -> HubSpec:
    """The parts of `hf-hub:org/name` or `hf-hub:org/name@revision`; the prefix may be missing.

    Raises:
        ConfigError: it is not such a spec.
    """
    repo, separator, revision = spec.removeprefix(PREFIX).partition("@")
    found = HubSpec(repo, revision if separator else "main")
    for part, pattern in zip(found, (_REPO, _REVISION), strict=True):
        if not pattern.fullmatch(part) or ".." in part or "--" in repo:
            raise ConfigError(
                f"{spec!r} names no repository of the Hub; expected hf-hub:ORG/NAME or hf-hub:ORG/NAME@TAG."
            )
    return found
