"""Tests of the page in a real browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from mvmr_zoo import PhotoLibrary
from mvmr_zoo.datasets.samples import photographs

from .browser import NARROW, browser, keep_picture, names_of, open_page, open_tab
from .conftest import HTML_NAME, Server, running, with_own_library


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    with open_page(chromium, server.address) as opened:
        yield opened


def send(page: Page, photo: Path) -> None:
    """Search with a file and wait for the hits."""
    page.locator("#photo input[type=file]").set_input_files(photo)
    expect(page.locator("#heading")).to_contain_text(photo.name)
    expect(page.locator("#hits button").first).to_be_visible()


def has_views_of(page: Page, name: str) -> bool:
    """Return whether two of the first three hits are views of a photograph."""
    return sum(each.startswith(f"{name}--") for each in names_of(page.locator("#hits"))[:3]) >= 2


def test_search_with_a_file(page: Page, server: Server) -> None:
    send(page, server.album.queries / "coffee--4.jpg")
    assert has_views_of(page, "coffee")
    caption = page.locator("#hits .caption-label").first.inner_text()
    assert re.fullmatch(r".+\nsimilarity 0\.\d{3}\nmore similar than \d+\.\d\s% of random pairs", caption)
    alternative = page.locator("#hits img").first.get_attribute("alt")
    assert alternative
    assert "0." in alternative
    keep_picture(page, "search")


def test_search_with_a_pasted_photo(page: Page, server: Server) -> None:
    photo = base64.b64encode(photographs()[0].read_bytes()).decode()
    page.evaluate(
        """async photo => {
            const blob = await (await fetch("data:image/png;base64," + photo)).blob();
            await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }""",
        photo,
    )
    page.locator("#photo").get_by_role("button", name=re.compile("clipboard|paste", re.I)).click()
    expect(page.locator("#hits button").first).to_be_visible()
    assert has_views_of(page, "astronaut")


def test_search_with_a_hit_and_return_in_the_history(page: Page, server: Server) -> None:
    send(page, server.album.queries / "rocket--4.jpg")
    before = names_of(page.locator("#hits"))
    page.locator("#hits button").nth(5).click()
    detail = page.locator("#detail")
    expect(detail.locator("img")).to_have_attribute("alt", before[5])
    expect(detail).to_contain_text(str(server.album.photos / before[5]))
    expect(detail).to_contain_text("pixels")
    expect(detail).to_contain_text(re.compile(r"similarity 0\.\d{3}, more similar than \d+\.\d % of random pairs"))
    keep_picture(page, "detail")
    detail.get_by_role("button", name="Search with this photo").click()
    expect(page.locator("#heading")).to_contain_text(before[5])
    expect(detail).to_be_hidden()
    after = names_of(page.locator("#hits"))
    assert after != before
    page.locator("#hits button").nth(5).click()  # at the same place as before
    expect(detail.locator("img")).to_have_attribute("alt", after[5])
    detail.get_by_role("button", name="Close").click()
    trail = page.locator("#trail")
    expect(trail.get_by_role("radio")).to_have_count(2)
    page.evaluate("scrollTo(0, 0)")
    keep_picture(page, "trail")
    trail.get_by_text("rocket--4.jpg").click()
    expect(page.locator("#heading")).to_contain_text("rocket--4.jpg")
    expect(page.locator("#hits .caption-label").first).to_contain_text(before[0])
    assert names_of(page.locator("#hits")) == before


def test_query_with_like_and_unlike_photos(page: Page, server: Server) -> None:
    send(page, server.album.queries / "coffee--4.jpg")
    before = names_of(page.locator("#hits"))
    unlike = next(number for number, name in enumerate(before) if not name.startswith("coffee"))
    page.locator("#hits button").nth(unlike).click()
    page.locator("#detail").get_by_role("button", name="Less like this").click()
    expect(page.locator("#query-photos .caption-label")).to_have_count(2)
    assert names_of(page.locator("#query-photos")) == ["like coffee--4.jpg", f"not like {before[unlike]}"]
    assert before[unlike] not in names_of(page.locator("#hits"))[: unlike + 1]
    page.get_by_role("radio", name="more like this").check()
    page.locator("#photo").get_by_role("button", name=re.compile("clear|remove", re.I)).click()
    page.locator("#photo input[type=file]").set_input_files(server.album.queries / "china--4.jpg")
    expect(page.locator("#query-photos .caption-label")).to_have_count(3)
    same = {name.split("--")[0] for name in names_of(page.locator("#hits"))[:8]}
    assert {"coffee", "china"} <= same
    keep_picture(page, "several")
    page.locator("#query-photos button").nth(2).click()
    expect(page.locator("#query-photos .caption-label")).to_have_count(2)


def test_more_hits(page: Page, server: Server) -> None:
    send(page, server.album.queries / "coffee--4.jpg")
    expect(page.locator("#hits .caption-label")).to_have_count(24)
    page.locator("#more").click()
    expect(page.locator("#hits .caption-label")).to_have_count(48)
    names = names_of(page.locator("#hits"))
    assert len(set(names)) == 48
    for count in (72, 83):
        page.locator("#more").click()
        expect(page.locator("#hits .caption-label")).to_have_count(count)
    expect(page.locator("#more")).to_be_hidden()


def test_slow_thumbnails_appear_after_the_hits(chromium: Browser, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(25):
        gray = Image.new("L", (4_000, 3_000), 60 + number)  # written at once, and read slowly
        gray.save(photos / f"{number:02}.png", compress_level=1)
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([photos])
    with running(tmp_path, tmp_path / "library") as (address, _), open_page(chromium, address) as page:
        page.locator("#examples button").first.click()
        expect(page.locator("#hits img[src*=waiting]").first).to_be_visible()
        expect(page.locator("#hits .caption-label")).to_have_count(24)
        page.locator("#hits button").nth(3).click()
        expect(page.locator("#detail img")).to_be_visible()
        expect(page.locator("#hits img[src*=waiting]")).to_have_count(0)
        assert len(set(names_of(page.locator("#hits")))) == 24


def test_filters(page: Page, server: Server) -> None:
    send(page, server.album.queries / "astronaut--4.jpg")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Taken from").fill("2024")
    page.get_by_label("Taken from").press("Enter")
    expect(page.locator("#hits .caption-label")).to_have_count(1)
    assert names_of(page.locator("#hits")) == ["abroad.jpg"]
    keep_picture(page, "filters")
    page.get_by_label("Taken from").fill("2031")
    page.get_by_label("Taken from").press("Enter")
    expect(page.locator("#heading")).to_contain_text("No photo matches the filters")
    page.get_by_label("Taken from").fill("yesterday")
    page.get_by_label("Taken from").press("Enter")
    expect(page.get_by_test_id("toast-body").first).to_contain_text("expected a date as YYYY-MM-DD")
    page.get_by_label("Taken from").fill("")
    page.get_by_label("Taken from").press("Enter")
    page.get_by_label("Group near duplicates").check()
    expect(page.locator("#hits .caption-label", has_text="+ 2 near duplicates")).to_have_count(1)


def test_search_with_examples(page: Page) -> None:
    names = names_of(page.locator("#examples"))
    for _ in range(2):  # the same example twice, with another one between
        page.locator("#examples button").nth(1).click()
        expect(page.locator("#heading")).to_contain_text(names[1])
        page.locator("#examples button").nth(2).click()
        expect(page.locator("#heading")).to_contain_text(names[2])
    expect(page.locator("#trail").get_by_role("radio")).to_have_count(4)


def test_html_in_names_is_escaped(chromium: Browser, server: Server, tmp_path: Path) -> None:
    photos = tmp_path / "<b>photos<i>"
    photos.mkdir()
    for number, name in enumerate([HTML_NAME, f"again-{HTML_NAME}", "${1+1}{{2+2}}.jpg", "plain.jpg"]):
        view = server.album.queries / ("coffee--4.jpg" if number < 2 else f"rocket--{number + 2}.jpg")
        (photos / name).write_bytes((view if view.exists() else server.album.photos / "china--1.jpg").read_bytes())
    (photos / f"broken-{HTML_NAME}").write_bytes(b"no photo")
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([photos])
    with running(tmp_path, tmp_path / "library") as (address, _), open_page(chromium, address) as page:
        page.locator("#examples button").first.click()
        expect(page.locator("#hits .caption-label")).to_have_count(3)
        names = names_of(page.locator("#hits"))
        hit = next(index for index, name in enumerate(names) if name.endswith(HTML_NAME))
        page.locator("#hits button").nth(hit).click()
        expect(page.locator("#detail")).to_contain_text(names[hit])
        page.locator("#detail").get_by_role("button", name="Search with this photo").click()
        expect(page.locator("#heading")).to_contain_text(names[hit])
        expect(page.locator("#trail")).to_contain_text("<img src=x")
        expect(page.locator("body")).to_contain_text("${1+1}{{2+2}}.jpg")
        for name, text in (("Index", f"broken-{HTML_NAME}"), ("Map", "<b>photos<i> (4)")):
            open_tab(page, name)
            expect(page.get_by_role("tabpanel")).to_contain_text(text)
        open_tab(page, "Duplicates")
        page.get_by_role("button", name="Find duplicates").click()
        expect(page.locator("#duplicates")).to_contain_text(f"again-{HTML_NAME}")
        assert page.locator("img[onerror]").count() == 0


def test_invalid_photo_gives_one_message(page: Page, tmp_path: Path) -> None:
    (tmp_path / "<b>x.jpg").write_text("no photo")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "<b>x.jpg")
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text("not an image in a known format")
    assert toast.locator("b").count() == 0


def test_map(page: Page) -> None:
    open_tab(page, "Map")
    picture = page.locator("#map img")
    expect(picture).to_be_visible()
    expect(page.locator("#legend li").first).to_contain_text("photos (83)")
    before = picture.get_attribute("src")
    picture.click(position={"x": 150, "y": 200})
    detail = page.locator("#map-detail")
    expect(detail.locator("img")).to_be_visible()
    expect(picture).not_to_have_attribute("src", before or "")
    page.get_by_role("radio", name="cluster").check()
    expect(page.locator("#legend li")).to_have_count(11)
    keep_picture(page, "map")
    name = detail.locator("img").get_attribute("alt")
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Reset zoom").click()
    detail.get_by_role("button", name="Search with this photo").click()
    expect(page.locator("#heading")).to_contain_text(str(name))
    expect(page.locator("#hits button").first).to_be_visible()


def test_duplicates(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Duplicates")
    page.get_by_role("button", name="Find duplicates").click()
    group = page.locator("#duplicates .group", has_text="again.jpg")
    expect(group.locator("figure")).to_have_count(3)
    expect(group).to_contain_text("Identical file")
    expect(group).to_contain_text("Near duplicate, correlation ")
    keep_picture(page, "duplicates")
    with page.expect_download() as download:
        page.locator("#list").click()
    download.value.save_as(tmp_path / "list.csv")
    lines = (tmp_path / "list.csv").read_text().splitlines()
    assert lines[0] == "group,kind,path,width,height,bytes,cosine,correlation"
    assert sum("again.jpg" in line or "smaller.jpg" in line for line in lines) == 2


def test_compare(chromium: Browser, server: Server, tmp_path: Path, checkpoint_folder: Path) -> None:
    with (
        running(tmp_path, server.album.library, "--compare", f"local-dir:{checkpoint_folder}") as (address, _),
        open_page(chromium, address) as page,
    ):
        open_tab(page, "Compare")
        page.locator("#compare-photo input[type=file]").set_input_files(server.album.queries / "coffee--4.jpg")
        for column in ("first", "second"):
            expect(page.locator(f"#column-{column} .caption-label")).to_have_count(12)
        assert names_of(page.locator("#column-first"))[0].startswith("coffee")
        assert names_of(page.locator("#column-first")) != names_of(page.locator("#column-second"))
        keep_picture(page, "compare")
        before = names_of(page.locator("#column-second"))
        page.get_by_label("Second encoder").click()
        page.get_by_role("option", name="effnet-lite1-whitened").click()
        expect(page.get_by_text("The encoders share 12 hits.")).to_be_visible()
        assert names_of(page.locator("#column-second")) == names_of(page.locator("#column-first")) != before
        for _ in range(2):
            page.get_by_role("button", name="Thumbnail 1 of 6").click()
            expect(page.locator("#column-first .caption-label").first).not_to_contain_text("coffee")


@pytest.fixture
def checkpoint_folder(checkpoint: object) -> Path:
    return checkpoint.folder  # type: ignore[attr-defined]


def test_models(page: Page) -> None:
    open_tab(page, "Models")
    row = page.locator("tr", has_text="effnet-lite1-whitened")
    expect(row).to_contain_text("yes, bundled")
    other = page.locator("tr", has_text="resnet50-clip-kd-stl10")
    expect(other).to_contain_text("about 94 MB to download")
    keep_picture(page, "models")


def test_index_a_folder_while_searching(chromium: Browser, server: Server, tmp_path: Path) -> None:
    album = with_own_library(server.album, tmp_path)
    more = tmp_path / "more"
    more.mkdir()
    for copy in range(6):
        for photo in sorted(album.queries.iterdir()):
            (more / f"{copy}-{photo.name}").write_bytes(photo.read_bytes() + bytes(copy + 1))
    (more / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    with running(tmp_path, album.library) as (address, _), open_page(chromium, address) as page:
        open_tab(page, "Index")
        page.get_by_label("Folder of photos on this machine").fill("/nowhere/at/all")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_test_id("toast-body")).to_contain_text("is not a folder on this machine")
        page.get_by_test_id("toast-close").click()
        page.get_by_label("Folder of photos on this machine").fill(str(more))
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#indexing")).to_contain_text(re.compile("Scanning|of 121"))
        keep_picture(page, "index")
        open_tab(page, "Search")
        send(page, album.queries / "coffee--4.jpg")
        open_tab(page, "Index")
        expect(page.locator("#indexing")).to_contain_text("121 photos found, 120 indexed")
        expect(page.locator("#indexing")).to_contain_text("The library has 203 photos.")
        expect(page.locator("#failures")).to_contain_text("broken.jpg")
        expect(page.locator("#failures")).to_contain_text("not an image in a known format")
        expect(page.locator("#head")).to_contain_text("203 photos")
        expect(page.get_by_test_id("toast-body")).to_be_hidden()
        keep_picture(page, "indexed")
        open_tab(page, "Search")
        send(page, album.queries / "china--4.jpg")
        assert any(name.endswith("-china--4.jpg") for name in names_of(page.locator("#hits"))[:3])


@pytest.mark.parametrize("size", [NARROW, (1440, 900)], ids=["390", "1440"])
def test_dark_and_light_layout(chromium: Browser, server: Server, size: tuple[int, int]) -> None:
    for dark in (False, True):
        with open_page(chromium, server.address, size, dark=dark) as page:
            send(page, server.album.queries / "chelsea--4.jpg")
            for name in ("Index", "Map", "Duplicates", "Compare", "Models", "Search"):
                open_tab(page, name)
                expect(page.get_by_role("tabpanel")).to_be_visible()
                page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=size[0])
            background = page.evaluate(
                "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"
            )
            assert (sum(background) / 3 < 80) == dark
            keep_picture(page, f"{'dark' if dark else 'light'}-{size[0]}")


def test_keyboard_control(page: Page, server: Server) -> None:
    page.locator("#examples button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#hits button").first).to_be_visible()
    page.locator("#hits button").nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail img")).to_be_visible()
    detail = page.locator("#detail")
    button = detail.get_by_role("button", name="Search with this photo")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#trail").get_by_role("radio")).to_have_count(2)
    page.locator("#trail").get_by_role("radio").nth(0).focus()
    page.keyboard.press("Space")
    expect(page.locator("#trail").get_by_role("radio").nth(0)).to_be_checked()
    expect(detail).to_be_hidden()


def test_images_have_alternative_text(page: Page, server: Server) -> None:
    send(page, server.album.queries / "coffee--4.jpg")
    page.locator("#hits button").first.click()
    expect(page.locator("#detail img")).to_be_visible()
    open_tab(page, "Map")
    expect(page.locator("#map img")).to_be_visible()
    assert page.evaluate("[...document.images].filter(each => !each.alt).map(each => each.outerHTML)") == []


def test_empty_library_shows_instructions(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path, "--library", tmp_path / "library") as (address, _):
        context = chromium.new_context()
        page = context.new_page()
        page.goto(address)
        expect(page.locator("#heading")).to_contain_text("no photos yet")
        open_tab(page, "Map")
        expect(page.get_by_test_id("toast-body")).to_contain_text("a map needs at least 3")
        context.close()
