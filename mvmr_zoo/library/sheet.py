"""A contact sheet: a query and its hits in one picture, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from mvmr_zoo.errors import ConfigError, ImageError, LibraryError
from mvmr_zoo.images import read_image
from mvmr_zoo.library.photos import Hit

TILE_PX = 160
_CAPTION_PX = 34
_GAP_PX = 8
_INK, _PAPER, _QUERY_FRAME, _MISSING = "#1a1a1a", "#ffffff", "#d9480f", "#dddddd"


def contact_sheet(rows: Sequence[tuple[Path, Sequence[Hit]]]) -> Image.Image:
    """One row a query: the query in a coloured frame, then its hits, best first.

    Args:
        rows: queries with their hits; at least one query.
    """
    columns = 1 + max(len(hits) for _, hits in rows)
    cell_w, cell_h = TILE_PX + _GAP_PX, TILE_PX + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * cell_w + _GAP_PX, len(rows) * cell_h + _GAP_PX), _PAPER)
    for line, (query, hits) in enumerate(rows):
        top = _GAP_PX + line * cell_h
        _tile(sheet, (_GAP_PX, top), query, f"query\n{query.name}", frame=True)
        for column, hit in enumerate(hits, start=1):
            caption = f"{hit.score:.3f}\n{hit.path.name}"
            _tile(sheet, (_GAP_PX + column * cell_w, top), hit.path, caption, frame=False)
    return sheet


def save_sheet(path: Path, rows: Sequence[tuple[Path, Sequence[Hit]]]) -> None:
    """Write the contact sheet; the ending of `path` chooses the format.

    Raises:
        ConfigError: an ending no image format has.
        LibraryError: it cannot be written.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ConfigError(f"A contact sheet cannot be written as {path.name!r}; end the name in .png, .jpg or .webp.")
    try:
        contact_sheet(rows).save(path)
    except OSError as error:
        raise LibraryError(f"{path} cannot be written: {error.strerror or error}.") from None


def _tile(sheet: Image.Image, at: tuple[int, int], path: Path, caption: str, *, frame: bool) -> None:
    left, top = at
    try:
        photo = ImageOps.contain(read_image(path, min_px=TILE_PX), (TILE_PX, TILE_PX))
    except ImageError:
        photo = Image.new("RGB", (TILE_PX, TILE_PX), _MISSING)
    sheet.paste(photo, (left + (TILE_PX - photo.width) // 2, top + (TILE_PX - photo.height) // 2))
    draw = ImageDraw.Draw(sheet)
    if frame:
        draw.rectangle((left - 3, top - 3, left + TILE_PX + 2, top + TILE_PX + 2), outline=_QUERY_FRAME, width=3)
    font = ImageFont.load_default(size=12)
    for i, text in enumerate(caption.split("\n")):
        draw.text((left, top + TILE_PX + 3 + 15 * i), _fit(text, font), fill=_INK, font=font)


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, its middle left out until it is no wider than a tile."""
    text = text.encode("utf-8", "replace").decode()
    kept = len(text)
    shown = text
    while font.getlength(shown) > TILE_PX and kept > 2:
        kept -= 1
        shown = text[: kept // 2] + "…" + text[-(kept - kept // 2) :]
    return shown
