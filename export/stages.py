"""What stands before and after the encoder in a `model.onnx`, as ONNX text, and how the parts are joined."""

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
_SMALLEST = float(np.finfo(np.float32).tiny)


def joined(encoder: ModelProto, contract: Signature, head: Head | None) -> ModelProto:
    """The encoder with its preprocessing before it, and its classifier and unit norm after it.

    Args:
        encoder: `images` float32 to `features` float32.
        contract: what the result reads and answers.
        head: the classifier, where the contract has one.
    """
    answers = head is not None or contract.unit_norm
    if contract.stage == "none" and not answers:
        return encoder
    model = compose.add_prefix(encoder, "encoder_", rename_inputs=False, rename_outputs=answers)
    if contract.stage != "none":
        model = compose.merge_models(preprocessing(contract, encoder.ir_version), model, io_map=[("images", "images")])
    if answers:
        after = _parsed(_after(contract, head), contract, encoder.ir_version)
        if head is not None:
            after.graph.initializer.append(_initializer("weight", head.weight))
            after.graph.initializer.append(_initializer("bias", head.bias))
        model = compose.merge_models(model, after, io_map=[("encoder_features", "encoded")])
    return model


def preprocessing(contract: Signature, ir_version: int = 10) -> ModelProto:
    """What stands before the encoder: `pixels` or `photo` to `images`, which it reads."""
    return _parsed(_before(contract), contract, ir_version)


def _parsed(text: str, contract: Signature, ir_version: int) -> ModelProto:
    return parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["": {contract.opset}]>' + text)


def _before(contract: Signature) -> str:
    preprocess, crop_px = contract.preprocess, contract.preprocess.crop_px
    if contract.stage == "full":
        return f"""
            preprocessing (uint8[height, width, 3] photo) => (float[1, 3, {crop_px}, {crop_px}] images)
            {{
                {_cropping(preprocess)}
                {_normalizing(preprocess)}
            }}"""
    batch, side = contract.batch or "batch", contract.size_px
    sides = f"{side or 'height'}, {side or 'width'}"
    return f"""
        preprocessing (uint8[{batch}, 3, {sides}] pixels) => (float[{batch}, 3, {sides}] images)
        {{
            {_normalizing(preprocess)}
        }}"""


def _cropping(preprocess: Preprocess) -> str:
    """`Preprocess.crop`: resize the short side, cut out the center.

    On uint8, ONNX Runtime resizes in the fixed-point arithmetic of Pillow, from which its antialiasing is taken.
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


def _normalizing(preprocess: Preprocess) -> str:
    """`Preprocess.normalize`, in the same float32 numbers."""
    mean = np.asarray(preprocess.mean, np.float32) * 255
    scale = (1 / (np.asarray(preprocess.std, np.float32) * 255)).astype(np.float32)
    return f"""
        counts = Cast<to=1>(pixels)
        mean = Constant<value=float[1, 3, 1, 1] {{{_numbers(mean)}}}>()
        centerd = Sub(counts, mean)
        scale = Constant<value=float[1, 3, 1, 1] {{{_numbers(scale)}}}>()
        images = Mul(centerd, scale)"""


def _after(contract: Signature, head: Head | None) -> str:
    batch = 1 if contract.stage == "full" else contract.batch or "batch"
    rows = f"float[{batch}, {contract.embedding_dim}]"
    logits = "" if head is None else f", float[{batch}, {len(head.bias)}] logits"
    classify = "" if head is None else "logits = Gemm<transB=1>(encoded, weight, bias)"
    scale = f"""
        axis = Constant<value_ints=[1]>()
        norm = ReduceL2<keepdims=1>(encoded, axis)
        smallest = Constant<value_float={_SMALLEST!r}>()
        length = Max(norm, smallest)
        features = Div(encoded, length)"""
    return f"""
        answer ({rows} encoded) => ({rows} features{logits})
        {{
            {scale if contract.unit_norm else "features = Identity(encoded)"}
            {classify}
        }}"""


def _initializer(name: str, values: NDArray[np.float32]) -> object:
    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def _numbers(values: NDArray[np.float32]) -> str:
    """As text that reads back as the same float32."""
    return ", ".join(f"{value:.9g}" for value in values.tolist())
