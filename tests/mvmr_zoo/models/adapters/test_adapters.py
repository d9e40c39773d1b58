"""External encoders, with weight files of small networks with random weights."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torchvision import models

from mvmr_zoo.architectures.encoder import count_macs
from mvmr_zoo.errors import CheckpointError, ConfigError, UnknownModelError
from mvmr_zoo.inference.engines import OnnxEngine
from mvmr_zoo.models.adapters import KINDS, is_external, load_external
from mvmr_zoo.models.describe import model_info
from mvmr_zoo.models.loading import load


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of random weights in the format of each library."""
    import open_clip
    import timm

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    torch.save(models.squeezenet1_1().state_dict(), folder / "squeezenet.pth")
    torch.save(models.shufflenet_v2_x0_5().state_dict(), folder / "shufflenet.pth")
    torch.save({"state_dict": timm.create_model("resnet10t").state_dict()}, folder / "resnet10t.pth")
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), folder / "vit.pth")
    torch.save(open_clip.create_model("ViT-S-32").state_dict(), folder / "clip.pth")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1))
    with warnings.catch_warnings(action="ignore"):  # the old exporter, with its own names
        torch.onnx.export(
            network, (torch.zeros(2, 3, 40, 40),), folder / "conv.onnx", dynamo=False, dynamic_axes={"input": {0: "n"}},
            input_names=["input"],
        )  # fmt: skip
    return folder


CASES = [
    ("torchvision:squeezenet1_1@{}/squeezenet.pth", 512, 224),
    ("timm:resnet10t@{}/resnet10t.pth", 512, 176),
    ("timm:vit_tiny_patch16_224@{}/vit.pth", 192, 224),
    ("open_clip:ViT-S-32@{}/clip.pth", 384, 224),
    ("effnet-lite:2", 1280, 260),
]


@pytest.mark.filterwarnings("ignore")  # warnings of the libraries about their own code
@pytest.mark.parametrize(("spec", "dim", "px"), CASES)
def test_both_engines_agree(spec: str, dim: int, px: int, weights: Path) -> None:
    spec = spec.format(weights)
    pytorch, onnx_model = load(spec, runtime="torch"), load(spec, threads=1)
    assert isinstance(onnx_model.engine, OnnxEngine)
    assert onnx_model.engine._session.get_session_options().intra_op_num_threads == 1
    assert (pytorch.card.embedding_dim, pytorch.card.input_px, pytorch.preprocess.crop_px) == (dim, px, px)
    assert pytorch.weights_digest == onnx_model.weights_digest
    images = np.random.default_rng(0).standard_normal((3, 3, px, px)).astype(np.float32)
    a, b = pytorch.engine(images), onnx_model.engine(images)
    assert a.shape == (3, dim)
    np.testing.assert_allclose(a, b, atol=2e-4 * float(np.abs(a).max()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("spec", "architecture", "dim", "px", "parameters", "macs"),
    [
        # torchvision: 1,814,073,344 multiply-accumulates with the classifier, whose 512 x 1,000 are not counted here
        ("torchvision:resnet18", "resnet18", 512, 224, 11_176_512, 1_814_073_344 - 512_000),
        ("timm:vit_tiny_patch16_224", "vit_tiny_patch16_224", 192, 224, 5_524_416, 1_253_491_200),
        ("open_clip:ViT-B-32/openai", "ViT-B-32", 512, 224, 87_849_216, 4_408_811_520),
        ("effnet-lite:2", "efficientnet-lite2", 1280, 260, 4_811_072, 858_456_272),
        ("onnx:{}/conv.onnx", "onnx", 8, 40, 8 * 28, 8 * 27 * 38 * 38),
    ],
)
def test_every_kind_is_described_without_weights(
    spec: str, architecture: str, dim: int, px: int, parameters: int, macs: int, weights: Path
) -> None:
    card = model_info(spec.format(weights))
    assert (card.architecture, card.embedding_dim, card.input_px) == (architecture, dim, px)
    assert (card.parameters, card.macs) == (parameters, macs)
    assert card.license in ("not stated", "apache-2.0")


def test_the_cost_of_an_onnx_file_is_that_of_the_network(weights: Path, tmp_path: Path) -> None:
    network = models.squeezenet1_1(num_classes=10).eval()
    for parameter in network.parameters():  # the exporter stores equal tensors once, such as biases of zeros
        torch.nn.init.uniform_(parameter)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            network, (torch.zeros(2, 3, 64, 64),), tmp_path / "a.onnx", dynamo=False, dynamic_axes={"input": {0: "n"}},
            input_names=["input"],
        )  # fmt: skip
    card = model_info(f"onnx:{tmp_path}/a.onnx")
    assert card.parameters == sum(each.numel() for each in network.parameters())
    assert card.macs == count_macs(network, 64)


