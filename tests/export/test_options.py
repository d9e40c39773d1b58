from __future__ import annotations

import pytest

from export.options import OPSETS, ExportOptions, parse_batch, parse_size, signature_of
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images.preprocess import Preprocess
from mvmr_zoo.models.exported import Signature
from mvmr_zoo.models.loading import load

from ..exported_folders import ExportedFolders


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dtype": "fp61"}, r"--dtype is 'fp61'; expected fp32, fp16, int8\. Closest: fp16\."),
        ({"dtype": "INT8"}, r"--dtype is 'INT8'; expected fp32, fp16, int8\."),
        ({"stage": "ful"}, r"--preprocess is 'ful'; expected none, normalize, full\. Closest: full\."),
        ({"device": "gpu"}, r"--device is 'gpu'; expected cpu, cuda\."),
        ({"opset": 17}, r"--opset is 17; expected 18 to 23\."),
        ({"opset": 24}, r"--opset is 24"),
        ({"size": 0}, r"--size is 0; expected at least 32 pixels, or dynamic\."),
        ({"size": 31}, r"--size is 31; expected at least 32 pixels"),
        ({"batch": 0}, r"--batch is 0; expected at least 1, or dynamic\."),
        ({"stage": "full", "size": "dynamic"}, r"cannot be combined with --size dynamic or --batch"),
        ({"stage": "full", "batch": 4}, r"cannot be combined with --size dynamic or --batch"),
    ],
)
def test_invalid_options_are_rejected(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**fields)


def test_valid_options_are_accepted() -> None:
    assert [ExportOptions(opset=opset).opset for opset in OPSETS] == [18, 19, 20, 21, 22, 23]
    assert ExportOptions(stage="full", size=64).size == 64
    assert ExportOptions(stage="normalize", size="dynamic", batch=1).batch == 1
    assert ExportOptions(size=32).size == 32


def test_signature_of_an_export(exports: ExportedFolders) -> None:
    model = load(exports.spec)
    options = ExportOptions(dtype="int8", stage="normalize", size=64, batch=2, opset=19, unit_norm=True, head=True)
    assert signature_of(model, options) == Signature(
        dtype="int8",
        stage="normalize",
        preprocess=Preprocess(resize_px=72, crop_px=64),
        size_px=64,
        batch=2,
        opset=19,
        unit_norm=True,
        head=True,
        embedding_dim=64,
    )
    assert signature_of(model, ExportOptions()).size_px == 32
    dynamic = signature_of(model, ExportOptions(size="dynamic"))
    assert (dynamic.size_px, dynamic.batch, dynamic.preprocess) == (None, None, model.preprocess)
    with pytest.raises(ConfigError, match=r"--size is 2048, which is too large: .*resize_px is 2304"):
        signature_of(model, ExportOptions(size=2048))


def test_parse_size_and_batch() -> None:
    assert [parse_size(text) for text in ("dynamic", None, "224", "-3")] == ["dynamic", None, 224, -3]
    assert [parse_batch(text) for text in ("dynamic", "16", "0")] == [None, 16, 0]


@pytest.mark.parametrize("text", ["", "big", "2.5", "224px", "dynamics"])
def test_parse_rejects_invalid_numbers(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--size is .*; expected a whole number of pixels, or dynamic\."):
        parse_size(text)
    with pytest.raises(ConfigError, match=r"--batch is .*; expected a whole number of images, or dynamic\."):
        parse_batch(text)
