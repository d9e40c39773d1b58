"""Photos and hits as displayed on the page."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvmr_zoo.errors import printable
from mvmr_zoo.search import percentile_text

if TYPE_CHECKING:
    from mvmr_zoo.search import PhotoRow


@dataclass(frozen=True, kw_only=True)
class PhotoDetails:
    """A photo of the library as displayed on the page.

    Args:
        id: Id in the library.
        row: Database row.
        place: Path of the photo. On a public page, the path relative to the parent of the indexed folder.
        thumbnail: Thumbnail file.
    """

    id: int
    row: PhotoRow = field(compare=False, repr=False)
    place: str
    thumbnail: Path

    @property
    def name(self) -> str:
        """Printable file name."""
        return printable(file_name(self.row))

    @property
    def taken(self) -> str | None:
        """EXIF date as `YYYY-MM-DD HH:MM:SS`; None if unknown."""
        return self.row.taken_at

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.row.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.row.height

    @property
    def size(self) -> int:
        """File size in bytes."""
        return self.row.stamp.size

    @property
    def facts(self) -> str:
        """Date, dimensions and file size as display text."""
        taken = f"taken {self.taken}" if self.taken else "no date"
        return f"{taken} · {self.width:,} x {self.height:,} pixels · {human_size(self.size)}"


class PageHit(NamedTuple):
    """A search hit.

    Args:
        photo: Matching photo.
        score: Cosine similarity to the query, in [-1, 1].
        percentile: Percentage of random pairs of photos in the library that are less similar, 0 to 100; None in a
            small library.
        copies: Number of near duplicates that are grouped under this photo.
    """

    photo: PhotoDetails
    score: float
    percentile: float | None
    copies: int

    @property
    def similarity(self) -> tuple[str, ...]:
        """Similarity, and its percentile if known, as lines of display text."""
        score = f"similarity {self.score:.3f}"
        if self.percentile is None:
            return (score,)
        return score, f"more similar than {percentile_text(self.percentile)} % of random pairs"

    @property
    def caption(self) -> str:
        """Name, similarity and number of near duplicates as lines of display text."""
        copies = (f"+ {self.copies} near duplicate{'s' if self.copies > 1 else ''}",) if self.copies else ()
        similarity = (line.replace(" %", "\N{NO-BREAK SPACE}%") for line in self.similarity)
        return "\n".join((self.photo.name, *similarity, *copies))


def human_size(size: float) -> str:
    """Format a number of bytes, for example `1.4 MB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1_000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} GB"


def file_name(row: PhotoRow) -> str:
    """File name of a photo."""
    return Path(os.fsdecode(row.path)).name
