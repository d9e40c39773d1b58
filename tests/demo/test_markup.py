from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from demo import markup

HOSTILE = "\"><script>window.ran=1</script><img src=x onerror='ran()'>&amp;\n\udcff"


class Parsed(HTMLParser):
    """Tags, attributes and text of an HTML fragment."""

    def __init__(self, piece: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(piece)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("piece", "tags"),
    [
        (markup.text(HOSTILE), []),
        (markup.note(HOSTILE), ["div", "p"]),
        (markup.picture(Path("a.jpg"), HOSTILE), ["img"]),
        (markup.figure(Path("a.jpg"), HOSTILE, markup.text(HOSTILE)), ["figure", "img", "figcaption"]),
        (
            markup.table((HOSTILE,), [(HOSTILE,)], caption=HOSTILE),
            ["div", "table", "caption", "thead", "tr", "th", "tbody", "tr", "td"],
        ),
    ],
)
def test_text_is_escaped(piece: str, tags: list[str]) -> None:
    parsed = Parsed(piece)
    assert [tag for tag, _ in parsed.tags] == tags
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    piece.encode()  # must be valid UTF-8


def test_picture_has_an_escaped_path_and_alternative_text() -> None:
    ((_, attributes),) = Parsed(markup.picture(Path('/a b/"c"#.jpg'), "a cat")).tags
    assert attributes["src"] == "gradio_api/file=/a%20b/%22c%22%23.jpg"
    assert attributes["alt"] == "a cat"


def test_table_cells_can_have_several_lines() -> None:
    parsed = Parsed(markup.table(("a", "b"), [(("x", "<y>"), 5)], caption="c"))
    assert [tag for tag, _ in parsed.tags].count("br") == 1
    assert parsed.text == "cabx<y>5"


def test_count_text() -> None:
    assert [markup.count_text(number, "photo") for number in (0, 1, 2_000)] == ["0 photos", "1 photo", "2,000 photos"]
