"""mvmr-zoo: photos to compact feature vectors, and useful things to do with them.

    model = mvmr_zoo.load("effnet-lite:0")
    vectors = model.embed(["a.jpg", "b.heic"])      # (N, D) float32, unit L2 norm

Importing this loads neither torch nor onnxruntime nor faiss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mvmr_zoo.card import ModelCard
    from mvmr_zoo.catalog import CATALOG
    from mvmr_zoo.errors import MvmrError
    from mvmr_zoo.features import Embeddings, Failure
    from mvmr_zoo.library import PhotoLibrary
    from mvmr_zoo.model import Model
    from mvmr_zoo.preprocess import Preprocess
    from mvmr_zoo.zoo import list_models, load, model_info

__version__ = "0.1.0"

__all__ = [
    "CATALOG",
    "Embeddings",
    "Failure",
    "Model",
    "ModelCard",
    "MvmrError",
    "PhotoLibrary",
    "Preprocess",
    "list_models",
    "load",
    "model_info",
]

_HOMES = {
    "CATALOG": "catalog",
    "ModelCard": "card",
    "MvmrError": "errors",
    "Embeddings": "features",
    "Failure": "features",
    "PhotoLibrary": "library",
    "Preprocess": "preprocess",
    "Model": "model",
    "list_models": "zoo",
    "load": "zoo",
    "model_info": "zoo",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mvmr_zoo' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"mvmr_zoo.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
