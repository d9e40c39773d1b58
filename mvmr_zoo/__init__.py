"""mvmr-zoo: turn photos into compact feature vectors, search photos, and measure encoders.

    model = mvmr_zoo.load()
    vectors = model.embed(["a.jpg", "b.heic"])      # (N, D) float32, unit L2 norm

Importing this package loads neither torch nor onnxruntime nor faiss. Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import ModelCard
    from mvmr_zoo.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        HubError,
        ImageError,
        LibraryBusyError,
        LibraryDamagedError,
        LibraryError,
        LibraryMismatchError,
        LimitError,
        MissingDependencyError,
        MvmrError,
        TrainingError,
        UnknownModelError,
    )
    from mvmr_zoo.images import Preprocess
    from mvmr_zoo.inference import Embeddings, Failure, ImageInput, Model
    from mvmr_zoo.models import CATALOG, list_models, load, model_info
    from mvmr_zoo.search import Filters, PhotoLibrary, Query

__version__ = "0.1.0"

_MODULES = {
    "CATALOG": "models",
    "CheckpointError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "Embeddings": "inference",
    "Failure": "inference",
    "Filters": "search",
    "HubError": "errors",
    "ImageError": "errors",
    "ImageInput": "inference",
    "LibraryBusyError": "errors",
    "LibraryDamagedError": "errors",
    "LibraryError": "errors",
    "LibraryMismatchError": "errors",
    "LimitError": "errors",
    "MissingDependencyError": "errors",
    "Model": "inference",
    "ModelCard": "checkpoint",
    "MvmrError": "errors",
    "PhotoLibrary": "search",
    "Preprocess": "images",
    "Query": "search",
    "TrainingError": "errors",
    "UnknownModelError": "errors",
    "list_models": "models",
    "load": "models",
    "model_info": "models",
}

__all__ = [
    "CATALOG",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "Embeddings",
    "Failure",
    "Filters",
    "HubError",
    "ImageError",
    "ImageInput",
    "LibraryBusyError",
    "LibraryDamagedError",
    "LibraryError",
    "LibraryMismatchError",
    "LimitError",
    "MissingDependencyError",
    "Model",
    "ModelCard",
    "MvmrError",
    "PhotoLibrary",
    "Preprocess",
    "Query",
    "TrainingError",
    "UnknownModelError",
    "list_models",
    "load",
    "model_info",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its package when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'mvmr_zoo' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"mvmr_zoo.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
