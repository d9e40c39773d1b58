"""Enlarged view of one photo with its metadata and action buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup

if TYPE_CHECKING:
    from demo.hits import PhotoDetails
    from demo.searcher import Searcher


class Detail:
    """Components that show one photo. They are hidden until a photo is selected.

    Args:
        buttons: Labels of the buttons below the photo.
        name: Element id.
    """

    def __init__(self, buttons: tuple[str, ...], name: str) -> None:
        with gr.Column(visible=False, elem_id=name) as self.group:
            self.picture = gr.Image(
                show_label=False, interactive=False, buttons=["fullscreen"], height=420, elem_classes="large"
            )
            self.facts = gr.HTML()
            with gr.Row():
                self.buttons = [gr.Button(text, size="sm", min_width=100) for text in buttons]

    @property
    def outputs(self) -> list[Any]:
        """Components that `show` and `hide` return values for."""
        return [self.group, self.picture, self.facts]

    def show(self, searcher: Searcher, photo: PhotoDetails, extra: str = "") -> list[Any]:
        """Show a photo.

        Args:
            searcher: Searcher of the library.
            photo: Photo to show.
            extra: Additional line of text.
        """
        lines = (photo.facts, extra) if extra else (photo.facts,)
        facts = f'<p class="place">{markup.text(photo.place)}</p>' + markup.note(*lines)
        picture = gr.Image(value=str(searcher.large(photo.id)), alt_text=photo.name)
        return [gr.Column(visible=True), picture, facts]

    def hide(self) -> list[Any]:
        """Hide the view."""
        return [gr.Column(visible=False), None, ""]
