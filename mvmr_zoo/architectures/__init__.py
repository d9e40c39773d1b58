"""Classification networks of torchvision and timm by name, untrained and without their classifiers.

lookup                 which library has a network of a name
torchvision_networks   torchvision's networks
timm_networks          timm's networks: the one file that imports timm
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo._io import lazy_import
from mvmr_zoo.architectures.lookup import Headless, build_headless, check_architecture, find_network, zero_init_residual
from mvmr_zoo.architectures.state_dicts import differences, is_counter, is_statistic, without_counters

if TYPE_CHECKING:
    from mvmr_zoo.architectures.encoder import BACKBONES, Encoder, count_macs, encoder_cost

__all__ = [
    "BACKBONES",
    "Encoder",
    "Headless",
    "build_headless",
    "check_architecture",
    "count_macs",
    "differences",
    "encoder_cost",
    "find_network",
    "is_counter",
    "is_statistic",
    "without_counters",
    "zero_init_residual",
]

_LAZY = {
    "BACKBONES": "mvmr_zoo.architectures.encoder",
    "Encoder": "mvmr_zoo.architectures.encoder",
    "count_macs": "mvmr_zoo.architectures.encoder",
    "encoder_cost": "mvmr_zoo.architectures.encoder",
}
"""Names whose modules import PyTorch or another large library. They are imported on first use."""

__getattr__ = lazy_import(__name__, _LAZY)
