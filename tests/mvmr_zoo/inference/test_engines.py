from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mvmr_zoo.architectures.encoder import Encoder
from mvmr_zoo.inference.engines import OnnxEngine, TorchEngine
from mvmr_zoo.inference.graph import weightless_graph

from ...conftest import shallow


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("architecture", ["resnet8", "resnet18-small", "resnet50"])  # each stem and each block
def test_both_engines_agree_at_any_batch_and_size(architecture: str) -> None:
    torch.manual_seed(0)
    encoder = shallow(Encoder(architecture)) if architecture == "resnet50" else Encoder(architecture)
    encoder.train()
    with torch.no_grad():
        encoder(torch.randn(8, 3, 64, 64))  # batch norm statistics away from 0 and 1
    encoder.eval()
    graph = weightless_graph(encoder, size_px=64)
    assert len(graph) < 200_000
    onnx = OnnxEngine(graph, {name: w.numpy() for name, w in encoder.weights().items()})
    pytorch = TorchEngine(encoder)
    random = np.random.default_rng(0)
    for n, height, width in ((1, 64, 64), (3, 96, 72), (7, 33, 65)):
        images = random.standard_normal((n, 3, height, width)).astype(np.float32)
        one, two = onnx(images), pytorch(images)
        assert one.shape == (n, encoder.embedding_dim)
        assert one.dtype == np.float32
        assert cosine(one, two).min() > 0.99999


def test_the_graph_is_the_same_bytes_each_time() -> None:
    encoder = Encoder("resnet8x4").eval()
    assert weightless_graph(encoder, size_px=32) == weightless_graph(encoder, size_px=32)


def test_onnxruntime_sends_and_stores_nothing(tmp_path: Path) -> None:
    """Its telemetry stores an identifier of the machine when it is imported, and is on by default."""
    code = "from mvmr_zoo.inference import onnxruntime_library; print(onnxruntime_library().__name__)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "onnxruntime\n"
    assert list(tmp_path.rglob("*")) == []
