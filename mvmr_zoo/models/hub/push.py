"""A folder to a repository on the Hub, in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mvmr_zoo.checkpoint import ALIGNMENT_FILE, HEAD_FILE, PROJECTOR_FILE
from mvmr_zoo.errors import HubError
from mvmr_zoo.models.hub.hub_errors import explained
from mvmr_zoo.models.hub.spec import HubSpec

_STALE = (ALIGNMENT_FILE, HEAD_FILE, PROJECTOR_FILE, "reports/*")
"""What an earlier push may have left that this folder lacks."""


@dataclass(frozen=True)
class Pushed:
    """What was published.

    Args:
        where: the repository and its new commit.
        url: of the commit, to look at.
    """

    where: HubSpec
    url: str


def push(folder: Path, repo: str, *, private: bool = False, tag: str | None = None, message: str) -> Pushed:
    """Upload every file of a folder in one commit; the repository is made where there is none.

    Args:
        folder: a checkpoint folder, ready to be published.
        repo: `org/name`.
        private: make a private repository; refused where a public one stands.
        tag: that `add_tag` will give; refused where it exists.
        message: of the commit.

    Raises:
        HubError: the Hub cannot be reached or refuses, the tag exists, or the repository is public.
        UnknownModelError: the token may not see the repository.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="mvmr-zoo")
    where = HubSpec(repo)
    with explained(where, f"creating {repo}"):
        api.create_repo(repo, private=private or None, exist_ok=True)
    with explained(where, f"looking at {repo}"):
        if private and not api.model_info(repo).private:
            raise HubError(f"{repo} is public; nothing was uploaded. Choose another name, or leave --private out.")
        if tag is not None and tag in {each.name for each in api.list_repo_refs(repo).tags}:
            raise HubError(f"{repo} has a tag {tag!r} already; nothing was uploaded. Choose another.")
    with explained(where, f"uploading to {repo}"):
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message, delete_patterns=list(_STALE)
        )
    return Pushed(HubSpec(repo, commit.oid), str(commit.commit_url))


def add_tag(where: HubSpec, tag: str) -> None:
    """Give a commit a tag. Raises HubError where the Hub refuses."""
    from huggingface_hub import HfApi

    with explained(where, f"tagging {where.repo}"):
        HfApi(library_name="mvmr-zoo").create_tag(where.repo, tag=tag, revision=where.revision)
