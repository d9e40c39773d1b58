"""Preprocessing and classifier in the graph, tested with encoders that return their input."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, parser
from PIL import Image

from export.options import OPSETS
from export.stages import join_stages
from mvmr_zoo.checkpoint import Head
from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.images import read_image
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.inference.engines import onnx_session
from mvmr_zoo.inference.pipeline import unit
from mvmr_zoo.models.exported import Signature

from .conftest import signature

PRESETS = {
    "bundled": Preprocess(resize_px=144, crop_px=128),
    "imagenet": Preprocess(resize_px=256, crop_px=224),
    "bicubic": Preprocess(resize_px=256, crop_px=224, interpolation="bicubic"),
    "tight": Preprocess(resize_px=65, crop_px=64),
    "tight bicubic": Preprocess(resize_px=64, crop_px=64, interpolation="bicubic"),
}
SHAPES = {
    "landscape": (300, 200),
    "portrait": (200, 300),
    "square": (256, 256),
    "odd": (297, 191),
    "small": (31, 20),
    "small portrait": (17, 29),
    "strip": (300, 12),
    "one column": (1, 40),
    "one row": (40, 1),
    "one pixel": (1, 1),
}


def flatten_encoder(opset: int = 20) -> ModelProto:
    """Return an encoder whose features are the flattened images."""
    return parser.parse_model(f"""
        <ir_version: 10, opset_import: ["": {opset}]>
        encoder (float[batch, 3, height, width] images) => (float[batch, D] features) {{
            features = Flatten<axis=1>(images)
        }}""")


def identity_encoder() -> ModelProto:
    """Return an encoder with flat inputs, which are also its features."""
    return parser.parse_model("""
        <ir_version: 10, opset_import: ["": 20]>
        encoder (float[batch, D] images) => (float[batch, D] features) { features = Identity(images) }""")


def run(model: ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    return onnx_session(model.SerializeToString()).run(None, inputs)


def full(preprocess: Preprocess, opset: int = 20) -> ModelProto:
    px = preprocess.crop_px
    read = signature(stage="full", preprocess=preprocess, size_px=px, opset=opset, embedding_dim=3 * px * px)
    return join_stages(flatten_encoder(opset), read, None)


def levels_off(preprocess: Preprocess, found: np.ndarray, image: Image.Image) -> np.ndarray:
    """Return the absolute difference of normalized pixels from `Preprocess`, in gray levels."""
    deviation = np.asarray(preprocess.std)[:, None, None] * 255
    return np.abs(found.reshape(3, preprocess.crop_px, preprocess.crop_px) - preprocess(image)) * deviation


@pytest.mark.parametrize("preset", PRESETS)
def test_full_preprocessing_of_photographs(preset: str) -> None:
    """Pixels rarely differ, and by at most one gray level, because both use Pillow's fixed-point arithmetic."""
    preprocess = PRESETS[preset]
    session = onnx_session(full(preprocess).SerializeToString())
    off = {}
    for path in photographs():
        image = read_image(path)
        (found,) = session.run(None, {"photo": np.asarray(image)})
        assert found.shape == (1, 3 * preprocess.crop_px**2)
        off[path.name] = levels_off(preprocess, found, image)
    assert max(each.max() for each in off.values()) < 1.01
    assert np.mean([each.mean() for each in off.values()]) < 0.01
    assert max(each.mean() for each in off.values()) < 0.02


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", SHAPES)
def test_photos_of_any_shape(shape: str, interpolation: str) -> None:
    """Pillow resizes the height of tall photos first and rounds in between. ONNX Runtime starts with the width."""
    width, height = SHAPES[shape]
    image = read_image(photographs()[4]).crop((100, 0, 100 + width, height))
    preprocess = Preprocess(resize_px=36, crop_px=32, interpolation=interpolation)
    (found,) = run(full(preprocess), {"photo": np.asarray(image)})
    off = levels_off(preprocess, found, image)
    assert off.max() < (1.01 if interpolation == "bilinear" else 2.01)
    assert off.mean() < (0.35 if height > width else 0.01)


def test_all_opsets_resize_equally() -> None:
    photo = np.asarray(read_image(photographs()[6]))
    preprocess = Preprocess(resize_px=36, crop_px=32, interpolation="bicubic")
    found = [run(full(preprocess, opset), {"photo": photo})[0] for opset in OPSETS]
    assert np.std(found[0]) > 0.1
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


@settings(max_examples=40, deadline=None)
@given(
    mean=st.tuples(*[st.floats(-2, 2)] * 3),
    std=st.tuples(*[st.floats(1e-5, 100)] * 3),
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
)
def test_normalization_is_bit_exact(
    mean: tuple[float, float, float], std: tuple[float, float, float], size: tuple[int, int, int]
) -> None:
    preprocess = Preprocess(resize_px=36, crop_px=32, mean=mean, std=std)
    n, height, width = size
    pixels = np.random.default_rng(n * 81 + height * 9 + width).integers(0, 256, (n, height, width, 3), np.uint8)
    model = join_stages(flatten_encoder(), signature(stage="normalize", preprocess=preprocess), None)
    (found,) = run(model, {"pixels": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})
    expected = np.stack([preprocess.normalize(each) for each in pixels]).reshape(n, -1)
    np.testing.assert_array_equal(found, expected)


def test_fixed_batch_and_size_are_set_in_the_graph() -> None:
    model = join_stages(flatten_encoder(), signature(stage="normalize", size_px=32, batch=3), None)
    (pixels,) = model.graph.input
    assert pixels.name == "pixels"
    assert [dim.dim_value for dim in pixels.type.tensor_type.shape.dim] == [3, 3, 32, 32]
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_features_of_unit_length() -> None:
    features = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    features[0] *= 1e-20
    features[1] *= 1e15
    features[2] = 0
    (found,) = run(join_stages(identity_encoder(), signature(unit_norm=True), None), {"images": features})
    np.testing.assert_allclose(np.linalg.norm(found[[0, 1, 3, 4, 5]], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found, unit(features), atol=1e-6)
    assert not found[2].any()


@pytest.mark.parametrize("unit_norm", [False, True])
def test_classifier_reads_unnormalized_features(unit_norm: bool) -> None:
    random = np.random.default_rng(0)
    features, weight = (random.standard_normal((n, 64)).astype(np.float32) for n in (4, 5))
    head = Head(weight, random.standard_normal(5).astype(np.float32))
    model = join_stages(identity_encoder(), signature(head=True, unit_norm=unit_norm), head)
    assert [output.name for output in model.graph.output] == ["features", "logits"]
    found, logits = run(model, {"images": features})
    np.testing.assert_allclose(logits, features @ head.weight.T + head.bias, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found, unit(features) if unit_norm else features, atol=1e-6)


def test_encoder_is_returned_unchanged_if_nothing_is_added() -> None:
    encoder = flatten_encoder()
    assert join_stages(encoder, signature(), None) is encoder


def test_encoder_is_not_modified() -> None:
    encoder = flatten_encoder()
    before = encoder.SerializeToString()
    both: Signature = signature(stage="normalize", unit_norm=True)
    join_stages(encoder, both, None)
    assert encoder.SerializeToString() == before
