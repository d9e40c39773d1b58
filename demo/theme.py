"""Theme and CSS of the page, based on Gradio's base theme."""

from __future__ import annotations

import gradio as gr

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")


def theme() -> gr.themes.Base:
    """Return the theme for light and dark mode. It uses system fonts only, so that no font is downloaded."""
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", radius_size="md", font=_FONTS, font_mono=("ui-monospace", "monospace")
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )


CSS = """
.gradio-container { width: 100%; max-width: 1500px !important; margin: 0 auto; }
#head h1 { font-size: 1.35rem; margin: 0; }
#head p { margin: 0; overflow-wrap: anywhere; }

.photos .grid-wrap { max-height: none !important; min-height: 0 !important; overflow: visible !important; }
.photos .grid-container {
  padding-top: 1.6rem !important; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)) !important;
}
.photos.small .grid-container { grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)) !important; }
.photos .caption-label {
  position: static; max-width: 100%; height: auto; border: 0; border-radius: 0; white-space: pre-line; overflow: hidden;
  overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 6; line-clamp: 6;
}
.photos .thumbnail-item { aspect-ratio: auto; height: auto; }
.photos .thumbnail-item img { aspect-ratio: 1; height: auto; object-fit: cover; }
.photos.small .caption-label { -webkit-line-clamp: 1; line-clamp: 1; padding: 0 0.2rem; }
.photos button:focus-visible, .trail label:focus-within, a:focus-visible {
  outline: 3px solid var(--color-accent); outline-offset: 2px;
}
.trail label {
  padding: 0.15rem 0.6rem; max-width: 14rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
}
.compact label { padding: 0.2rem 0.5rem; }

.bottom { align-items: end; }

.note { padding: 0.5rem 0.25rem; }
.note p { margin: 0.15rem 0; overflow-wrap: anywhere; }
.place { font-family: var(--font-mono); overflow-wrap: anywhere; }

.scrolls { overflow-x: auto; }
.scrolls table { border-collapse: collapse; width: 100%; font-size: var(--text-sm); }
.scrolls caption { text-align: left; font-weight: 600; padding: 0.4rem 0; }
.scrolls th, .scrolls td {
  text-align: left; vertical-align: top; padding: 0.35rem 0.6rem; border-bottom: 1px solid var(--border-color-primary);
}
.scrolls th { white-space: nowrap; }

.group {
  display: flex; flex-wrap: wrap; gap: 0.75rem; padding: 0.75rem 0;
  border-bottom: 1px solid var(--border-color-primary);
}
.group figure { margin: 0; width: 12rem; max-width: 45%; font-size: var(--text-sm); }
.group img { width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--background-fill-secondary); }
.group figcaption { overflow-wrap: anywhere; }

.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 0.9rem; list-style: none; padding: 0; margin: 0.4rem 0; }
.legend li { overflow-wrap: anywhere; }
.legend span { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 50%; margin-right: 0.35rem; }
#map { max-width: max(20rem, 72vh); }
#map img { cursor: crosshair; }
"""
