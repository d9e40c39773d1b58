"""A tiny encoder with random weights, as the folders and files that commands read."""

from __future__ import annotations

import threading
from pathlib import Path

from benchmarks.attack_kinds.arena import Arena

PX = 32

_ONE_AT_A_TIME = threading.Lock()


def tiny_checkpoint(arena: Arena) -> Path:
    """The checkpoint folder of a small ResNet for images of 32 px. Nobody may change it."""
    folder = arena.folder / "models" / "tiny"
    with _ONE_AT_A_TIME:
        if not folder.exists():
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    import torch

    from mvmr_zoo.architectures import Encoder
    from mvmr_zoo.checkpoint import SCHEMA_VERSION, CheckpointConfig
    from mvmr_zoo.images import Preprocess
    from mvmr_zoo.models import save_encoder

    torch.manual_seed(0)
    encoder = Encoder("resnet8x4")
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of the one batch
    with torch.no_grad():
        encoder(torch.randn(16, 3, PX, PX))
    facts = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=folder.name,
        architecture="resnet8x4",
        embedding_dim=encoder.embedding_dim,
        preprocess=Preprocess(resize_px=36, crop_px=PX),
        license="not stated",
        source="random weights",
    )
    save_encoder(encoder.eval(), folder, facts)
