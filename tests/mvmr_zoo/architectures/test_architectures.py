"""Encoders that are networks of torchvision and timm, from the name to the checkpoint folder in both engines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.architectures import check_architecture
from mvmr_zoo.architectures.encoder import BACKBONES, Encoder, encoder_cost
from mvmr_zoo.architectures.lookup import OWN_NAMES
from mvmr_zoo.checkpoint import SCHEMA_VERSION, Checkpoint, CheckpointConfig, golden_images
from mvmr_zoo.errors import CheckpointError, ConfigError, MissingDependencyError
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.models.loading import load
from mvmr_zoo.models.save import save_encoder
from mvmr_zoo.models.verify import verify_checkpoint

PX = 64
DIMS = {
    "regnet_x_400mf": 400,
    "mobilenet_v3_large": 1280,
    "efficientnet_lite0": 1280,
    "resnet50d": 2048,
    "lcnet_050": 1280,
}
PARAMETERS = {  # the libraries' own counts, without the 1000-class layer
    "regnet_x_400mf": 5_495_976 - 401_000,
    "mobilenet_v3_large": 5_483_032 - 1_281_000,
    "efficientnet_lite0": 4_652_008 - 1_281_000,
    "resnet50d": 25_576_264 - 2_049_000,
    "lcnet_050": 1_880_856 - 1_281_000,
}
PUBLISHED_MACS = {
    "regnet_x_400mf": 413e6, "mobilenet_v3_large": 217e6, "efficientnet_lite0": 407e6, "resnet50d": 4.36e9,
}  # fmt: skip


def calibrated(encoder: Encoder) -> Encoder:
    """Statistics of real batches, so that the features depend on the image; scales and offsets are random."""
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.2, 0.2)
    with torch.no_grad():
        encoder.train()(torch.randn(16, 3, PX, PX))
    return encoder.eval()


@pytest.fixture(scope="module", params=["regnet_x_400mf", "lcnet_050"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A checkpoint folder with fp16 weights, of a network of torchvision's and of one of timm's."""
    torch.manual_seed(0)
    encoder = calibrated(Encoder(request.param))
    config = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=request.param,
        architecture=request.param,
        embedding_dim=encoder.embedding_dim,
        preprocess=Preprocess(resize_px=PX, crop_px=PX),
        license="apache-2.0",
        source="random weights",
    )
    return save_encoder(encoder, tmp_path_factory.mktemp("made") / request.param, config, dtype=torch.float16)


def test_both_engines_give_the_same_at_any_batch_and_size(folder: Checkpoint) -> None:
    onnx, pytorch = load(folder.folder).engine, load(folder.folder, runtime="torch").engine
    random = np.random.default_rng(0)
    for images in (golden_images(PX), random.standard_normal((3, 3, 96, 72)).astype(np.float32)):
        one, two = onnx(images), pytorch(images)
        assert one.shape == (len(images), DIMS[folder.config.architecture])
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-4 * max(1.0, float(np.abs(two).max())))
        assert np.ptp(two, axis=0).max() > 1e-3  # the features depend on the image


def test_the_folder_is_sound_and_its_card_counts_the_weights(folder: Checkpoint) -> None:
    found = verify_checkpoint(folder)
    assert found.torch is not None
    assert min(found.onnx, found.torch) > 0.9999
    weights = folder.weights()
    assert all(tensor.dtype == np.float16 for tensor in weights.values())
    assert not [name for name in weights if name.endswith("num_batches_tracked")]
    assert len(folder.graph()) < 200_000
    card = load(folder.folder).card
    assert card.parameters == PARAMETERS[card.architecture]


@pytest.mark.parametrize("architecture", PUBLISHED_MACS)
def test_size(architecture: str) -> None:
    encoder = Encoder(architecture)
    assert encoder.embedding_dim == DIMS[architecture]
    cost = encoder_cost(architecture, 224)
    assert cost.parameters == PARAMETERS[architecture] == sum(each.numel() for each in encoder.parameters())
    assert cost.macs == pytest.approx(PUBLISHED_MACS[architecture], rel=0.07)
    features = encoder(torch.randn(2, 3, 64, 64))
    features.square().mean().backward()
    assert all(each.grad is not None for each in encoder.parameters())


@pytest.mark.parametrize("architecture", BACKBONES)
def test_cost_of_our_own(architecture: str) -> None:
    encoder = Encoder(architecture)
    assert encoder_cost(architecture, 32).parameters == sum(each.numel() for each in encoder.parameters())


def test_features_are_the_same_in_each_pass_of_training() -> None:
    encoder = Encoder("mobilenet_v3_large").train()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(encoder(images), encoder(images))  # no dropout in front of the projector


