"""From a name such as `regnet_x_400mf` or `timm:resnet50d` to the network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from mvmr_zoo.architectures import timm_networks, torchvision_networks
from mvmr_zoo.architectures.effnet_lite import DIM, SIZES_PX
from mvmr_zoo.errors import ConfigError, closest

if TYPE_CHECKING:
    from torch import nn

Library = Literal["torchvision", "timm", "effnet-lite"]

OWN_NAMES = ("resnet18", "resnet18-small", "resnet50", "resnet50-small", "resnet8", "resnet8x4")
"""The architectures in `BACKBONES`, whose module imports PyTorch."""


class NetworkName(NamedTuple):
    """A library, and the name of a network in it; of EfficientNet-Lite its number."""

    library: Library
    name: str


class Headless(NamedTuple):
    """A network without its classifier: `(N, 3, H, W)` to `(N, D)`.

    Args:
        module: The network, with random weights.
        embedding_dim: Number of features D.
    """

    module: nn.Module
    embedding_dim: int


def check_architecture(name: str) -> None:
    """Check that `Encoder` has an architecture of this name, without building it.

    torchvision is only imported if the name is not in `OWN_NAMES`, and timm if it is not torchvision's either.

    Raises:
        ConfigError: There is no such architecture. The message names the closest.
        MissingDependencyError: The name may be timm's, and timm is not installed.
    """
    if name not in OWN_NAMES:
        find_network(name)


def find_network(name: str) -> NetworkName:
    """Which library has a classification network of this name. No network is built.

    A bare name is torchvision's where torchvision has it, otherwise timm's. `torchvision:NAME`,
    `timm:NAME` and `effnet-lite:NUMBER` name the library. timm is only imported if torchvision does not have the name.

    Args:
        name: A bare name, `torchvision:NAME` or `timm:NAME`.

    Raises:
        ConfigError: Neither library has the name, or the network is not a classification network
            with one output.
        MissingDependencyError: torchvision does not have the name and timm is not installed.
    """
    prefix, separator, rest = name.partition(":")
    if not separator:
        if torchvision_networks.is_known(name):
            return NetworkName("torchvision", name)
        if timm_networks.is_known(name):
            return NetworkName("timm", name)
        known = [*OWN_NAMES, *torchvision_networks.names(), *timm_networks.names()]
        raise _unknown(name, known, ", ".join([*OWN_NAMES, "or a classification network of torchvision or timm"]))
    if prefix == "torchvision":
        if torchvision_networks.is_known(rest):
            return NetworkName("torchvision", rest)
        raise _unknown(name, torchvision_networks.names(), "a classification network of torchvision", prefix)
    if prefix == "effnet-lite":
        if rest in SIZES_PX:
            return NetworkName("effnet-lite", rest)
        raise _unknown(name, SIZES_PX, "effnet-lite:0, 1 or 2", prefix)
    if prefix == "timm":
        if timm_networks.is_known(rest):
            return NetworkName("timm", rest)
        raise _unknown(name, timm_networks.names(), "a network of timm, without the name of its weights", prefix)
    raise ConfigError(
        f"No architecture is named {name!r}. Expected NAME, torchvision:NAME, timm:NAME or effnet-lite:NUMBER."
    )


def build_headless(network: NetworkName) -> Headless:
    """Build a network that `find_network` found, with random weights. Nothing is downloaded."""
    if network.library == "torchvision":
        module = torchvision_networks.build(network.name)
        return Headless(module, torchvision_networks.cut_classifier(module))
    if network.library == "effnet-lite":
        from mvmr_zoo.architectures.effnet_lite import build_network

        return Headless(build_network(network.name), DIM)
    module = timm_networks.build(network.name)
    return Headless(module, timm_networks.embedding_dim(module))


def zero_init_residual(module: nn.Module) -> None:
    """Start the residual branches of a network at zero by setting the last scale of each to zero.

    This applies to torchvision's ResNets and RegNets, and to every timm block that has `zero_init_last`
    (ResNets, RegNets and similar networks). Other networks are unchanged.
    """
    from torch import nn

    for norm in torchvision_networks.residual_scales(module):
        nn.init.zeros_(norm.weight)  # type: ignore[arg-type]  # of a batch norm
    for block in module.modules():
        zero = getattr(block, "zero_init_last", None)
        if callable(zero):
            zero()


def _unknown(name: str, known: Iterable[str], expected: str, prefix: str = "") -> ConfigError:
    wanted = name.removeprefix(f"{prefix}:").partition(".")[0]  # in timm's NAME.TAG, the tag names weights
    near = [f"{prefix}:{each}" if prefix else each for each in closest(wanted, known)]
    closest_names = f" Closest: {', '.join(near)}." if near else ""
    return ConfigError(f"No architecture is named {name!r}.{closest_names} Expected: {expected}.")
