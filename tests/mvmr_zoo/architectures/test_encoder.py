from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet18, resnet50

from mvmr_zoo.architectures.encoder import BACKBONES, Encoder
from mvmr_zoo.errors import ConfigError

PARAMETERS = {
    "resnet18": 11_689_512 - 513_000,  # torchvision's own count without its 1000-class layer
    "resnet18-small": 11_689_512 - 513_000 - 3 * 64 * (49 - 9),
    "resnet50": 25_557_032 - 2_049_000,
    "resnet50-small": 25_557_032 - 2_049_000 - 3 * 64 * (49 - 9),
    "resnet8": 78_042 - 650,  # Tian et al.'s, without its 10-class layer
    "resnet8x4": 1_233_540 - 25_700,  # Tian et al.'s, without its 100-class layer
}


@pytest.mark.parametrize("architecture", BACKBONES)
def test_shape_and_size(architecture: str) -> None:
    encoder = Encoder(architecture).eval()
    with torch.inference_mode():
        assert encoder(torch.zeros(2, 3, 40, 56)).shape == (2, encoder.embedding_dim)
    assert sum(p.numel() for p in encoder.parameters()) == PARAMETERS[architecture]


@pytest.mark.parametrize(("architecture", "build"), [("resnet18", resnet18), ("resnet50", resnet50)])
def test_features_equal_torchvision(architecture: str, build) -> None:
    torch.manual_seed(0)
    theirs = build().eval()
    theirs.fc = torch.nn.Identity()
    ours = Encoder(architecture).eval()
    weights = {f"backbone.{k}": v for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    ours.load_weights(weights)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=0)


def test_small_stem_keeps_the_pool_and_every_position() -> None:
    backbone = Encoder("resnet18-small").backbone
    assert backbone.conv1.kernel_size == (3, 3)
    assert backbone.conv1.stride == (1, 1)
    assert isinstance(backbone.maxpool, torch.nn.MaxPool2d)


def test_zero_init_makes_residual_blocks_identities() -> None:
    encoder = Encoder("resnet18", zero_init_residual=True).eval()
    block = encoder.backbone.layer1[0]
    x = torch.rand(1, 64, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_weights_of_the_wrong_shape_or_name_are_refused() -> None:
    weights = Encoder("resnet8x4").weights()
    with pytest.raises(ValueError, match=r"tensors do not match, for example: .* is missing"):
        Encoder("resnet18").load_weights(weights)
    weights["backbone.conv1.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"backbone\.conv1\.weight has shape"):
        Encoder("resnet8x4").load_weights(weights)


def test_unknown_architecture() -> None:
    with pytest.raises(ConfigError, match=r"Closest: resnet1.* Expected: .*resnet8x4, or a classification network"):
        Encoder("resnet19")
