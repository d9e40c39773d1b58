"""FAISS, imported in this one place."""

from __future__ import annotations

from typing import Any

from mvmr_zoo.errors import MissingDependencyError


def faiss_library() -> Any:
    """The faiss module. Raises MissingDependencyError where it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError("faiss", "runtime", "search nearest neighbours") from error
    return faiss
