"""Ties a library to one encoder and output, by the hashes of the output weights and of the preprocessing."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mvmr_zoo.checkpoint import OUTPUTS, Output, output_in_words
from mvmr_zoo.errors import (
    ConfigError,
    HubError,
    LibraryDamagedError,
    LibraryError,
    LibraryMismatchError,
    MissingDependencyError,
    UnknownModelError,
)
from mvmr_zoo.models import Device, load

if TYPE_CHECKING:
    from pathlib import Path

    from mvmr_zoo.inference import Model
    from mvmr_zoo.search.store import Store

_DIFFERENCE = {"weights": "different weights", "preprocess": "different preprocessing"}


def bind(store: Store, model: Model) -> None:
    """Tie the library to this encoder. Raises LibraryMismatchError if it is tied to another one."""
    store.settle_facts(bound_facts(model))
    check_bound(store, model)  # another command may have tied it first


def bound_facts(model: Model) -> dict[str, str]:
    """The entries of the `facts` table that describe an encoder."""
    return {"model": model.spec, "dim": str(model.dim), "output": model.output} | _identity(model)


def is_bound(store: Store, model: Model) -> bool:
    """Whether the vectors of the library come from this encoder and output, whatever name the encoder has."""
    known = {name: store.fact(name) for name in _identity(model)}
    return known["weights"] is not None and all(
        known[name] in (None, value) for name, value in _identity(model).items()
    )


def bound_output(store: Store) -> Output:
    """The encoder output that the vectors come from. Raises LibraryDamagedError if its name is unknown."""
    text = store.fact("output") or "features"  # libraries from before `aligned` existed do not store the name
    for output in OUTPUTS:
        if output == text:
            return output
    raise LibraryDamagedError(f"{store.path} has the output {text!r}; expected {' or '.join(OUTPUTS)}.")


def load_bound(
    store: Store, spec: str | None, output: Output | None, dim: int | None, *, default: str, device: Device
) -> Model:
    """Load the encoder of a library, with the output that the library is tied to.

    Args:
        store: Library database.
        spec: Requested model spec. None selects the encoder of the library.
        output: Requested output. None selects that of the library, or the encoder's default if the library is empty.
        dim: Requested number of dimensions. None selects that of the library, or all.
        default: Model spec to use if `spec` is None and the library is empty.
        device: See `load`.

    Raises:
        LibraryMismatchError: The request does not match the model and output of the library.
        LibraryError: The encoder of the library is not on this machine, or a package that it needs is not installed.
    """
    bound = store.fact("model")
    if bound is None:
        return load(spec or default, output=output, dim=dim, device=device)
    own = bound_output(store)
    wanted = output or own
    if dim is None and wanted == own == "aligned":
        dim = store.dim
    if spec is None:
        model = _load_own(store, bound, wanted, dim, default=default, device=device)
    elif output is not None:
        model = load(spec, output=wanted, dim=dim, device=device)
    else:
        model = load_same_output(spec, bound, wanted, dim, device=device)
    check_bound(store, model)
    return model


def _load_own(store: Store, bound: str, output: Output, dim: int | None, *, default: str, device: Device) -> Model:
    """Load the encoder that the library names. Raises LibraryError with advice if it is not available."""
    try:
        return load(bound, output=output, dim=dim, device=device)
    except (UnknownModelError, MissingDependencyError, HubError) as error:
        folder = store.path.parent
        raise LibraryError(
            f"The encoder of the library {folder} cannot be loaded. {error} If you have the encoder folder, use "
            f"`--model FOLDER`. Otherwise, run `{reindex_command(folder)}` to switch the library to {default}."
        ) from None


def reindex_command(folder: Path, model: str | None = None) -> str:
    """The command that switches a library to another encoder. Without `model`, it switches to the default encoder."""
    named = "" if model is None else f" --model {shlex.quote(model)}"
    return f"mvmr-zoo index reindex --library {shlex.quote(str(folder))}{named}"


def load_same_output(spec: str, made_by: str, output: Output, dim: int | None, *, device: Device) -> Model:
    """Load an encoder with the output that existing vectors come from.

    An encoder without that output is loaded with its default output. It must be a different encoder, and the caller
    detects that by comparing the digests.

    Args:
        spec: Model spec of the encoder.
        made_by: Model spec of the encoder that produced the vectors. An error is raised if it lacks the output.
        output: Output that the vectors come from.
        dim: See `load`.
        device: See `load`.
    """
    try:
        return load(spec, output=output, dim=dim, device=device)
    except ConfigError:
        if spec == made_by:
            raise
        return load(spec, device=device)


def check_bound(store: Store, model: Model) -> None:
    """Raise LibraryMismatchError if the library is tied to another encoder or output."""
    folder = store.path.parent
    for name, value in _identity(model).items():
        if store.fact(name) in (None, value):
            continue
        bound = store.fact("model")
        before, now = output_in_words(bound_output(store), store.dim), output_in_words(model.output, model.dim)
        difference = _DIFFERENCE[name] if before == now else f"the output {now}, not {before}"
        if bound == model.spec and before != now:
            raise LibraryMismatchError(
                f"The library {folder} contains vectors of the output {before}, not {now}. "
                "Omit --output and --dim, or use another --library."
            )
        if bound == model.spec:
            raise LibraryMismatchError(
                f"The library {folder} was created with an earlier version of {bound!r} with {_DIFFERENCE[name]}. "
                f"Run `{reindex_command(folder, bound)}` to recompute the vectors, or use another --library."
            )
        raise LibraryMismatchError(
            f"The library {folder} was created with the model {bound!r}. {model.spec!r} has {difference}. "
            f"Use `--model {bound}`, or another --library for {model.spec!r}. "
            f"Run `{reindex_command(folder, model.spec)}` to switch this library to {model.spec!r}."
        )


def _identity(model: Model) -> dict[str, str]:
    return {"weights": model.vectors_digest, "preprocess": model.preprocess.digest}
