"""Convert errors of huggingface_hub to messages of one line that say what to do and never contain the token."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from urllib.parse import urlsplit, urlunsplit

from mvmr_zoo.errors import CheckpointError, HubError, MvmrError, UnknownModelError, one_line
from mvmr_zoo.models.hub.spec import HubSpec


@contextmanager
def translated_errors(where: HubSpec, doing: str) -> Iterator[None]:
    """Convert any error of huggingface_hub to an `MvmrError`.

    Args:
        where: Repository and revision.
        doing: The operation, for example "downloading config.json of org/name".
    """
    try:
        with _without_warnings():
            yield
    except MvmrError:
        raise
    except Exception as error:  # errors of huggingface_hub, httpx and the system have no common base class
        raise _translate(error, where, doing) from None


def status(error: BaseException) -> int | None:
    """The HTTP status code of an error, or None if it has none."""
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def _translate(error: Exception, where: HubSpec, doing: str) -> MvmrError:
    from huggingface_hub import constants, errors

    endpoint = _without_password(constants.ENDPOINT)
    login = "Log in with `hf auth login`, or set HF_TOKEN in the environment"
    cause: BaseException = error.__cause__ or error
    if isinstance(error, errors.GatedRepoError):
        return HubError(f"{where.repo} is gated. Request access at {endpoint}/{where.repo}. {login}.")
    if status(error) == 401 and "Invalid credentials" in _message(error):
        return HubError(f"{endpoint} does not accept your token. It may have been revoked. {login}.")
    if isinstance(error, errors.RepositoryNotFoundError) or status(error) == 401:
        return UnknownModelError(
            f"The model {where.repo} was not found at {endpoint}. It does not exist, or it is private. {login}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UnknownModelError(f"{where.repo} has no revision {where.revision!r} at {endpoint}.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return CheckpointError(f"{where} is not a checkpoint folder. The file was not found while {doing}.")
    if constants.HF_HUB_OFFLINE and not doing.startswith("downloading"):
        return HubError(f"HF_HUB_OFFLINE is set, which prevents {doing}. Unset it and try again.")
    if constants.HF_HUB_OFFLINE:
        return UnknownModelError(
            f"{where} is not in the Hub's cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE prevents the download. "
            "Unset it, or copy the model from another machine with `mvmr-zoo bundle` and `mvmr-zoo unbundle`."
        )
    code = status(error) or status(cause)
    if code == 403:
        return HubError(f"{endpoint} does not allow {doing}: {_message(error)} {login}.")
    if code is not None and (code == 429 or code >= 500):
        return HubError(f"{endpoint} returned status {code} several times while {doing}. Try again later.")
    if code is not None:
        return HubError(f"{endpoint} returned status {code} while {doing}: {_message(error)}")
    return HubError(f"{endpoint}: {doing} failed: {_message(cause)}")


def _message(error: BaseException) -> str:
    """The message of an error as one line, without the token or a password in the endpoint."""
    from huggingface_hub import constants, get_token

    text = str(getattr(error, "server_message", None) or error) or type(error).__name__
    text = text.replace(constants.ENDPOINT, _without_password(constants.ENDPOINT))
    token = get_token()
    return one_line(text.replace(token, "<token>") if token else text)


def _without_password(endpoint: str) -> str:
    """The endpoint without the user name and password."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide the warnings of huggingface_hub about each retry, unless the environment sets its verbosity."""
    from huggingface_hub.utils import logging

    if os.environ.get("HF_HUB_VERBOSITY") or os.environ.get("HF_DEBUG"):
        yield
        return
    verbosity = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
