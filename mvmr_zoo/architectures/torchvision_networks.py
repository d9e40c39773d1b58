"""torchvision's classification networks, and how their classifiers are cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mvmr_zoo.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from torch import nn

_CLASSIFIERS = ("fc", "classifier", "head", "heads")
"""The attribute names of the classifiers."""

_SEVERAL_OUTPUTS = ("googlenet", "inception_v3")
"""These return a tuple in training mode, because they have an auxiliary classifier."""


def names() -> list[str]:
    """The names of the classification networks with one output. Raises MissingDependencyError without torchvision."""
    models = _models()
    return [name for name in models.list_models(module=models) if name not in _SEVERAL_OUTPUTS]


def is_known(name: str) -> bool:
    """Whether torchvision has a classification network of this name.

    Raises:
        ConfigError: It is a network for another task, a quantized one, or has several outputs.
        MissingDependencyError: torchvision is not installed.
    """
    models = _models()
    if name not in models.list_models():
        return False
    if name in _SEVERAL_OUTPUTS:
        raise ConfigError(f"{name!r} returns several outputs; expected a classification network with one.")
    kind = models.get_model_builder(name).__module__.removeprefix("torchvision.models.")
    if "." in kind:
        raise ConfigError(
            f"{name!r} is a network of torchvision.models.{kind.partition('.')[0]}; expected a classification network."
        )
    return name in names()


def build(name: str, weights: Any = None) -> Any:
    """A network with its classifier.

    Args:
        name: One of `names`.
        weights: A member of torchvision's weights enumeration; None for random weights.
    """
    return _models().get_model(name, weights=weights)


def cut_classifier(module: Any) -> int:
    """Replace the last linear layer, and the dropout in front of it, by identities.

    Hidden layers of a classifier are kept, as in timm: mobilenet_v3_large has 1,280 features.

    Returns:
        The number of features D that the last linear layer read.
    """
    from torch import nn

    holder, name = next((module, each) for each in _CLASSIFIERS if hasattr(module, each))
    while not isinstance(getattr(holder, name), nn.Linear):
        holder = getattr(holder, name)
        linear = [each for each, child in holder.named_children() if isinstance(child, nn.Linear)]
        if not linear:  # squeezenet classifies by a convolution
            dim = int(next(c.in_channels for c in holder.children() if isinstance(c, nn.Conv2d)))
            module.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1))
            return dim
        name = linear[-1]
    dim = int(getattr(holder, name).in_features)
    setattr(holder, name, nn.Identity())
    layers = [each for each, _ in holder.named_children()]
    before = layers[max(layers.index(name) - 1, 0)]
    if isinstance(getattr(holder, before), nn.Dropout):
        setattr(holder, before, nn.Identity())
    return dim


def residual_scales(module: nn.Module) -> list[nn.Module]:
    """The last batch norms of the residual branches of torchvision's ResNets and RegNets."""
    from torchvision.models.regnet import ResBottleneckBlock
    from torchvision.models.resnet import BasicBlock, Bottleneck

    scales: list[nn.Module] = []
    for block in module.modules():
        if isinstance(block, Bottleneck):
            scales.append(block.bn3)
        elif isinstance(block, BasicBlock):
            scales.append(block.bn2)
        elif isinstance(block, ResBottleneckBlock):
            scales.append(block.f.c[1])
    return scales


def _models() -> Any:
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingDependencyError("torchvision", "cpu", "build a network") from error
    return models
