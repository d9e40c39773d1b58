from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvmr_zoo.errors import ImageError
from mvmr_zoo.images import read, read_image, read_photo
from mvmr_zoo.images.decode import DecodingCost, decode_photo

from .test_decode_pool import large_webp, slow_jpeg


def test_an_ordinary_photo_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "decode_pool", None)
    Image.new("RGB", (4_000, 3_000), "#ff0000").save(tmp_path / "photo.jpg")
    assert read_image(tmp_path / "photo.jpg", min_px=500).size == (1_000, 750)


@pytest.mark.parametrize(("format", "size"), [("TIFF", (30, 20)), ("BMP", (30, 20)), ("GIF", (4_000, 4_000))])
def test_a_costly_photo_is_the_same(format: str, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).save(buffer, format)
    here = decode_photo("photo", buffer.getvalue())
    assert here is not None
    photo = read_photo("photo", content=buffer.getvalue())
    assert (photo.width, photo.height) == size
    np.testing.assert_array_equal(np.asarray(photo.image), np.asarray(here.image))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb() -> None:
    with pytest.raises(ImageError, match=r"bomb.webp: damaged, or needs more than 1,074 MB of memory to decode"):
        read_photo("bomb.webp", content=large_webp())


def test_a_jpeg_with_many_scans() -> None:
    costs: list[DecodingCost] = []
    assert decode_photo("bomb", slow_jpeg(), admit=lambda cost: costs.append(cost) or read._is_light(cost)) is None
    assert costs[0].scans > 230
