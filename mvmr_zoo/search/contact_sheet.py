"""Contact sheets: one picture that shows queries and their hits with scores."""

from __future__ import annotations

import functools
import itertools
import os
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from mvmr_zoo._io import written_whole
from mvmr_zoo.errors import ConfigError, ImageError, LibraryError, printable
from mvmr_zoo.images import read_image
from mvmr_zoo.search.ranking import Hit

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

TILE_PX = 160
COLUMNS = 11
"""Tiles per line: a query and ten hits. Further hits continue on the next line."""

FONT_FOLDERS = (
    "~/.local/share/fonts",
    "~/.fonts",
    "/usr/local/share/fonts",
    "/usr/share/fonts",
    "~/Library/Fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
)
"""Folders of installed fonts on Linux and macOS."""

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_FONT_PX = 12
_SPECIAL_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "serif", "condensed")
_NO_CHARACTER = "\uffff"
_CAPTION_PX = 34
_GAP_PX = 8
_TEXT_COLOR, _SHEET_COLOR, _QUERY_FRAME_COLOR, _MISSING_COLOR = "#1a1a1a", "#ffffff", "#d9480f", "#dddddd"


def contact_sheet(rows: Sequence[tuple[Path, Sequence[Hit]]], label: str = "query") -> Image.Image:
    """Draw one row per query: the query in a colored frame, then its hits, best first.

    Args:
        rows: Paths of the queries with their hits. At least one row is required.
        label: Caption of the framed photos.
    """
    per_line = COLUMNS - 1
    columns = 1 + min(per_line, max(len(hits) for _, hits in rows))
    lines = [max(1, -(-len(hits) // per_line)) for _, hits in rows]
    cell_w, cell_h = TILE_PX + _GAP_PX, TILE_PX + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * cell_w + _GAP_PX, sum(lines) * cell_h + _GAP_PX), _SHEET_COLOR)
    for (query, hits), line in zip(rows, itertools.accumulate([0, *lines]), strict=False):
        top = _GAP_PX + line * cell_h
        _tile(sheet, (_GAP_PX, top), query, f"{label}\n{query.name}", frame=True)
        for i, hit in enumerate(hits):
            at = (_GAP_PX + (1 + i % per_line) * cell_w, top + i // per_line * cell_h)
            _tile(sheet, at, hit.path, f"{hit.score:.3f}\n{hit.path.name}", frame=False)
    return sheet


def save_sheet(path: Path, rows: Sequence[tuple[Path, Sequence[Hit]]], label: str = "query") -> None:
    """Write a contact sheet. The suffix of `path` selects the format.

    Args:
        path: Output file.
        rows: As in `contact_sheet`.
        label: Caption of the framed photos.

    Raises:
        ConfigError: The suffix is not that of a supported image format, or `path` is one of the photos.
        LibraryError: The file cannot be written.
    """
    photos = {os.path.realpath(photo) for query, hits in rows for photo in (query, *(hit.path for hit in hits))}
    if os.path.realpath(path) in photos:
        raise ConfigError(f"The contact sheet would overwrite the photo {path}. Choose another name.")
    if (suffix := path.suffix.lower()) not in _FORMATS:
        raise ConfigError(
            f"The extension of {path.name!r} is not supported. Use a name that ends in .png, .jpg or .webp."
        )
    try:
        with written_whole(path) as part:
            contact_sheet(rows, label).save(part, _FORMATS[suffix])
    except (OSError, ValueError) as error:
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
    for i, line in enumerate(caption.split("\n", 1)):
        text, font = drawable(line)
        draw.text((left, top + TILE_PX + 3 + 15 * i), _fit(text, font), fill=_TEXT_COLOR, font=font)


def drawable(text: str) -> tuple[str, _Font]:
    """Find an installed font that has all characters of a text. Without one, escape those that the default font lacks.

    Line breaks and bytes that are not text are always escaped.

    Returns:
        The text to draw, and the font.
    """
    text, font = unicodedata.normalize("NFC", printable(text)), _default_font()
    if all(_has_glyph(font, char) for char in text):
        return text, font
    other = _installed_font_with("".join(sorted(set(text))), FONT_FOLDERS)
    if other is not None:
        return text, other
    return "".join(c if _has_glyph(font, c) else c.encode("unicode_escape").decode() for c in text), font


@functools.lru_cache(maxsize=1)
def _default_font() -> _Font:
    """The font of Pillow, which has few characters beyond ASCII."""
    return ImageFont.load_default(size=_FONT_PX)


@functools.lru_cache(maxsize=1024)
def _installed_font_with(chars: str, folders: Sequence[str]) -> _Font | None:
    """The first installed font that has all characters. None if there is none."""
    fonts = _installed_fonts(folders)
    return next((font for font in fonts if all(_has_glyph(font, char) for char in chars)), None)


@functools.lru_cache(maxsize=1)
def _installed_fonts(folders: Sequence[str]) -> tuple[_Font, ...]:
    """The fonts in folders and their subfolders, in the order of preference."""
    paths = [
        Path(place, name)
        for folder in folders
        for place, _, names in os.walk(Path(os.path.expanduser(folder)))  # Path.expanduser can fail
        for name in names
        if name.lower().endswith((".ttf", ".ttc", ".otf")) and "lastresort" not in name.lower()  # it has only boxes
    ]
    paths.sort(key=_font_order)
    fonts = []
    for path in paths:
        with suppress(OSError):  # not a font, or one of bitmaps of another size
            fonts.append(ImageFont.truetype(path, _FONT_PX))
    return tuple(fonts)


def _font_order(path: Path) -> tuple[bool, bool, Path]:
    """Sort key that puts regular fonts without serifs first, by their file names."""
    name = path.name.lower()
    return any(style in name for style in _SPECIAL_STYLES), not ("sans" in name or "gothic" in name), path


def _has_glyph(font: _Font, char: str) -> bool:
    """Whether a font can draw a character, and not only the box that stands for characters it lacks."""
    if char.isspace() or char.isascii():
        return True
    if not isinstance(font, ImageFont.FreeTypeFont):
        return False
    try:
        drawn, box = font.getmask(char), font.getmask(_NO_CHARACTER)
    except OSError:  # a damaged font
        return False
    return drawn.getbbox() is not None and (drawn.size, bytes(drawn)) != (box.size, bytes(box))


def _fit(text: str, font: _Font) -> str:
    """Shorten the text in the middle until it is no wider than a tile."""
    kept = len(text)
    shown = text
    while font.getlength(shown) > TILE_PX and kept > 2:
        kept -= 1
        shown = text[: kept // 2] + "…" + text[-(kept - kept // 2) :]
    return shown
