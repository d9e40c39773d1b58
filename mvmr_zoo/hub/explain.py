"""huggingface_hub's errors in one line that says what to do, and never shows the token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mvmr_zoo.errors import CheckpointError, HubError, MvmrError, UnknownModelError, one_line
from mvmr_zoo.hub.spec import HubSpec


@contextmanager
def explained(where: HubSpec, doing: str) -> Iterator[None]:
    """Turn whatever huggingface_hub raises into one of our errors.

    Args:
        where: the repository.
        doing: what was tried, as "downloading config.json of org/name".
    """
    try:
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

    endpoint = constants.ENDPOINT
    login = "`hf auth login`, or HF_TOKEN in the environment, says who you are"
    cause: BaseException = error.__cause__ or error
    if isinstance(error, errors.GatedRepoError):
        return HubError(f"{where.repo} is gated: ask for access at {endpoint}/{where.repo}. {login}.")
    if isinstance(error, errors.RepositoryNotFoundError) or status(error) == 401:
        return UnknownModelError(
            f"{endpoint} shows no model {where.repo}: it does not exist, or it is private. {login}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UnknownModelError(f"{where.repo} has no revision {where.revision!r} at {endpoint}.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return CheckpointError(f"{where} is not a checkpoint folder: {doing} found no such file.")
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
    """What the error says, in one line, without the token."""
    from huggingface_hub import get_token

    text = str(getattr(error, "server_message", None) or error) or type(error).__name__
    token = get_token()
    return one_line(text.replace(token, "<token>") if token else text)
