"""What several tabs use: photos people send, galleries, errors as messages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import gradio as gr
from gradio.data_classes import ImageData

from demo import markup
from mvmr_zoo.errors import MvmrError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class PhotoInput(gr.Image):
    """A photo that people send; nothing of it is opened here, and nothing is fetched for it.

    Gradio's own opens every file with whatever decoder fits, and fetches addresses.
    """

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the file that was sent, or None. Raises gr.Error where none was sent."""
        if payload is None:
            return None
        if not payload.path or (payload.url or "").startswith("data:"):
            raise _not_a_file()
        return payload.path

    def move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """As Gradio's, for files only."""
        _check_is_file(url_or_file_path)
        return super().move_resource_to_block_cache(url_or_file_path)

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """As Gradio's, for files only."""
        _check_is_file(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def get_block_name(self) -> str:
        """Gradio's own component on the page."""
        return "image"


def explained(handler: Callable[_P, _T]) -> Callable[_P, _T]:
    """A handler whose errors for users' mistakes are shown as a message."""

    @functools.wraps(handler)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return handler(*args, **kwargs)
        except MvmrError as error:
            raise gr.Error(markup.text(error), title="That did not work", print_exception=False) from None

    return wrapped


def photos(label: str, *, small: bool = False, **options: object) -> gr.Gallery:
    """A gallery whose photos are selected, not enlarged."""
    return gr.Gallery(
        label=label,
        allow_preview=False,
        interactive=False,
        object_fit="cover",
        height="auto",
        buttons=[],
        elem_classes=["photos", "small"] if small else ["photos"],
        **options,
    )


def captioned(files: Sequence[tuple[Path, str]]) -> list[tuple[str, str]]:
    """Thumbnails with captions, which are their alternative texts too, as a gallery takes them."""
    return [(str(file), caption) for file, caption in files]


def _check_is_file(path: str | Path | None) -> None:
    if "://" in str(path or "") or str(path or "").startswith(("http:", "https:")):
        raise _not_a_file()


def _not_a_file() -> gr.Error:
    return gr.Error("Send the photo itself: addresses are not fetched.", print_exception=False)
