"""timm's networks without their classifiers. The one file that imports timm."""

from __future__ import annotations

from typing import Any

from mvmr_zoo.errors import MissingDependencyError


def names() -> list[str]:
    """The names of all timm networks. Raises MissingDependencyError without timm."""
    found: list[str] = _timm("list its networks").list_models()
    return found


def is_known(name: str) -> bool:
    """Whether timm has a network of this name, without a tag of weights.

    Raises:
        MissingDependencyError: timm is not installed.
    """
    timm = _timm(f"build {name!r}, which is not a network of torchvision")
    return "." not in name and bool(timm.is_model(name))


def build(name: str, *, pretrained: bool = False) -> Any:
    """A network without its classifier, pooling included.

    Args:
        name: One of `names`. `NAME.TAG` chooses pretrained weights.
        pretrained: Download its weights. Errors of timm and the Hub are not converted.
    """
    return _timm(f"build the network {name!r}").create_model(name, pretrained=pretrained, num_classes=0)


def embedding_dim(module: Any) -> int:
    """The number of features D of a network from `build`."""
    return int(getattr(module, "head_hidden_size", module.num_features))


def data_config(module: Any) -> dict[str, Any]:
    """The preprocessing of a network, as timm describes it."""
    from timm.data.config import resolve_model_data_config

    found: dict[str, Any] = resolve_model_data_config(module)  # type: ignore[no-untyped-call]
    return found


def _timm(purpose: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingDependencyError("timm", "teachers", purpose) from error
    return timm
