"""Shared components of the tabs: photo input, galleries and error messages."""

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
"""Example for the API documentation page. Gradio's default is a URL, which would be rejected."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def photo_input(**options: Any) -> gr.Image:
    """Create an input for a photo. Handlers receive the path of the uploaded file, or None.

    Gradio's image component decodes uploads with any available decoder and fetches URLs. This one does neither. It is
    not a subclass, because Gradio writes a stub file next to the source of each component class.

    Args:
        options: Options of `gr.Image`.
    """
    photo = gr.Image(type="filepath", image_mode=None, **options)
    uploads, move = Path(photo.GRADIO_CACHE).resolve(), photo.async_move_resource_to_block_cache

    def uploaded_file(payload: ImageData | None) -> str | None:
        if payload is None:
            return None
        # Gradio checks a path only if the request marks it as a file
        if not payload.path or not Path(payload.path).resolve().is_relative_to(uploads):
            raise _not_an_upload()
        return payload.path

    async def move_file(path: str | Path | None) -> str | None:
        if is_http_url_like(str(path)):  # only URLs of earlier uploads, which the MCP upload tool sends
            path = Path(unquote(str(path).partition(_FILE_URL)[2])).resolve()
            if not path.is_relative_to(uploads):
                raise _not_an_upload()
        return await move(path)

    photo.example_payload = lambda: _EXAMPLE  # type: ignore[method-assign]
    photo.preprocess = uploaded_file  # type: ignore[method-assign]
    photo.async_move_resource_to_block_cache = move_file  # type: ignore[method-assign, assignment]
    return photo


def show_errors(handler: Callable[_P, _T]) -> Callable[_P, _T]:
    """Wrap a handler so that its MvmrErrors are shown as messages on the page."""

    @functools.wraps(handler)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return handler(*args, **kwargs)
        except MvmrError as error:
            raise gr.Error(escape(printable(str(error)), quote=False), title="Error", print_exception=False) from None

    return wrapped


def photos(label: str, *, small: bool = False, **options: Any) -> gr.Gallery:
    """Create a gallery in which a click selects a photo instead of enlarging it."""
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


def gallery_items(files: Sequence[tuple[Path, str]]) -> list[tuple[str, str]]:
    """Convert thumbnails and captions to gallery items. Captions are also the alternative texts."""
    return [(str(file), caption) for file, caption in files]


def _not_an_upload() -> gr.Error:
    return gr.Error("Paths and URLs are not accepted. Upload the photo itself.", print_exception=False)
