"""`Signature`: the inputs, outputs and preprocessing of a `model.onnx`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from mvmr_zoo.checkpoint import OUTPUTS, Output
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images import Preprocess, Reads

if TYPE_CHECKING:
    from collections.abc import Mapping

Dtype = Literal["fp32", "fp16", "int8"]
Stage = Literal["none", "normalize", "full"]

SIGNATURE_KEY = "mvmr_zoo.contract"
"""Metadata key of `model.onnx` under which the signature is stored as JSON."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The inputs, outputs and preprocessing of a `model.onnx`. `export.json` stores it in the field `contract`.

    The input depends on `stage`. It is `images` `(N, 3, H, W)` float32 normalized for `none`, `pixels`
    `(N, 3, H, W)` uint8 for `normalize`, and `photo` `(H, W, 3)` uint8 of any size for `full`. The outputs are
    `features` or `aligned` `(N, D)` float32 and, with `head`, `logits` `(N, classes)`.

    Args:
        dtype: Dtype of the weights and the arithmetic.
        stage: Part of the preprocessing that is in the model: `none`, `normalize` or `full`.
        preprocess: The full preprocessing of a photo, whether it is in the model or not.
        size_px: Side of the square image that the encoder reads. None makes H and W dynamic.
        batch: Number of images per call. None makes it dynamic. The batch size of a `photo` is always 1.
        opset: Opset of the ONNX standard.
        unit_norm: Whether vectors are scaled to unit L2 norm.
        head: Whether the model contains the classifier.
        embedding_dim: D, the length of a vector.
        output: Output of the encoder, and the name of the output of `model.onnx`.
    """

    dtype: Dtype
    stage: Stage
    preprocess: Preprocess
    size_px: int | None
    batch: int | None
    opset: int
    unit_norm: bool
    head: bool
    embedding_dim: int
    output: Output = "features"

    @property
    def reads(self) -> Reads:
        """The form in which the caller passes images to `model.onnx`."""
        forms: dict[Stage, Reads] = {"none": "normalized", "normalize": "pixels", "full": "photo"}
        return forms[self.stage]

    @property
    def input_name(self) -> str:
        """The name of the input of `model.onnx`."""
        names: dict[Stage, str] = {"none": "images", "normalize": "pixels", "full": "photo"}
        return names[self.stage]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for `export.json`. `from_dict` reads them."""
        values = asdict(self)
        if self.output == "features":
            del values["output"]  # older exports do not have this field
        return values

    def to_json(self) -> str:
        """JSON for the metadata of `model.onnx`. Equal signatures give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ConfigError if a field is unknown, missing or invalid."""
        names = {field.name for field in fields(cls)}
        if wrong := sorted((names ^ values.keys()) - {"output"}):
            raise ConfigError(f"contract: the field {wrong[0]} is missing or unknown.")
        if not isinstance(values["preprocess"], dict):
            raise ConfigError(f"contract: preprocess is {values['preprocess']!r}; expected an object.")
        signature = cls(**{**values, "preprocess": Preprocess.from_dict(values["preprocess"])})
        numbers = [signature.opset, signature.embedding_dim]
        numbers += [number for number in (signature.size_px, signature.batch) if number is not None]
        flags = (signature.unit_norm, signature.head)
        if (
            signature.dtype not in DTYPES
            or signature.stage not in STAGES
            or signature.output not in OUTPUTS
            or not all(type(number) is int and number > 0 for number in numbers)
            or not all(type(flag) is bool for flag in flags)
        ):
            raise ConfigError(f"contract: a field has the wrong type or value: {dict(values)}.")
        return signature
