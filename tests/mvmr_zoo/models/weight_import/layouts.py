"""Weight files in the layouts of the authors, for networks with random weights."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet18

from mvmr_zoo.architectures.encoder import CifarResNet

from ....conftest import shaken


def tiny(small_stem: bool) -> nn.Module:
    """A network without a classifier: ResNet-18 with the small stem, or the faster ResNet-8x4."""
    return network(small_stem=True) if small_stem else shaken(CifarResNet())


def network(small_stem: bool = False, classes: int = 0, seed: int = 0) -> nn.Module:
    """The ResNet-18 of torchvision with random weights."""
    torch.manual_seed(seed)
    made = resnet18()
    if small_stem:
        made.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    made.fc = nn.Linear(512, classes) if classes else nn.Identity()
    return shaken(made, seed)


def prefixed(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


PROJECTOR = {
    "0.weight": torch.randn(16, 512), "1.weight": torch.ones(16), "1.bias": torch.zeros(16),
    "1.running_mean": torch.zeros(16), "1.running_var": torch.ones(16), "1.num_batches_tracked": torch.tensor(3),
    "3.weight": torch.randn(16, 16),
}  # fmt: skip


def ssl_pth(backbone: nn.Module, head: nn.Module) -> dict[str, Any]:
    """The layout of the authors' SSL and distilled models."""
    encoder = prefixed(backbone.state_dict(), "backbone.") | prefixed(PROJECTOR, "projector.")
    return {"encoder": encoder, "online_finetuner": head.state_dict()}


def semi_pth(backbone: nn.Module, head: nn.Module) -> dict[str, Any]:
    """The layout of the authors' semi-supervised and VOC07 models."""
    return {"encoder": backbone.state_dict(), "classifier": head.state_dict()}


def ssl_ckpt(backbone: nn.Module, head: nn.Module) -> dict[str, Any]:
    """A Lightning checkpoint of a distillation, which contains the teacher."""
    state = prefixed(ssl_pth(backbone, head)["encoder"], "_encoder.")
    state |= {
        "clip.visual.conv1.weight": torch.randn(4, 3, 2, 2),
        "online_finetuner.weight": head.state_dict()["weight"],
    }
    state["online_finetuner.bias"] = head.state_dict()["bias"]
    options = argparse.Namespace(lr=1e-4, out=pathlib.PosixPath("runs"))
    return {"epoch": 3, "state_dict": state, "hyper_parameters": {"config": options}, "optimizer_states": [{"a": 1}]}


def semi_ckpt(backbone: nn.Module, head: nn.Module) -> dict[str, Any]:
    """A Lightning checkpoint of fine-tuning."""
    return {"state_dict": prefixed(backbone.state_dict(), "encoder.") | prefixed(head.state_dict(), "classifier.")}
