"""`Preprocess`: converts a photo to the input array of an encoder. It is saved with the weights."""

from __future__ import annotations

import hashlib
import json
import operator
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mvmr_zoo.errors import ConfigError
from mvmr_zoo.images.decode import upright_rgb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]

Reads = Literal["normalized", "pixels", "photo"]
"""Input format of an engine: normalized crops, uint8 crops, or uint8 photos of any size."""

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

MAX_PX = 2048
"""Maximum side of an encoder input in pixels. Beyond it, inference of four images needs gigabytes of memory."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize the short side, crop the center, normalize.

    The pixels equal those of torchvision's `Resize(resize_px)` and `CenterCrop(crop_px)` on a
    PIL image, but only the cropped part is ever resized.

    Args:
        resize_px: Length of the short side after resizing, in pixels.
        crop_px: Side of the center square that is kept, in pixels, at most `resize_px`.
        interpolation: `bilinear` or `bicubic`, antialiased.
        mean: Per-channel mean of RGB values in [0, 1].
        std: Per-channel standard deviation of RGB values in [0, 1], positive.
    """

    resize_px: int
    crop_px: int
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of range."""
        if not 1 <= self.crop_px <= self.resize_px <= MAX_PX:
            raise ConfigError(
                f"crop_px is {self.crop_px} and resize_px is {self.resize_px}; "
                f"expected 1 <= crop_px <= resize_px <= {MAX_PX}."
            )
        if self.interpolation not in _FILTERS:
            raise ConfigError(f"interpolation is {self.interpolation!r}; expected one of {', '.join(_FILTERS)}.")
        numbers = np.asarray((*self.mean, *self.std), np.float32)  # the precision of `normalize`
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite(numbers).all() or min(self.std) < 1e-6:
            raise ConfigError(
                f"mean is {self.mean} and std is {self.std}; expected three finite numbers each, and std at least 1e-6."
            )

    @property
    def resampling(self) -> Image.Resampling:
        """`interpolation` as a Pillow filter."""
        return _FILTERS[self.interpolation]

    def crop(self, image: Image.Image, *, across: float = 0.5, down: float = 0.5) -> Image.Image:
        """Crop the resized photo, by default at the center, to an RGB image of `crop_px` x `crop_px`.

        Args:
            image: An RGB image of any size.
            across: Horizontal position of the crop, from 0 (left edge) to 1 (right edge).
            down: Vertical position of the crop, from 0 (top) to 1 (bottom).
        """
        width, height = image.size
        short = min(width, height)
        resized_w = self.resize_px * width // short
        resized_h = self.resize_px * height // short
        left = round((resized_w - self.crop_px) * across)
        top = round((resized_h - self.crop_px) * down)
        scale_x, scale_y = width / resized_w, height / resized_h
        box = (
            left * scale_x,
            top * scale_y,
            min((left + self.crop_px) * scale_x, width),
            min((top + self.crop_px) * scale_y, height),
        )
        return image.resize((self.crop_px, self.crop_px), self.resampling, box=box)

    def normalize(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Normalized channels-first array: `(H, W, 3)` uint8 to `(3, H, W)` float32."""
        mean = np.asarray(self.mean, np.float32) * 255
        scale = 1 / (np.asarray(self.std, np.float32) * 255)
        scaled = (pixels.astype(np.float32) - mean) * scale
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))

    @overload
    def __call__(self, image: Image.Image) -> NDArray[np.float32]: ...

    @overload
    def __call__(self, image: Image.Image, *, return_tensors: Literal["np"]) -> NDArray[np.float32]: ...

    @overload
    def __call__(self, image: Image.Image, *, return_tensors: Literal["pt"]) -> Tensor: ...

    def __call__(
        self, image: Image.Image, *, return_tensors: Literal["np", "pt"] = "np"
    ) -> NDArray[np.float32] | Tensor:
        """The encoder's input: `(3, crop_px, crop_px)` float32, with about zero mean and unit deviation.

        `Model.embed` gives the encoder exactly this for a PIL image.

        Args:
            image: A PIL image of any size and mode. Its EXIF orientation is applied.
            return_tensors: `np` returns a NumPy array, `pt` a PyTorch tensor.

        Raises:
            ConfigError: `return_tensors` has another value.
            ImageError: The image is damaged.
        """
        if return_tensors not in ("np", "pt"):
            raise ConfigError(f"return_tensors is {return_tensors!r}; expected 'np' or 'pt'.")
        array = self.normalize(np.asarray(self.crop(upright_rgb(image, "PIL image"))))
        if return_tensors == "np":
            return array
        import torch

        return torch.from_numpy(array)

    def prepare(self, image: Image.Image, reads: Reads) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Convert an image to the input format of an engine.

        Args:
            image: An RGB image of any size.
            reads: `normalized` gives `(3, crop_px, crop_px)` float32; `pixels` the same crop as uint8;
                `photo` the unchanged photo, `(H, W, 3)` uint8.
        """
        return np.asarray(image) if reads == "photo" else self.arrange(np.asarray(self.crop(image)), reads)

    def arrange(self, crop: NDArray[np.uint8], reads: Reads) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Convert the pixels of `crop`, `(crop_px, crop_px, 3)` uint8, to the input format of an engine."""
        return self.normalize(crop) if reads == "normalized" else np.ascontiguousarray(crop.transpose(2, 0, 1))

    def scaled(self, crop_px: int) -> Preprocess:
        """The same preprocessing with another `crop_px`, and `resize_px` scaled in proportion and rounded."""
        return replace(self, crop_px=crop_px, resize_px=max(crop_px, round(self.resize_px * crop_px / self.crop_px)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `config.json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ConfigError for unknown, missing or wrong fields."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"preprocess has unknown fields {', '.join(unknown)}; expected only {', '.join(known)}.")
        try:
            return cls(
                resize_px=operator.index(values["resize_px"]),
                crop_px=operator.index(values["crop_px"]),
                interpolation=values.get("interpolation", "bilinear"),
                mean=_triple(values.get("mean", IMAGENET_MEAN)),
                std=_triple(values.get("std", IMAGENET_STD)),
            )
        except KeyError as error:
            raise ConfigError(f"the field {error} is missing from preprocess.") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"preprocess has a field of the wrong type: {error}.") from None

    @property
    def digest(self) -> str:
        """SHA-256 of the fields, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
