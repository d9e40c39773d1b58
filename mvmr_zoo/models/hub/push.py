"""Upload a folder to a repository on the Hub in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mvmr_zoo.checkpoint import ALIGNMENT_FILE, HEAD_FILE, PROJECTOR_FILE
from mvmr_zoo.errors import HubError
from mvmr_zoo.models.hub.hub_errors import translated_errors
from mvmr_zoo.models.hub.spec import HubSpec

_OPTIONAL_FILES = (ALIGNMENT_FILE, HEAD_FILE, PROJECTOR_FILE, "reports/*")
"""Files of an earlier push that are deleted from the repository unless the folder has them."""


@dataclass(frozen=True)
class Pushed:
    """The result of an upload.

    Args:
        where: Repository and new commit.
        url: Web address of the commit.
    """

    where: HubSpec
    url: str


def push(folder: Path, repo: str, *, private: bool = False, tag: str | None = None, message: str) -> Pushed:
    """Upload every file of a folder in one commit. The repository is created if it does not exist.

    Args:
        folder: Checkpoint folder to publish.
        repo: Repository as `org/name`.
        private: Create a private repository. This is an error if the repository exists and is public.
        tag: Tag that `add_tag` will create later. This is an error if the tag exists.
        message: Commit message.

    Raises:
        HubError: The Hub cannot be reached or refuses the request, the tag exists, or the repository is public.
        UnknownModelError: The token has no access to the repository.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="mvmr-zoo")
    where = HubSpec(repo)
    with translated_errors(where, f"creating {repo}"):
        api.create_repo(repo, private=private or None, exist_ok=True)
    with translated_errors(where, f"reading {repo}"):
        if private and not api.model_info(repo).private:
            raise HubError(f"{repo} is public. Nothing was uploaded. Choose another name, or omit --private.")
        if tag is not None and tag in {ref.name for ref in api.list_repo_refs(repo).tags}:
            raise HubError(f"{repo} already has the tag {tag!r}. Nothing was uploaded. Choose another tag.")
    with translated_errors(where, f"uploading to {repo}"):
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message, delete_patterns=list(_OPTIONAL_FILES)
        )
    return Pushed(HubSpec(repo, commit.oid), str(commit.commit_url))


def add_tag(where: HubSpec, tag: str) -> None:
    """Create a tag for the commit `where`. Raises HubError if the Hub refuses the request."""
    from huggingface_hub import HfApi

    with translated_errors(where, f"tagging {where.repo}"):
        HfApi(library_name="mvmr-zoo").create_tag(where.repo, tag=tag, revision=where.revision)
