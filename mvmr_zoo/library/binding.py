"""A library belongs to one encoder, by the hash of its weights and its preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo.errors import LibraryMismatchError

if TYPE_CHECKING:
    from mvmr_zoo.library.store import Store
    from mvmr_zoo.model import Model

_OTHER = {"weights": "other weights", "preprocess": "another preprocessing"}


def bind(store: Store, model: Model) -> None:
    """From now on the library belongs to this encoder. Raises LibraryMismatchError where it belongs to another."""
    store.settle_facts({"model": model.spec, "dim": str(model.card.embedding_dim), **_identity(model)})
    check_bound(store, model)  # another command may have been first


def check_bound(store: Store, model: Model) -> None:
    """Raise LibraryMismatchError where the library belongs to another encoder."""
    folder = store.path.parent
    for name, value in _identity(model).items():
        if store.fact(name) in (None, value):
            continue
        bound = store.fact("model")
        if bound == model.spec:
            raise LibraryMismatchError(
                f"The library {folder} was made by an earlier {bound!r}, with {_OTHER[name]}. "
                "Move the library folder away and index again, or use another --library."
            )
        raise LibraryMismatchError(
            f"The library {folder} was made by the model {bound!r}; {model.spec!r} has {_OTHER[name]}. "
            f"Give `--model {bound}`, or another --library for {model.spec!r}."
        )


def _identity(model: Model) -> dict[str, str]:
    return {"weights": model.weights_digest, "preprocess": model.preprocess.digest}
