"""A checkpoint folder from the Hub: out of its cache, or else downloaded, checked, and then cached."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mvmr_zoo._io import is_abandoned
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
from mvmr_zoo.models.hub.hub_errors import explained, status
from mvmr_zoo.models.hub.spec import HubSpec

_TRIES = 4
_LONGEST_WAIT_S = 60

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
    found = _cached(where, sha256, cache)
    if found is None:
        with _lock(where, cache):  # whoever waited finds it in the cache
            found = _cached(where, sha256, cache) or _download(where, sha256, cache)
    return found


def _cached(where: HubSpec, sha256: str | None, cache: Path | None) -> Checkpoint | None:
    """The checkpoint in the cache, where all of it is there and right; offline, what is wrong with it is raised."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(where.repo, CONFIG_FILE, revision=where.revision, cache_dir=cache)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    try:
        _check_pin(Path(found), sha256)
        whole = all((folder / name).exists() for name in _needed(Path(found)))
        return read_checkpoint(folder) if whole else None
    except CheckpointError:
        if constants.HF_HUB_OFFLINE:
            raise
        return None


def _download(where: HubSpec, sha256: str | None, cache: Path | None) -> Checkpoint:
    storage = _storage(where, cache)
    before = {*(storage / "snapshots").glob("*/*"), *(storage / "blobs").glob("*")}
    reference = storage / "refs" / where.revision
    said = reference.read_text() if reference.is_file() else None
    made: list[Path] = []

    def get(at: HubSpec, name: str, check: Callable[[Path], None]) -> Path:
        """One file, right; one that was damaged in the cache is downloaded again."""
        path = _file(at, name, cache)
        made.append(path)
        try:
            check(path)
        except CheckpointError:
            known = path.resolve() in before  # from an earlier download, this program's or another's
            if known:
                path = _file(at, name, cache, again=True)
            try:
                check(path)
            except CheckpointError:
                if not known:
                    path.resolve().unlink(missing_ok=True)  # or the next try would find it in the cache
                raise
        return path

    try:
        config = get(where, CONFIG_FILE, functools.partial(_check_config, sha256=sha256))
        commit = HubSpec(where.repo, config.parent.name)
        for name, expected in _needed(config).items():
            get(commit, name, functools.partial(_check_file, expected=expected))
        return read_checkpoint(config.parent)
    except BaseException:
        _forget([path for path in made if path not in before])
        if said is not None:
            reference.write_text(said)
        else:
            reference.unlink(missing_ok=True)
        raise
    finally:
        _sweep(where, cache)


def _check_config(config: Path, sha256: str | None) -> None:
    _check_pin(config, sha256)
    _needed(config)


def _check_pin(config: Path, sha256: str | None) -> None:
    if sha256 is not None:
        check_digest(config, sha256, said_by="what was asked for has", advice=_ANOTHER)


def _check_file(path: Path, expected: str) -> None:
    check_digest(path, expected, said_by="config.json says", advice=_ALTERED)


def _needed(config: Path) -> dict[str, str]:
    """Name and hash of every file a model needs; a projector is for going on with training."""
    read = read_config(config)
    check_hash_names(config, read)
    return {name: digest for name, digest in sorted(read.sha256.items()) if name != PROJECTOR_FILE}


def _file(where: HubSpec, name: str, cache: Path | None, *, again: bool = False) -> Path:
    """One file, in the cache. The library continues cut transfers; answers of 5xx are tried again here."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    with explained(where, f"downloading {name} of {where.repo}"):
        for attempt in range(_TRIES):
            try:
                return Path(
                    hf_hub_download(where.repo, name, revision=where.revision, cache_dir=cache, force_download=again)
                )
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
        with suppress(OSError):  # not empty: another program's
            folder.rmdir()


def _sweep(where: HubSpec, cache: Path | None) -> None:
    """Remove what transfers killed long ago left; one still running writes to its file."""
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
    with explained(where, f"caching {where.repo}"):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(folder / "mvmr-zoo.lock"):
        yield
