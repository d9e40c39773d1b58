"""`hf-hub:org/name@revision`: a repository on the Hub and one of its revisions."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from mvmr_zoo.errors import ConfigError

PREFIX = "hf-hub:"

_TAG = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)


class HubSpec(NamedTuple):
    """A repository on the Hub and a revision.

    Args:
        repo: `org/name`.
        revision: Branch, tag or commit.
    """

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}@{self.revision}"


def is_hub_spec(spec: str) -> bool:
    """Whether `spec` begins with `hf-hub:`."""
    return spec.startswith(PREFIX)


def parse_hub_spec(spec: str) -> HubSpec:
    """Parse `hf-hub:org/name` or `hf-hub:org/name@revision`. The prefix is optional.

    Raises:
        ConfigError: The spec is not valid.
    """
    repo, separator, revision = spec.removeprefix(PREFIX).partition("@")
    parsed = HubSpec(repo, revision if separator else "main")
    if not _is_repository(repo) or not _REVISION.fullmatch(parsed.revision) or ".." in parsed.revision:
        raise ConfigError(f"{spec!r} is not a repository on the Hub; expected hf-hub:ORG/NAME or hf-hub:ORG/NAME@TAG.")
    return parsed


def check_tag(tag: str) -> None:
    """Raise ConfigError if a tag is not valid, or if `load` could not find a model by it."""
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith((".", ".lock")):
        raise ConfigError(f"{tag!r} is not a valid tag. Use letters, digits, '.', '_' and '-', for example v1.0.")


def hub_organization() -> str | None:
    """The organization on the Hub in which catalog names are searched, from `MVMR_HUB_ORG`. None if it is not set.

    Raises:
        ConfigError: The variable is not the name of an organization.
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