@pytest.mark.filterwarnings("ignore")
def test_clip_equals_encode_image(weights: Path) -> None:
    import open_clip

    clip = open_clip.create_model("ViT-S-32").eval()
    clip.load_state_dict(torch.load(weights / "clip.pth", weights_only=True))
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = clip.encode_image(images).numpy()
    found = load(f"open_clip:ViT-S-32@{weights}/clip.pth", runtime="torch").engine(images.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_torchvision_features_are_the_input_of_the_classifier(weights: Path) -> None:
    network = models.shufflenet_v2_x0_5().eval()
    network.load_state_dict(torch.load(weights / "shufflenet.pth", weights_only=True))
    images = torch.randn(2, 3, 64, 64)
    features = load_external(f"torchvision:shufflenet_v2_x0_5@{weights}/shufflenet.pth").module
    assert features is not None
    with torch.inference_mode():
        torch.testing.assert_close(network.fc(features(images)), network(images))


def test_an_onnx_file_runs_unchanged(weights: Path) -> None:
    model = load(f"onnx:{weights}/conv.onnx")
    images = np.random.default_rng(0).standard_normal((2, 3, 40, 40)).astype(np.float32)
    session = onnx.reference.ReferenceEvaluator(str(weights / "conv.onnx"))
    expected = session.run(None, {"input": images})[0].reshape(2, 8)
    np.testing.assert_allclose(model.engine(images), expected, atol=1e-5)
    assert (model.card.embedding_dim, model.preprocess.crop_px) == (8, 40)
    with pytest.raises(ConfigError, match="ONNX graph"):
        load(f"onnx:{weights}/conv.onnx", runtime="torch")


def test_threads_are_set_in_the_session(weights: Path) -> None:
    engine = load(f"onnx:{weights}/conv.onnx", threads=1).engine
    assert isinstance(engine, OnnxEngine)
    assert engine._session.get_session_options().intra_op_num_threads == 1


@pytest.mark.filterwarnings("ignore")
def test_clip_with_a_tag_and_a_file_uses_the_preprocessing_of_the_tag(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    torch.save(open_clip.create_model("ViT-B-32").state_dict(), weights / "b32.pth")
    config = open_clip.get_pretrained_cfg("ViT-B-32", "openai") | {"mean": (0.5, 0.25, 0.5)}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: config)
    tagged = load_external(f"open_clip:ViT-B-32/openai@{weights}/b32.pth")
    assert tagged.preprocess.mean == (0.5, 0.25, 0.5)
    assert load_external(f"open_clip:ViT-B-32@{weights}/b32.pth").preprocess.mean != (0.5, 0.25, 0.5)
    activation = tagged.module.transformer.resblocks[0].mlp.gelu
    assert type(activation).__name__ == "QuickGELU"  # the activation that the weights of OpenAI were trained with
    with pytest.raises(UnknownModelError, match="does not select weights"):
        load_external(f"open_clip:ViT-B-32/nobody@{weights}/b32.pth")


def test_onnx_files_with_other_inputs_are_refused(weights: Path, tmp_path: Path) -> None:
    model = onnx.load(weights / "conv.onnx")
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    height = model.graph.input[0].type.tensor_type.shape.dim[2]
    batch.dim_value = 1
    onnx.save(model, tmp_path / "one.onnx")
    with pytest.raises(CheckpointError, match=r"only batches of 1\. Export it with a dynamic batch"):
        load(f"onnx:{tmp_path}/one.onnx")
    batch.dim_param, height.dim_value = "n", 30
    onnx.save(model, tmp_path / "wide.onnx")
    with pytest.raises(CheckpointError, match="with H = W"):
        load(f"onnx:{tmp_path}/wide.onnx")


@pytest.mark.parametrize("kind", ["an unknown operator", "an index out of range"])
def test_onnx_files_that_do_not_run(kind: str, tmp_path: Path) -> None:
    """ONNX Runtime's exceptions became tracebacks."""
    helper, numbers = onnx.helper, onnx.TensorProto
    nodes = {
        "an unknown operator": [helper.make_node("Unknown", ["images"], ["features"], domain="other")],
        "an index out of range": [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("Gather", ["flat", "index"], ["features"], axis=1),
        ],
    }
    graph = helper.make_graph(
        nodes[kind],
        "graph",
        [helper.make_tensor_value_info("images", numbers.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("features", numbers.FLOAT, ["N", 1])],
        [helper.make_tensor("index", numbers.INT64, [1], [999_999])],
    )
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("other", 1)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=versions), tmp_path / "encoder.onnx")
    with pytest.raises(
        CheckpointError, match=r"cannot be loaded: .*Unknown|cannot run the graph: .*out of .*bounds"
    ) as caught:
        load(f"onnx:{tmp_path / 'encoder.onnx'}").embed(np.zeros((40, 40, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_preprocessing_file_next_to_an_onnx_file(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "conv.onnx").write_bytes((weights / "conv.onnx").read_bytes())
    beside = tmp_path / "conv.preprocess.json"
    own = load(f"onnx:{tmp_path}/conv.onnx").preprocess.to_dict() | {"mean": [0.5, 0.5, 0.5]}
    beside.write_text(json.dumps(own))
    assert load(f"onnx:{tmp_path}/conv.onnx").preprocess.mean == (0.5, 0.5, 0.5)
    beside.write_text('{"crop_px": "big"}')
    with pytest.raises(CheckpointError, match=r"conv\.preprocess\.json"):
        load(f"onnx:{tmp_path}/conv.onnx")


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("open_clip:ViT-B-32/nobody", UnknownModelError, r"open_clip:ViT-B-32@FILE.*ViT-B-32/laion"),
        ("open_clip:ViT-B-33/openai", UnknownModelError, r"no architecture 'ViT-B-33'. Closest: ViT-B-32"),
        ("timm:resnet10x", UnknownModelError, r"no network 'resnet10x'. Closest: resnet"),
        ("torchvision:resnet19", UnknownModelError, r"no classification network 'resnet19'. Closest: resnet1"),
        ("torchvision:resnet18@/nowhere.pth", UnknownModelError, r"/nowhere\.pth is not a file"),
        ("timm:resnet10t@{}/vit.pth", CheckpointError, r"vit\.pth belongs to another network\. .*missing"),
        ("torchvision:squeezenet1_1@{}/text.pth", CheckpointError, r"text\.pth cannot be read as weights"),
        ("onnx:{}/vit.pth", CheckpointError, "not a valid ONNX file"),
        ("onnx:nowhere.onnx", UnknownModelError, r"nowhere\.onnx is not a file"),
    ],
)
def test_error_messages(spec: str, error: type[Exception], says: str, weights: Path) -> None:
    (weights / "text.pth").write_text("not weights")
    with pytest.raises(error, match=says):
        load(spec.format(weights))


def test_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UnknownModelError, match=r"not on this machine.*squeezenet1_1-.*\.pth on another .*@FILE"):
        load("torchvision:squeezenet1_1")


def test_specs() -> None:
    assert all(is_external(f"{kind}:x") for kind in KINDS)
    assert not is_external("local-dir:x")
    assert not is_external("timm")
