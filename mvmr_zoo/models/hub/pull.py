"""Return a checkpoint folder of the Hub from the cache, or download, check and cache it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from mvmr_zoo._io import is_abandoned, write_whole
from mvmr_zoo.checkpoint import (
    CONFIG_FILE,
    Checkpoint,
    CheckpointConfig,
    check_digest,
    check_hashes,
    checkpoint_of,
    expected_hashes,
    read_hashes,
)
from mvmr_zoo.errors import CheckpointError
from mvmr_zoo.models.hub.hub_errors import status, translated_errors
from mvmr_zoo.models.hub.response_checks import checked_responses
from mvmr_zoo.models.hub.spec import HubSpec

_MAX_ATTEMPTS = 4
_MAX_WAIT_S = 60

_MAX_TENSORS_BYTES = 4_000_000_000
"""Largest size of a safetensors file."""

_MAX_OTHER_BYTES = 50_000_000
"""Largest size of any other file. Graphs without weights have less than 1 MB."""

_T = TypeVar("_T")

_PIN_ADVICE = "It is another model or another revision. Ask its publisher."
_FILE_ADVICE = "It was altered in transit or on the server, and was not kept. Try again, or ask its publisher."


def pull(where: HubSpec, *, sha256: str | None = None, cache: Path | None = None) -> Checkpoint:
    """Return the checkpoint of a repository, with every hash checked.

    A complete folder in the cache is used without a network request, so a branch keeps the state of its first
    download. Only the files that a model needs are downloaded. Interrupted transfers are resumed. A failed download
    leaves no folder behind.

    Args:
        where: Repository and revision.
        sha256: Required SHA-256 of `config.json`. None accepts any.
        cache: Cache folder. None is the cache of huggingface_hub.

    Raises:
        UnknownModelError: The repository or revision does not exist, or the repository is private.
        HubError: The Hub cannot be reached, or refuses the request.
        CheckpointError: The repository is not a checkpoint folder, or a file differs from its hash in `config.json` or
            in the pin.
    """
    checkpoint = _cached(where, sha256, cache)
    if checkpoint is None:
        with _lock(where, cache):  # another process may have downloaded it while this one waited
            checkpoint = _cached(where, sha256, cache) or _download(where, sha256, cache)
    return checkpoint


def _cached(where: HubSpec, sha256: str | None, cache: Path | None) -> Checkpoint | None:
    """The checkpoint in the cache, or None if it is incomplete or damaged. If offline, a damaged one is an error."""
    from huggingface_hub import constants, try_to_load_from_cache

    path = try_to_load_from_cache(where.repo, CONFIG_FILE, revision=where.revision, cache_dir=cache)
    if not isinstance(path, str):
        return None
    folder = Path(path).parent
    try:
        config = _read_pinned(Path(path), sha256)
        if not all((folder / name).exists() for name in expected_hashes(folder, config)):
            return None
        check_hashes(folder, config)
        return checkpoint_of(folder, config)
    except CheckpointError:
        if constants.HF_HUB_OFFLINE:
            raise
        return None


def _download(where: HubSpec, sha256: str | None, cache: Path | None) -> Checkpoint:
    storage = _storage(where, cache)
    before = {*(storage / "snapshots").glob("*/*"), *(storage / "blobs").glob("*")}
    reference = storage / "refs" / where.revision
    previous_commit = reference.read_text() if reference.is_file() else None
    downloaded: list[Path] = []

    def get(at: HubSpec, name: str, check: Callable[[Path], _T]) -> tuple[Path, _T]:
        """Download one file, and return its path and the result of `check`. A damaged cached file is replaced."""
        path = _file(at, name, cache)
        downloaded.append(path)
        try:
            return path, check(path)
        except CheckpointError:
            # from an earlier download by this program or another one, perhaps in the store that all repositories share
            blob = path.resolve()
            cached = path in before or blob in before or not blob.is_relative_to(storage.resolve())
            if cached:
                path = _file(at, name, cache, again=True)
            try:
                return path, check(path)
            except CheckpointError:
                if not cached:
                    blob.unlink(missing_ok=True)  # otherwise the next attempt finds it in the cache
                raise

    try:
        path, config = get(where, CONFIG_FILE, functools.partial(_read_pinned, sha256=sha256))
        folder = path.parent
        commit = HubSpec(where.repo, folder.name)
        for name, expected in sorted(expected_hashes(folder, config).items()):
            get(commit, name, functools.partial(_check_file, expected=expected))
        return checkpoint_of(folder, config)
    except BaseException:
        _remove([path for path in downloaded if path not in before])
        if previous_commit is not None:
            write_whole(reference, previous_commit)
        else:
            reference.unlink(missing_ok=True)
        raise
    finally:
        _remove_abandoned_transfers(where, cache)


def _read_pinned(path: Path, sha256: str | None) -> CheckpointConfig:
    """Read a `config.json` that must have the hash `sha256`, if it is given."""
    if sha256 is not None:
        check_digest(path, sha256, said_by="the requested model has", advice=_PIN_ADVICE)
    return read_hashes(path)


def _check_file(path: Path, expected: str) -> None:
    check_digest(path, expected, said_by="config.json says", advice=_FILE_ADVICE)


def _file(where: HubSpec, name: str, cache: Path | None, *, again: bool = False) -> Path:
    """Download one file to the cache. huggingface_hub resumes interrupted transfers, and status 5xx is retried here."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    max_bytes = _MAX_TENSORS_BYTES if name.endswith(".safetensors") else _MAX_OTHER_BYTES
    with translated_errors(where, f"downloading {name} of {where.repo}"), checked_responses(max_bytes):
        for attempt in range(_MAX_ATTEMPTS):
            try:
                return Path(
                    hf_hub_download(where.repo, name, revision=where.revision, cache_dir=cache, force_download=again)
                )
            except HfHubHTTPError as error:
                if (status(error) or 0) < 500 or attempt == _MAX_ATTEMPTS - 1:
                    raise
                retry_after = error.response.headers.get("Retry-After", "")
                time.sleep(min(int(retry_after) if retry_after.isdigit() else 2**attempt, _MAX_WAIT_S))
        raise AssertionError  # the last attempt returned or raised


def _remove(paths: list[Path]) -> None:
    """Remove files from their snapshot, and the folder of the snapshot if it is then empty."""
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        with suppress(OSError):  # the folder has files of another program
            folder.rmdir()


def _remove_abandoned_transfers(where: HubSpec, cache: Path | None) -> None:
    """Remove the partial files of transfers that were killed. A running transfer keeps writing to its file."""
    for part in (_storage(where, cache) / "blobs").glob("*.incomplete"):
        if is_abandoned(part):
            part.unlink(missing_ok=True)


def _storage(where: HubSpec, cache: Path | None) -> Path:
    from huggingface_hub import constants

    return Path(cache or constants.HF_HUB_CACHE) / f"models--{where.repo.replace('/', '--')}"


@contextmanager
def _lock(where: HubSpec, cache: Path | None) -> Iterator[None]:
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # public, not in __all__

    storage = _storage(where, cache)
    folder = storage.parent / ".locks" / storage.name
    with translated_errors(where, f"caching {where.repo}"):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(folder / "mvmr-zoo.lock"):
        yield
