"""`Signature`: what a `model.onnx` reads and answers."""

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
"""Of the metadata of `model.onnx`, where the contract stands as JSON."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a `model.onnx` reads and answers; `export.json` states it.

    Its input by `stage`: `images` `(N, 3, H, W)` float32 normalized, `pixels` `(N, 3, H, W)` uint8, or `photo`
    `(H, W, 3)` uint8 of any size. Its outputs: `features` or `aligned` `(N, D)` float32 and, with `head`, `logits`
    `(N, classes)`.

    Args:
        dtype: its weights and arithmetic are in.
        stage: how much of the preprocessing is inside: `none`, `normalize` or `full`.
        preprocess: of a photo, all of it, wherever it is done.
        size_px: the side of the square image the encoder reads; None leaves H and W open.
        batch: images a call; None leaves it open. A `photo` is always one.
        opset: of the ONNX standard.
        unit_norm: whether vectors are scaled to unit L2 norm.
        head: whether the classifier is inside.
        embedding_dim: D, the length of its vectors.
        output: the encoder's output that its vectors are, and the name of the output of `model.onnx`.
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
        """What the caller makes of an image before it is given to `model.onnx`."""
        readings: dict[Stage, Reads] = {"none": "normalized", "normalize": "pixels", "full": "photo"}
        return readings[self.stage]

    @property
    def input_name(self) -> str:
        """Of the one input."""
        names: dict[Stage, str] = {"none": "images", "normalize": "pixels", "full": "photo"}
        return names[self.stage]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `export.json`."""
        values = asdict(self)
        if self.output == "features":
            del values["output"]  # as in exports without this field
        return values

    def to_json(self) -> str:
        """For the metadata of `model.onnx`: the same text for the same contract."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ConfigError for unknown, missing or wrong fields."""
        names = {field.name for field in fields(cls)}
        if wrong := sorted((names ^ values.keys()) - {"output"}):
            raise ConfigError(f"contract lacks or does not know the field {wrong[0]}.")
        if not isinstance(values["preprocess"], dict):
            raise ConfigError(f"contract: preprocess is {values['preprocess']!r}, expected an object.")
        found = cls(**{**values, "preprocess": Preprocess.from_dict(values["preprocess"])})
        whole = [found.opset, found.embedding_dim]
        whole += [number for number in (found.size_px, found.batch) if number is not None]
        flags = (found.unit_norm, found.head)
        if (
            found.dtype not in DTYPES
            or found.stage not in STAGES
            or found.output not in OUTPUTS
            or not all(type(number) is int and number > 0 for number in whole)
            or not all(type(flag) is bool for flag in flags)
        ):
            raise ConfigError(f"contract has a field of the wrong type or value: {dict(values)}.")
        return found
