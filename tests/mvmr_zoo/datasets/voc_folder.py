"""PASCAL VOC 2007 in small: its authors' layout, of real photos that carry a colored square for each class shown."""

from __future__ import annotations

import colorsys
import functools
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mvmr_zoo.datasets.samples import make_view, photographs
from mvmr_zoo.images import read_image

CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor"
).split()
SIZE = (100, 80)
_CELL = 20
_MARKS = {"shown": " 1", "difficult": " 0", "absent": "-1"}


def write_voc(folder: Path, photos_per_split: int = 40) -> Path:
    """Write `VOCdevkit/VOC2007` into a folder, and return the folder.

    Of every twenty photos, each class is shown in two, or in one where the two classes of a photo coincide, and every
    fifth photo has one more class that is difficult. Forty photos so show each class in four, in both splits.

    Args:
        folder: made where it is missing.
        photos_per_split: of trainval and of test each.
    """
    base = folder / "VOCdevkit" / "VOC2007"
    for each in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (base / each).mkdir(parents=True)
    for start, split in ((1, "trainval"), (2, "test")):
        numbers = [f"{start + 2 * row:06}" for row in range(photos_per_split)]  # the two take turns, as in VOC
        _main(base, f"{split}.txt").write_text("".join(f"{number}\n" for number in numbers))
        for column, name in enumerate(CLASSES):
            lines = [f"{number} {_MARKS[how(row, column)]}\n" for row, number in enumerate(numbers)]
            _main(base, f"{name}_{split}.txt").write_text("".join(lines))
        for row, number in enumerate(numbers):
            _photo(row, int(number)).save(base / "JPEGImages" / f"{number}.jpg", quality=92)
            (base / "Annotations" / f"{number}.xml").write_text(_annotation(row, number))
    return folder


def how(row: int, column: int) -> str:
    """How photo `row` of a split shows the class `column`: `shown`, `difficult` or `absent`."""
    count = len(CLASSES)
    if column in (row % count, (row % count + row // count + 1) % count):
        return "shown"
    return "difficult" if row % 5 == 0 and column == (row + count // 2) % count else "absent"


def _photo(row: int, seed: int) -> Image.Image:
    """A view of a real photograph; each class shown is a square of the class's color at the class's place."""
    random = np.random.default_rng(seed)
    sources = _small_photographs()
    photo = make_view(sources[int(random.integers(len(sources)))], random).resize(SIZE)
    draw = ImageDraw.Draw(photo)
    for column in range(len(CLASSES)):
        state = how(row, column)
        if state == "absent":
            continue
        color = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(column / len(CLASSES), 1.0, 0.9))
        top, left = (_CELL * part for part in divmod(column, SIZE[0] // _CELL))
        side = _CELL - 1 if state == "shown" else _CELL // 3  # what is difficult is small
        draw.rectangle((left, top, left + side, top + side), fill=color)
    return photo


@functools.cache
def _small_photographs() -> list[Image.Image]:
    images = [read_image(path, min_px=200) for path in photographs()]
    for image in images:
        image.thumbnail((200, 200))
    return images


def _annotation(row: int, number: str) -> str:
    objects = "".join(
        f"\t<object>\n\t\t<name>{name}</name>\n\t\t<difficult>{int(state == 'difficult')}</difficult>\n\t</object>\n"
        for column, name in enumerate(CLASSES)
        if (state := how(row, column)) != "absent"
    )
    return (
        f"<annotation>\n\t<folder>VOC2007</folder>\n\t<filename>{number}.jpg</filename>\n"
        f"\t<size>\n\t\t<width>{SIZE[0]}</width>\n\t\t<height>{SIZE[1]}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"{objects}</annotation>\n"
    )


def _main(base: Path, name: str) -> Path:
    return base / "ImageSets" / "Main" / name
