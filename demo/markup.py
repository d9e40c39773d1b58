"""HTML fragments. All text is escaped, so that file names and dates cannot inject markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from mvmr_zoo.errors import printable


def text(value: object) -> str:
    """Return a value as escaped HTML text. Undecodable bytes and line breaks become escape sequences."""
    return html.escape(printable(str(value)))


def count_text(number: int, noun: str) -> str:
    """Format a count, for example `1 photo` or `2,000 photos`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def picture(file: Path, alt: str) -> str:
    """Return an image element of a thumbnail with lazy loading."""
    return f'<img src="gradio_api/file={text(quote(str(file)))}" alt="{text(alt)}" loading="lazy">'


def figure(file: Path, alt: str, caption: str) -> str:
    """Return a thumbnail with a caption.

    Args:
        file: Thumbnail file.
        alt: Alternative text.
        caption: Caption as HTML.
    """
    return f"<figure>{picture(file, alt)}<figcaption>{caption}</figcaption></figure>"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str) -> str:
    """Return a table that scrolls horizontally if it is too wide.

    Args:
        headers: Column headers.
        rows: Rows with one cell per column. A tuple is a cell with several lines.
        caption: Caption of the table.
    """
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in headers)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scrolls" tabindex="0"><table><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: object) -> str:
    return "<br>".join(map(text, cell)) if isinstance(cell, tuple) else text(cell)


def note(*lines: str) -> str:
    """Return a block with one paragraph per line of text."""
    return '<div class="note">' + "".join(f"<p>{text(line)}</p>" for line in lines) + "</div>"
