"""A library is bound to one encoder and output, by the hashes of that output and of the preprocessing."""

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

_OTHER = {"weights": "other weights", "preprocess": "another preprocessing"}


def bind(store: Store, model: Model) -> None:
    """From now on the library belongs to this encoder. Raises LibraryMismatchError where it belongs to another."""
    store.settle_facts(bound_facts(model))
    check_bound(store, model)  # another command may have been first


def bound_facts(model: Model) -> dict[str, str]:
    """The facts that a library of an encoder holds."""
    return {"model": model.spec, "dim": str(model.dim), "output": model.output} | _identity(model)


def is_bound(store: Store, model: Model) -> bool:
    """Whether the library's vectors are those of an encoder and output, under whatever name."""
    known = {name: store.fact(name) for name in _identity(model)}
    return known["weights"] is not None and all(
        known[name] in (None, value) for name, value in _identity(model).items()
    )


def bound_output(store: Store) -> Output:
    """The output that the library's vectors are. Raises LibraryDamagedError if it has an unknown name."""
    text = store.fact("output") or "features"  # older libraries have features only
    for output in OUTPUTS:
        if output == text:
            return output
    raise LibraryDamagedError(f"{store.path} states the output {text!r}; expected {' or '.join(OUTPUTS)}.")


def load_bound(
    store: Store, spec: str | None, output: Output | None, dim: int | None, *, default: str, device: Device
) -> Model:
    """The encoder of a library, with the output that it is bound to.

    Args:
        store: The store of the library.
        spec: Requested model spec. None is the library's own.
        output: Requested output. None is the library's own, or the encoder's default for an empty library.
        dim: Requested number of dimensions. None is the library's own, or all.
        default: Model spec for an empty library if `spec` is None.
        device: As in `load`.

    Raises:
        LibraryMismatchError: The request does not fit the model and output of the library.
        LibraryError: The library's own encoder is not on this machine, or its library is not installed.
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
    """The encoder that the library names. Raises LibraryError with a way out if it is not at hand."""
    try:
        return load(bound, output=output, dim=dim, device=device)
    except (UnknownModelError, MissingDependencyError, HubError) as error:
        folder = store.path.parent
        raise LibraryError(
            f"The encoder of the library {folder} cannot be loaded. {error} If you have its folder, give "
            f"`--model FOLDER`. Or `{reindex_command(folder)}` moves the library to {default}."
        ) from None


def reindex_command(folder: Path, model: str | None = None) -> str:
    """The command that moves a library to another encoder; None is the default one."""
    named = "" if model is None else f" --model {shlex.quote(model)}"
    return f"mvmr-zoo index reindex --library {shlex.quote(str(folder))}{named}"


def load_same_output(spec: str, made_by: str, output: Output, dim: int | None, *, device: Device) -> Model:
    """Load an encoder with the output that given vectors have.

    An encoder that lacks the output is loaded with its default, because it must be another encoder. The caller compares
    the digests.

    Args:
        spec: Model spec of the encoder.
        made_by: Model spec of the encoder that made the vectors. It must have the output.
        output: Output that the vectors are.
        dim: As in `load`.
        device: As in `load`.
    """
    try:
        return load(spec, output=output, dim=dim, device=device)
    except ConfigError:
        if spec == made_by:
            raise
        return load(spec, device=device)


def check_bound(store: Store, model: Model) -> None:
    """Raise LibraryMismatchError if the library is bound to another encoder or output."""
    folder = store.path.parent
    for name, value in _identity(model).items():
        if store.fact(name) in (None, value):
            continue
        bound = store.fact("model")
        before, now = output_in_words(bound_output(store), store.dim), output_in_words(model.output, model.dim)
        other = _OTHER[name] if before == now else f"{now}, not {before}"
        if bound == model.spec and before != now:
            raise LibraryMismatchError(
                f"The library {folder} holds vectors of the output {before}, not {now}. "
                "Omit --output and --dim, or use another --library."
            )
        if bound == model.spec:
            raise LibraryMismatchError(
                f"The library {folder} was made by an earlier {bound!r}, with {_OTHER[name]}. "
                f"`{reindex_command(folder, bound)}` makes its vectors again; or use another --library."
            )
        raise LibraryMismatchError(
            f"The library {folder} was made by the model {bound!r}; {model.spec!r} has {other}. "
            f"Give `--model {bound}`, or another --library for {model.spec!r}. "
            f"`{reindex_command(folder, model.spec)}` moves this one to it."
        )


def _identity(model: Model) -> dict[str, str]:
    return {"weights": model.vectors_digest, "preprocess": model.preprocess.digest}
