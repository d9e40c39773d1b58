"""Contact sheets: one picture that shows queries and their hits with scores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from mvmr_zoo.errors import ConfigError, ImageError, LibraryError
from mvmr_zoo.images import read_image
from mvmr_zoo.search.ranking import Hit

TILE_PX = 160
COLUMNS = 11
"""Tiles per line: a query and ten hits. Further hits continue on the next line."""

_CAPTION_PX = 34
_GAP_PX = 8
_TEXT_COLOR, _SHEET_COLOR, _QUERY_FRAME_COLOR, _MISSING_COLOR = "#1a1a1a", "#ffffff", "#d9480f", "#dddddd"


def contact_sheet(rows: Sequence[tuple[Path, Sequence[Hit]]]) -> Image.Image:
    """Draw one row per query: the query in a colored frame, then its hits, best first.

    Args:
        rows: Paths of the queries with their hits. At least one row is required.
    """
    per_line = COLUMNS - 1
    columns = 1 + min(per_line, max(len(hits) for _, hits in rows))
    lines = [max(1, -(-len(hits) // per_line)) for _, hits in rows]
    cell_w, cell_h = TILE_PX + _GAP_PX, TILE_PX + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * cell_w + _GAP_PX, sum(lines) * cell_h + _GAP_PX), _SHEET_COLOR)
    for (query, hits), line in zip(rows, itertools.accumulate([0, *lines]), strict=False):
        top = _GAP_PX + line * cell_h
        _tile(sheet, (_GAP_PX, top), query, f"query\n{query.name}", frame=True)
        for i, hit in enumerate(hits):
            at = (_GAP_PX + (1 + i % per_line) * cell_w, top + i // per_line * cell_h)
            _tile(sheet, at, hit.path, f"{hit.score:.3f}\n{hit.path.name}", frame=False)
    return sheet


def save_sheet(path: Path, rows: Sequence[tuple[Path, Sequence[Hit]]]) -> None:
    """Write a contact sheet. The suffix of `path` selects the format.

    Raises:
        ConfigError: The suffix is not that of a supported image format, or `path` is one of the photos.
        LibraryError: The file cannot be written.
    """
    photos = {os.path.realpath(photo) for query, hits in rows for photo in (query, *(hit.path for hit in hits))}
    if os.path.realpath(path) in photos:
        raise ConfigError(f"The contact sheet would overwrite the photo {path}. Choose another name.")
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ConfigError(f"{path.name!r} has no supported image format. Use a name that ends in .png, .jpg or .webp.")
    part = path.with_name(f".part-{path.name}")
    try:
        contact_sheet(rows).save(part)
        part.replace(path)
    except (OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise LibraryError(f"{path} cannot be written: {reason}.") from None


def _tile(sheet: Image.Image, at: tuple[int, int], path: Path, caption: str, *, frame: bool) -> None:
    left, top = at
    try:
        photo = ImageOps.contain(read_image(path, min_px=TILE_PX), (TILE_PX, TILE_PX))
    except ImageError:
        photo = Image.new("RGB", (TILE_PX, TILE_PX), _MISSING_COLOR)
    sheet.paste(photo, (left + (TILE_PX - photo.width) // 2, top + (TILE_PX - photo.height) // 2))
    draw = ImageDraw.Draw(sheet)
    if frame:
        draw.rectangle((left - 3, top - 3, left + TILE_PX + 2, top + TILE_PX + 2), outline=_QUERY_FRAME_COLOR, width=3)
    font = ImageFont.load_default(size=12)
    for i, text in enumerate(caption.split("\n")):
        draw.text((left, top + TILE_PX + 3 + 15 * i), _fit(text, font), fill=_TEXT_COLOR, font=font)


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten the text in the middle until it is no wider than a tile."""
    text = text.encode("utf-8", "replace").decode()
    kept = len(text)
    shown = text
    while font.getlength(shown) > TILE_PX and kept > 2:
        kept -= 1
        shown = text[: kept // 2] + "…" + text[-(kept - kept // 2) :]
    return shown
