"""`hf-hub:org/name@revision`: a repository on the Hub, and which of its states."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from mvmr_zoo.errors import ConfigError

PREFIX = "hf-hub:"

_TAG = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
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
    if not _is_repository(repo) or not _REVISION.fullmatch(found.revision) or ".." in found.revision:
        raise ConfigError(f"{spec!r} names no repository of the Hub; expected hf-hub:ORG/NAME or hf-hub:ORG/NAME@TAG.")
    return found


def check_tag(tag: str) -> None:
    """Raise ConfigError for what cannot be a tag, or could not be loaded by it."""
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith((".", ".lock")):
        raise ConfigError(f"{tag!r} cannot be a tag; expected letters, digits, '.', '_' and '-', as v1.0.")


def hub_organization() -> str | None:
    """The organization that `MVMR_HUB_ORG` names, where catalog names are looked for.

    Raises:
        ConfigError: it is no name of an organization.
    """
    name = os.environ.get("MVMR_HUB_ORG")
    if name and ("/" in name or "@" in name or not _is_repository(f"{name}/x")):
        raise ConfigError(f"MVMR_HUB_ORG is {name!r}; expected the name of one organization on the Hub.")
    return name or None


def _is_repository(repo: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, not in __all__

    try:
        validate_repo_id(repo)
    except HFValidationError:
        return False
    return repo.count("/") == 1 and repo[:1].isalnum()
