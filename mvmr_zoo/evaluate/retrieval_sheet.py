"""Picture of retrieval results: queries and their nearest other images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mvmr_zoo.errors import DataError
from mvmr_zoo.evaluate.captions import INK, png_file, short
from mvmr_zoo.evaluate.labels import check_features, check_numbers
from mvmr_zoo.inference import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.datasets import ImageSet

TILE_PX, FRAME_PX, GAP_PX, CAPTION_PX = 112, 5, 10, 20
RIGHT, WRONG, QUERY = "#009e73", "#d55e00", "#333333"
"""Frame colors: bluish green and vermilion of Okabe and Ito, which are distinct with color blindness."""


def retrieval_sheet(
    path: str | os.PathLike[str],
    images: ImageSet,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    seed: int,
    queries: int = 8,
    hits: int = 10,
) -> None:
    """Draw queries of different classes, one per line, and their nearest other images. Relevant ones have green frames.

    Args:
        path: PNG file to write.
        images: N images.
        features: `(N, D)`. They need not be normalized.
        labels: `(N,)` class numbers of `images.class_names`.
        seed: Random seed of the queries.
        queries: Maximum number of queries.
        hits: Maximum number of hits per query.

    Raises:
        DataError: The features do not match the images, or no class has two images.
        ImageError: An image cannot be read.
    """
    check_features("test", features, len(labels))
    check_numbers(labels, len(images.class_names))
    cell_w, cell_h = TILE_PX + 2 * FRAME_PX + GAP_PX, TILE_PX + 2 * FRAME_PX + CAPTION_PX + GAP_PX
    chosen = drawn_queries(labels, queries, seed)
    columns = 1 + min(hits, len(labels) - 1)
    sheet = Image.new("RGB", (columns * cell_w + 2 * GAP_PX, len(chosen) * cell_h + GAP_PX), "white")
    rows = unit(features)
    for line, query in enumerate(chosen):
        for column, row in enumerate([query, *nearest_others(rows, query, hits)]):
            frame = QUERY if column == 0 else RIGHT if labels[row] == labels[query] else WRONG
            at = (GAP_PX + column * cell_w + GAP_PX * (column > 0), GAP_PX + line * cell_h)
            _tile(sheet, at, images.image(row, min_px=TILE_PX), images.class_names[labels[row]], frame)
    with png_file(path) as part:
        sheet.save(part, "PNG")


def drawn_queries(labels: NDArray[np.int64], queries: int, seed: int) -> list[int]:
    """Row numbers of at most `queries` images of different classes with at least two images, by class number.

    Raises:
        DataError: No class has two images.
    """
    random = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    several = classes[sizes >= 2]
    if not len(several):
        raise DataError("A sheet of retrieved images needs a class with at least two images.")
    drawn = np.sort(random.permutation(several)[:queries])
    return [int(random.choice(np.flatnonzero(labels == number))) for number in drawn]


def nearest_others(rows: NDArray[np.float32], query: int, hits: int) -> list[int]:
    """Row numbers of the `hits` rows of `(N, D)` that are most similar to row `query`, best first, without itself."""
    ranked = np.argsort(-(rows @ rows[query]), kind="stable")
    return [int(row) for row in ranked[ranked != query][:hits]]


def _tile(sheet: Image.Image, at: tuple[int, int], image: Image.Image, caption: str, frame: str) -> None:
    """Draw an image with a frame, a tick or cross in its corner, and its class below."""
    (left, top), outer = at, TILE_PX + 2 * FRAME_PX
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((left, top, left + outer - 1, top + outer - 1), fill=frame)
    sheet.paste(ImageOps.fit(image, (TILE_PX, TILE_PX)), (left + FRAME_PX, top + FRAME_PX))
    if frame != QUERY:
        x, y = left + outer - 20, top
        draw.rectangle((x, y, x + 19, y + 19), fill=frame)
        strokes = [(4, 10, 8, 15), (8, 15, 16, 5)] if frame == RIGHT else [(5, 5, 15, 15), (5, 15, 15, 5)]
        for x0, y0, x1, y1 in strokes:
            draw.line((x + x0, y + y0, x + x1, y + y1), fill="white", width=3)
    font = ImageFont.load_default(size=12)
    draw.text((left, top + outer + 3), short(caption, outer, font.getlength), fill=INK, font=font)
