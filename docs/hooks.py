"""Hooks of the documentation site: the start page is the README, and links to files of the repository are checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+)([^)#]*)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace links to files outside `docs/` by their names, and raise for files that do not exist."""

    def name(match: re.Match[str]) -> str:
        text, up, target, _ = match.groups()
        path = (ROOT / "docs" / page.file.src_uri).parent / up / target
        if not path.exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to {up}{target}, which does not exist")
        if path.resolve().is_relative_to(ROOT / "docs"):
            return match.group(0)
        label = f"`{path.resolve().relative_to(ROOT)}`"
        return label if text.strip("`") == target.strip("/") else f"{text} ({label})"

    return _LINK.sub(name, markdown)


def on_pre_build(config: Any) -> None:
    """Write `docs/index.md` from the README, with links relative to `docs/`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!https?:|#|docs/)([^)]*)\)", r"](../\1)", text).replace("](docs/", "](")
    index = ROOT / "docs" / "index.md"
    if not index.exists() or index.read_text(encoding="utf-8") != text:
        index.write_text(text, encoding="utf-8")
