"""Pieces of HTML. Every text that comes in is escaped, so that no file name or date can be anything but text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from mvmr_zoo.errors import printable


def text(value: object) -> str:
    """Anything as text in HTML; bytes that are not text, and line breaks, are spelled out."""
    return html.escape(printable(str(value)))


def counted(number: int, thing: str) -> str:
    """As `1 photo` or `2,000 photos`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def picture(file: Path, alt: str) -> str:
    """A thumbnail, loaded when it comes into view."""
    return f'<img src="gradio_api/file={text(quote(str(file)))}" alt="{text(alt)}" loading="lazy">'


def figure(file: Path, alt: str, caption: str) -> str:
    """A thumbnail with a line below it.

    Args:
        file: of the thumbnail.
        alt: for those who do not see it.
        caption: HTML.
    """
    return f"<figure>{picture(file, alt)}<figcaption>{caption}</figcaption></figure>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str) -> str:
    """A table of texts that scrolls sideways where it is too wide.

    Args:
        heads: of the columns.
        rows: of as many cells each; a tuple is a cell of several lines.
        caption: what it lists, for those who hear it.
    """
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scrolls" tabindex="0"><table><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: object) -> str:
    return "<br>".join(map(text, cell)) if isinstance(cell, tuple) else text(cell)


def note(*lines: str) -> str:
    """A paragraph a line, each of them text."""
    return '<div class="note">' + "".join(f"<p>{text(line)}</p>" for line in lines) + "</div>"
