"""huggingface_hub's errors in one line that says what to do, and never shows the token."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from urllib.parse import urlsplit, urlunsplit

from mvmr_zoo.errors import CheckpointError, HubError, MvmrError, UnknownModelError, one_line
from mvmr_zoo.models.hub.spec import HubSpec


@contextmanager
def explained(where: HubSpec, doing: str) -> Iterator[None]:
    """Turn whatever huggingface_hub raises into one of our errors.

    Args:
        where: the repository.
        doing: what was tried, as "downloading config.json of org/name".
    """
    try:
        with _quiet():
            yield
    except MvmrError:
        raise
    except Exception as error:  # huggingface_hub's tree, httpx's, OSError: no common root
        raise _explain(error, where, doing) from None


def status(error: BaseException) -> int | None:
    """The HTTP status an error was raised for."""
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def _explain(error: Exception, where: HubSpec, doing: str) -> MvmrError:
    from huggingface_hub import constants, errors

    endpoint = _shown(constants.ENDPOINT)
    login = "`hf auth login`, or HF_TOKEN in the environment, says who you are"
    cause: BaseException = error.__cause__ or error
    if isinstance(error, errors.GatedRepoError):
        return HubError(f"{where.repo} is gated: ask for access at {endpoint}/{where.repo}. {login}.")
    if status(error) == 401 and "Invalid credentials" in _told(error):
        return HubError(f"{endpoint} does not know your token; it may have been revoked. {login}.")
    if isinstance(error, errors.RepositoryNotFoundError) or status(error) == 401:
        return UnknownModelError(
            f"{endpoint} shows no model {where.repo}: it does not exist, or it is private. {login}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UnknownModelError(f"{where.repo} has no revision {where.revision!r} at {endpoint}.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return CheckpointError(f"{where} is not a checkpoint folder: {doing} found no such file.")
    if constants.HF_HUB_OFFLINE and not doing.startswith("downloading"):
        return HubError(f"HF_HUB_OFFLINE keeps us from {doing}. Unset it.")
    if constants.HF_HUB_OFFLINE:
        return UnknownModelError(
            f"{where} is not in the Hub's cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE keeps it from being "
            "downloaded. Unset it, or bring the folder with `mvmr-zoo bundle` and `mvmr-zoo unbundle`."
        )
    code = status(error) or status(cause)
    if code == 403:
        return HubError(f"{endpoint} forbids {doing}: {_told(error)} {login}.")
    if code is not None and (code == 429 or code >= 500):
        return HubError(f"{endpoint} answered {code} to {doing}, several times. Try again later.")
    if code is not None:
        return HubError(f"{endpoint} answered {code} to {doing}: {_told(error)}")
    return HubError(f"{endpoint}: {doing} failed: {_told(cause)}")


def _told(error: BaseException) -> str:
    """What the error says, in one line, without the token or a password in the endpoint."""
    from huggingface_hub import constants, get_token

    text = str(getattr(error, "server_message", None) or error) or type(error).__name__
    text = text.replace(constants.ENDPOINT, _shown(constants.ENDPOINT))
    token = get_token()
    return one_line(text.replace(token, "<token>") if token else text)


def _shown(endpoint: str) -> str:
    """The endpoint without user and password."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep huggingface_hub's warnings of every retry to itself, unless its verbosity was asked for."""
    from huggingface_hub.utils import logging

    if os.environ.get("HF_HUB_VERBOSITY") or os.environ.get("HF_DEBUG"):
        yield
        return
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
