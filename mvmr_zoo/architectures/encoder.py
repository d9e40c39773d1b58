"""Backbones, and `Encoder`: images to features. The projector used in training is not part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from mvmr_zoo.architectures import build_headless, find_network
from mvmr_zoo.architectures import zero_init_residual as start_at_zero
from mvmr_zoo.architectures.state_dicts import differences
from mvmr_zoo.errors import MissingDependencyError

try:
    from torchvision.models import resnet
except ImportError as error:
    raise MissingDependencyError("torchvision", "cpu", "build an encoder") from error


def _small_stem(network: resnet.ResNet) -> resnet.ResNet:
    """3x3 stride-1 first convolution; the max-pool stays, as in the paper's released weights."""
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return network


class CifarResNet(nn.Module):
    """ResNet with three stages of basic blocks; by its defaults the CIFAR family's ResNet-8x4.

    `(N, 3, H, W) -> (N, widths[-1])`. Source: He et al. 2016, section 4.2, four times as wide
    (Tian et al., Contrastive Representation Distillation, 2020).
    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 128, 256), blocks: int = 1) -> None:
        super().__init__()
        stem, *stages = widths
        self.conv1 = nn.Conv2d(3, stem, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(stem, stages[0], blocks, stride=1)
        self.layer2 = _stage(stages[0], stages[1], blocks, stride=2)
        self.layer3 = _stage(stages[1], stages[2], blocks, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features, `(N, widths[-1])`."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        pooled: Tensor = self.avgpool(x).flatten(1)
        return pooled


def _stage(inputs: int, outputs: int, blocks: int, *, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
        )
    first = resnet.BasicBlock(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(resnet.BasicBlock(outputs, outputs) for _ in range(blocks - 1)))


BACKBONES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet18": (resnet.resnet18, 512),
    "resnet18-small": (lambda: _small_stem(resnet.resnet18()), 512),
    "resnet50": (resnet.resnet50, 2048),
    "resnet50-small": (lambda: _small_stem(resnet.resnet50()), 2048),
    "resnet8": (lambda: CifarResNet((16, 16, 32, 64)), 64),
    "resnet8x4": (CifarResNet, 256),
}
"""Builder and feature dimension D of each architecture in `OWN_NAMES`. `-small` is the 3x3 stride-1 stem."""


class Encoder(nn.Module):
    """Images to backbone features: `(N, 3, H, W)` normalized float to `(N, D)`, not yet unit length.

    The weights are random; nothing is downloaded. The features are what the network's last linear layer
    would read, so hidden layers of a classifier stay (mobilenet_v3_large gives 1,280 features).

    Args:
        architecture: A name in `BACKBONES`, or the name of a classification network of torchvision or timm.
            `torchvision:NAME` and `timm:NAME` choose the library if both have the name.
        zero_init_residual: Start every residual branch at zero, as in the paper's training. This sets the last
            scale before the sum in ResNets and RegNets, and in every timm network whose blocks have
            `zero_init_last`. It has no effect on other networks. False keeps the library's initialization, which is
            zero as well in timm's ResNets and RegNets.

    Raises:
        ConfigError: No such architecture, or one for another task.
        MissingDependencyError: The name may be timm's, and timm is not installed.
    """

    def __init__(self, architecture: str, *, zero_init_residual: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        if architecture in BACKBONES:
            build, self.embedding_dim = BACKBONES[architecture]
            self.backbone = build()
            if hasattr(self.backbone, "fc"):
                self.backbone.fc = nn.Identity()
        else:
            self.backbone, self.embedding_dim = build_headless(find_network(architecture))
        if zero_init_residual:
            start_at_zero(self.backbone)

    def forward(self, images: Tensor) -> Tensor:
        """Features `(N, D)` of images `(N, 3, H, W)`."""
        features: Tensor = self.backbone(images)
        return features

    def weights(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint stores, by name, on the CPU.

        Integers are omitted: batch norm's step counters, and tables that the architecture determines.
        """
        return {name: each.detach().cpu().contiguous() for name, each in self._floats().items()}

    def load_weights(self, tensors: dict[str, Tensor]) -> None:
        """Take over the tensors of `weights`, cast to fp32. Raises ValueError where names or shapes differ."""
        if wrong := differences(tensors, self._floats()):
            raise ValueError(f"{len(wrong)} tensors do not match, for example: {wrong[0]}")
        self.load_state_dict({name: tensor.to(torch.float32) for name, tensor in tensors.items()}, strict=False)

    def _floats(self) -> dict[str, Tensor]:
        return {name: each for name, each in self.state_dict().items() if each.is_floating_point()}


class Cost(NamedTuple):
    """The number of trainable parameters of an encoder, and of multiply-accumulates for one image."""

    parameters: int
    macs: int


def encoder_cost(architecture: str, px: int) -> Cost:
    """Count the parameters of an encoder, and the multiply-accumulates of its convolutions and linear layers.

    The network is built, but only the shapes of its features are computed.

    Args:
        architecture: See `Encoder`.
        px: Side of the square image.

    Raises:
        ConfigError: No such architecture.
        MissingDependencyError: The name may be timm's, and timm is not installed.
    """
    encoder = Encoder(architecture).eval()
    return Cost(sum(each.numel() for each in encoder.parameters()), count_macs(encoder, px))


def count_macs(module: nn.Module, px: int) -> int:
    """Multiply-accumulates of the convolutions and matrix products of a network for one image of side `px`.

    Only shapes are computed, so the weights are neither read nor copied.

    Args:
        module: Maps `(N, 3, H, W)` to features, in evaluation mode.
        px: Side of the image.

    Returns:
        The number, or 0 if the network creates tensors on the CPU, so that its shapes cannot be computed alone.
    """
    shapes = {name: each.to("meta") for name, each in [*module.named_parameters(), *module.named_buffers()]}
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            functional_call(module, shapes, (torch.zeros(1, 3, px, px, device="meta"),))
    except RuntimeError:
        return 0
    return int(counter.get_total_flops() // 2)
