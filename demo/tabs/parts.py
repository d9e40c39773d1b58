"""What several tabs use: photos people send, galleries, errors as messages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote

import gradio as gr
from gradio.data_classes import ImageData
from gradio_client.utils import is_http_url_like

from mvmr_zoo.errors import MvmrError, printable

_FILE_URL = "/gradio_api/file="
_EXAMPLE = {"path": "photo.jpg", "url": "photo.jpg", "meta": {"_type": "gradio.FileData"}}
"""For the page that explains the API: Gradio's own is an address, which would be refused."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def photo_input(**options: Any) -> gr.Image:
    """Where people send a photo: handlers get the path of the file, or None.

    Gradio's own component opens what was sent with whatever decoder fits, and fetches addresses; this one does neither.
    It is no subclass, since Gradio writes a stub file beside the source of every class of components.

    Args:
        options: of `gr.Image`.
    """
    photo = gr.Image(type="filepath", image_mode=None, **options)
    uploads, move = Path(photo.GRADIO_CACHE).resolve(), photo.async_move_resource_to_block_cache

    def sent_file(payload: ImageData | None) -> str | None:
        if payload is None:
            return None
        # Gradio looks at a path only where the request says that it is one of a file
        if not payload.path or not Path(payload.path).resolve().is_relative_to(uploads):
            raise _not_a_file()
        return payload.path

    async def move_file(path: str | Path | None) -> str | None:
        if is_http_url_like(str(path)):  # only of what was sent here before, as MCP's upload tool calls it
            path = Path(unquote(str(path).partition(_FILE_URL)[2])).resolve()
            if not path.is_relative_to(uploads):
                raise _not_a_file()
        return await move(path)

    photo.example_payload = lambda: _EXAMPLE  # type: ignore[method-assign]
    photo.preprocess = sent_file  # type: ignore[method-assign]
    photo.async_move_resource_to_block_cache = move_file  # type: ignore[method-assign, assignment]
    return photo


def explained(handler: Callable[_P, _T]) -> Callable[_P, _T]:
    """A handler whose errors for users' mistakes are shown as a message."""

    @functools.wraps(handler)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return handler(*args, **kwargs)
        except MvmrError as error:
            raise gr.Error(
                escape(printable(str(error)), quote=False), title="That did not work", print_exception=False
            ) from None

    return wrapped


def photos(label: str, *, small: bool = False, **options: Any) -> gr.Gallery:
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


def _not_a_file() -> gr.Error:
    return gr.Error("Send the photo itself: addresses are not fetched.", print_exception=False)
