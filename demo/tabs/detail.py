"""One photo of the library, larger, with what is known of it and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import markup

if TYPE_CHECKING:
    from demo.search import Searcher, Shown


class Detail:
    """Components that show one photo; hidden until there is one.

    Args:
        buttons: texts of the buttons below it.
        name: of it in the page.
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
        """What `shows` and `hides` give values for."""
        return [self.group, self.picture, self.facts]

    def shows(self, searcher: Searcher, shown: Shown, extra: str = "") -> list[Any]:
        """A photo.

        Args:
            searcher: of its library.
            shown: the photo.
            extra: a line more of what is known of it.
        """
        lines = (shown.facts, extra) if extra else (shown.facts,)
        facts = f'<p class="place">{markup.text(shown.place)}</p>' + markup.note(*lines)
        picture = gr.Image(value=str(searcher.large(shown.id)), alt_text=shown.name)
        return [gr.Column(visible=True), picture, facts]

    def hides(self) -> list[Any]:
        """No photo."""
        return [gr.Column(visible=False), None, ""]
