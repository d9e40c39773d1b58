"""Classification networks of torchvision and timm by name, untrained and without their classifiers.

lookup                 which library has a network of a name
torchvision_networks   torchvision's networks
timm_networks          timm's networks: the one file that imports timm
"""

from __future__ import annotations

from mvmr_zoo.architectures.lookup import Headless, build_headless, find_network, zero_init_residual

__all__ = ["Headless", "build_headless", "find_network", "zero_init_residual"]