def test_a_bare_name_is_torchvisions_where_both_have_it() -> None:
    assert type(Encoder("efficientnet_b0").backbone).__module__.startswith("torchvision.")
    assert type(Encoder("torchvision:efficientnet_b0").backbone).__module__.startswith("torchvision.")
    assert type(Encoder("timm:efficientnet_b0").backbone).__module__.startswith("timm.")
    ours, theirs = Encoder("resnet18"), Encoder("timm:resnet18")
    assert type(ours.backbone) is not type(theirs.backbone)
    assert theirs.architecture == "timm:resnet18"


def last_scales(encoder: Encoder) -> list[torch.Tensor]:
    """Scales of the batch norms right before a sum, found by their names in these networks."""
    ends = ("bn3.weight", "f.c.1.weight")
    return [each for name, each in encoder.named_parameters() if name.endswith(ends)]


@pytest.mark.parametrize(
    ("architecture", "blocks"), [("regnet_x_400mf", 22), ("resnet50d", 16), ("resnext50_32x4d", 16)]
)
def test_zero_init_sets_the_last_scale_of_each_branch(architecture: str, blocks: int) -> None:
    scales = last_scales(Encoder(architecture, zero_init_residual=True))
    assert len(scales) == blocks
    assert not any(scale.any() for scale in scales)
    if architecture != "resnet50d":  # timm starts at zero by itself
        assert all(scale.all() for scale in last_scales(Encoder(architecture)))


@pytest.mark.parametrize("architecture", ["mobilenet_v3_large", "efficientnet_lite0"])
def test_zero_init_leaves_networks_without_such_a_scale(architecture: str) -> None:
    states = []
    for zero in (False, True):
        torch.manual_seed(0)
        states.append(Encoder(architecture, zero_init_residual=zero).state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=0, atol=0)


REFUSED = [
    ("resnet19", "No architecture is named 'resnet19'. Closest: resnet"),
    ("regnet_x_400m", "Closest: regnet_x_400mf"),
    ("efficientnet_lite", "Closest: efficientnet_lite"),
    ("torchvision:resnet50d", "Closest: torchvision:resnet50, "),
    ("timm:regnet_x_400mf", "Closest: timm:regnet"),
    ("resnet50d.ra2_in1k", "Closest: resnet50d, "),
    ("timm:hf-hub:someone/network", "No architecture is named 'timm:hf-hub:someone/network'"),
    ("open_clip:ViT-B-32", "Expected NAME, torchvision:NAME, timm:NAME or effnet-lite:NUMBER"),
    ("googlenet", "'googlenet' returns several outputs"),
    ("torchvision:inception_v3", "'inception_v3' returns several outputs"),
    ("fasterrcnn_resnet50_fpn", "torchvision.models.detection; expected a classification network"),
    ("fcn_resnet50", "torchvision.models.segmentation;"),
    ("r3d_18", "torchvision.models.video;"),
    ("quantized_resnet18", "torchvision.models.quantization;"),
    ("raft_small", "torchvision.models.optical_flow;"),
]


@pytest.mark.parametrize(("name", "says"), REFUSED)
def test_a_name_that_is_no_classification_network(name: str, says: str) -> None:
    for use in (check_architecture, Encoder):
        with pytest.raises(ConfigError) as caught:
            use(name)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_checking_a_name_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a layer was made")

    assert tuple(BACKBONES) == OWN_NAMES
    monkeypatch.setattr(torch.nn.Conv2d, "__init__", refuse)
    for name in (*BACKBONES, *DIMS, "timm:resnet50d", "torchvision:vit_b_16"):
        check_architecture(name)


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    check_architecture("resnet8x4")
    check_architecture("regnet_x_400mf")
    for name in ("resnet50d", "timm:resnet50d"):
        with pytest.raises(MissingDependencyError, match=r"'resnet50d'.*pip install 'mvmr-zoo\[teachers\]'"):
            check_architecture(name)


def test_a_folder_of_a_timm_network_runs_and_verifies_without_timm(
    folder: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder.config.architecture != "lcnet_050":
        pytest.skip("torchvision's")
    monkeypatch.setitem(sys.modules, "timm", None)
    assert load(folder.folder).engine(golden_images(PX)).shape == (4, folder.config.embedding_dim)
    assert verify_checkpoint(folder).torch is None


def test_a_folder_of_an_unknown_architecture_is_refused(folder: Checkpoint) -> None:
    path = folder.folder / "config.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"architecture": "fcn_resnet50"}))
    try:
        with pytest.raises(CheckpointError, match=r"config\.json: architecture: 'fcn_resnet50'"):
            load(Path(folder.folder), runtime="torch")
    finally:
        path.write_text(before)


def test_integer_tables_are_not_weights() -> None:
    encoder = Encoder("swin_t")
    weights = encoder.weights()
    assert all(tensor.is_floating_point() for tensor in weights.values())
    encoder.load_weights(weights)
