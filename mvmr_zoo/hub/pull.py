"""A checkpoint folder from the Hub: out of its cache, or else downloaded, checked, and then cached."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mvmr_zoo.checkpoint import (
    CONFIG_FILE,
    PROJECTOR_FILE,
    Checkpoint,
    check_digest,
    check_hash_names,
    read_checkpoint,
    read_config,
)
from mvmr_zoo.errors import CheckpointError
from mvmr_zoo.hub.explain import explained, status
from mvmr_zoo.hub.spec import HubSpec

_TRIES = 4
_LONGEST_WAIT_S = 60
_ABANDONED_S = 3600

_ANOTHER = "It is another model, or another state of it; ask its publisher."
_ALTERED = "It was altered on the way or on the server; nothing of it was kept. Try again, or ask its publisher."


def pull(where: HubSpec, *, sha256: str | None = None, cache: Path | None = None) -> Checkpoint:
    """The checkpoint folder of a repository, every hash checked.

    What is in the cache is taken without any network call, so a branch stays what it was when it was first pulled.
    Only the files a model needs are downloaded; a transfer that is cut goes on where it stopped. A download that
    fails leaves no folder behind.

    Args:
        where: the repository and revision.
        sha256: `config.json` must have, else it is refused; None takes any.
        cache: folder of the Hub's cache; None is huggingface_hub's own.

    Raises:
        UnknownModelError: no such repository or revision, or it is private.
        HubError: the Hub cannot be reached, or refuses.
        CheckpointError: it is not a checkpoint folder, or a file is not what `config.json` or the pin says.
    """
    folder = _cached(where, cache)
    if folder is None:
        with _lock(where, cache):  # whoever waited finds it in the cache
            folder = _cached(where, cache) or _download(where, sha256, cache)
    if sha256 is not None:
        check_digest(folder / CONFIG_FILE, sha256, said_by="what was asked for has", advice=_ANOTHER)
    return read_checkpoint(folder)


def _cached(where: HubSpec, cache: Path | None) -> Path | None:
    """The snapshot's folder, where all of its files are."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(where.repo, CONFIG_FILE, revision=where.revision, cache_dir=cache)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    try:
        needed = _needed(folder / CONFIG_FILE)
    except CheckpointError:
        return folder  # read_checkpoint says what is wrong
    return folder if all((folder / name).exists() for name in needed) else None


def _download(where: HubSpec, sha256: str | None, cache: Path | None) -> Path:
    made: list[Path] = []
    try:
        config = _file(where, CONFIG_FILE, cache)
        made.append(config)
        if sha256 is not None:
            check_digest(config, sha256, said_by="what was asked for has", advice=_ANOTHER)
        commit = HubSpec(where.repo, config.parent.name)
        for name, expected in _needed(config).items():
            path = _file(commit, name, cache)
            made.append(path)
            try:
                check_digest(path, expected, said_by="config.json says", advice=_ALTERED)
            except CheckpointError:
                path.resolve().unlink()  # or the next try would find it in the cache
                raise
    except BaseException:
        _forget(made)
        raise
    finally:
        _sweep(where, cache)
    return config.parent


def _needed(config: Path) -> dict[str, str]:
    """Name and hash of every file a model needs; a projector is for going on with training."""
    read = read_config(config)
    check_hash_names(config, read)
    return {name: digest for name, digest in sorted(read.sha256.items()) if name != PROJECTOR_FILE}


def _file(where: HubSpec, name: str, cache: Path | None) -> Path:
    """One file, in the cache. The library continues cut transfers; answers of 5xx are tried again here."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    with explained(where, f"downloading {name} of {where.repo}"):
        for attempt in range(_TRIES):
            try:
                return Path(hf_hub_download(where.repo, name, revision=where.revision, cache_dir=cache))
            except HfHubHTTPError as error:
                if (status(error) or 0) < 500 or attempt == _TRIES - 1:
                    raise
                asked = error.response.headers.get("Retry-After", "")
                time.sleep(min(int(asked) if asked.isdigit() else 2**attempt, _LONGEST_WAIT_S))
        raise AssertionError  # the last try returned or raised


def _forget(paths: list[Path]) -> None:
    """Take files out of their snapshot, and the snapshot's folder if that was all of it."""
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _sweep(where: HubSpec, cache: Path | None) -> None:
    """Remove what transfers killed long ago left; one still running writes to its file."""
    for part in (_storage(where, cache) / "blobs").glob("*.incomplete"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED_S:
                part.unlink()


def _storage(where: HubSpec, cache: Path | None) -> Path:
    from huggingface_hub import constants

    return Path(cache or constants.HF_HUB_CACHE) / f"models--{where.repo.replace('/', '--')}"


@contextmanager
def _lock(where: HubSpec, cache: Path | None) -> Iterator[None]:
    from filelock import FileLock

    storage = _storage(where, cache)
    folder = storage.parent / ".locks" / storage.name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "mvmr-zoo.lock"):
        yield
