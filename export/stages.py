"""Graphs of the preprocessing and the classifier in a `model.onnx`, written as ONNX text, and their composition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import compose, numpy_helper, parser

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from mvmr_zoo.checkpoint import Head
    from mvmr_zoo.images import Preprocess
    from mvmr_zoo.models.exported import Signature

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
_MIN_NORM = float(np.finfo(np.float32).tiny)


def join_stages(encoder: ModelProto, signature: Signature, head: Head | None) -> ModelProto:
    """Return the encoder with the preprocessing before it, and unit norm and classifier after it.

    Args:
        encoder: Encoder with a float32 input `images` and a float32 output `features`.
        signature: Signature of the result.
        head: Classifier; None if the signature has none.
    """
    has_outputs_graph = head is not None or signature.unit_norm
    if signature.stage == "none" and not has_outputs_graph:
        return encoder
    model = compose.add_prefix(encoder, "encoder_", rename_inputs=False, rename_outputs=has_outputs_graph)
    if signature.stage != "none":
        preprocessing = preprocessing_graph(signature, encoder.ir_version)
        model = compose.merge_models(preprocessing, model, io_map=[("images", "images")])
    if has_outputs_graph:
        outputs = _parse(_outputs_text(signature, head), signature, encoder.ir_version)
        if head is not None:
            outputs.graph.initializer.append(_initializer("weight", head.weight))
            outputs.graph.initializer.append(_initializer("bias", head.bias))
        model = compose.merge_models(model, outputs, io_map=[("encoder_features", "encoded")])
    return model


def preprocessing_graph(signature: Signature, ir_version: int = 10) -> ModelProto:
    """Return the preprocessing graph, from `pixels` or `photo` to the encoder's input `images`."""
    return _parse(_preprocessing_text(signature), signature, ir_version)


def _parse(text: str, signature: Signature, ir_version: int) -> ModelProto:
    return parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["": {signature.opset}]>' + text)


def _preprocessing_text(signature: Signature) -> str:
    preprocess, crop_px = signature.preprocess, signature.preprocess.crop_px
    if signature.stage == "full":
        return f"""
            preprocessing (uint8[height, width, 3] photo) => (float[1, 3, {crop_px}, {crop_px}] images)
            {{
                {_crop_text(preprocess)}
                {_normalize_text(preprocess)}
            }}"""
    batch, side = signature.batch or "batch", signature.size_px
    sides = f"{side or 'height'}, {side or 'width'}"
    return f"""
        preprocessing (uint8[{batch}, 3, {sides}] pixels) => (float[{batch}, 3, {sides}] images)
        {{
            {_normalize_text(preprocess)}
        }}"""


def _crop_text(preprocess: Preprocess) -> str:
    """Return the nodes of `Preprocess.crop`: resize the short side, then center crop.

    For uint8, ONNX Runtime resizes with the fixed-point arithmetic of Pillow, from which its antialiasing is ported.
    """
    mode = _MODES[preprocess.interpolation]
    return f"""
        sides = Shape<start=0, end=2>(photo)
        short = ReduceMin<keepdims=1>(sides)
        resize = Constant<value_ints=[{preprocess.resize_px}]>()
        longer = Mul(sides, resize)
        resized = Div(longer, short)
        planes = Transpose<perm=[2, 0, 1]>(photo)
        front = Constant<value_ints=[0]>()
        one_photo = Unsqueeze(planes, front)
        kept = Constant<value_ints=[1, 3]>()
        sizes = Concat<axis=0>(kept, resized)
        small = Resize<mode="{mode}", antialias=1, exclude_outside=1, cubic_coeff_a=-0.5>(one_photo, , , sizes)
        crop = Constant<value_ints=[{preprocess.crop_px}]>()
        spare = Sub(resized, crop)
        spare_float = Cast<to=1>(spare)
        half = Constant<value_float=0.5>()
        middle = Mul(spare_float, half)
        whole = Round(middle)
        start = Cast<to=7>(whole)
        stop = Add(start, crop)
        axes = Constant<value_ints=[2, 3]>()
        pixels = Slice(small, start, stop, axes)"""


def _normalize_text(preprocess: Preprocess) -> str:
    """Return the nodes of `Preprocess.normalize`, with the same float32 constants."""
    mean = np.asarray(preprocess.mean, np.float32) * 255
    scale = (1 / (np.asarray(preprocess.std, np.float32) * 255)).astype(np.float32)
    return f"""
        counts = Cast<to=1>(pixels)
        mean = Constant<value=float[1, 3, 1, 1] {{{_format_floats(mean)}}}>()
        centered = Sub(counts, mean)
        scale = Constant<value=float[1, 3, 1, 1] {{{_format_floats(scale)}}}>()
        images = Mul(centered, scale)"""


def _outputs_text(signature: Signature, head: Head | None) -> str:
    batch = 1 if signature.stage == "full" else signature.batch or "batch"
    rows = f"float[{batch}, {signature.embedding_dim}]"
    logits = "" if head is None else f", float[{batch}, {len(head.bias)}] logits"
    classify = "" if head is None else "logits = Gemm<transB=1>(encoded, weight, bias)"
    scale = f"""
        axis = Constant<value_ints=[1]>()
        norm = ReduceL2<keepdims=1>(encoded, axis)
        smallest = Constant<value_float={_MIN_NORM!r}>()
        length = Max(norm, smallest)
        features = Div(encoded, length)"""
    return f"""
        outputs ({rows} encoded) => ({rows} features{logits})
        {{
            {scale if signature.unit_norm else "features = Identity(encoded)"}
            {classify}
        }}"""


def _initializer(name: str, values: NDArray[np.float32]) -> object:
    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def _format_floats(values: NDArray[np.float32]) -> str:
    """Format float32 values so that parsing returns the same values."""
    return ", ".join(f"{value:.9g}" for value in values.tolist())
