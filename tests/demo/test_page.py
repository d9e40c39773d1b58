"""The page in a real browser, as people use it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Seen

from mvmr_zoo import PhotoLibrary
from mvmr_zoo.datasets.samples import photographs

from .browser import NARROW, browser, keep_picture, looking_at, names_of, open_tab
from .conftest import HTML_NAME, Page, make_album, running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def seen(chromium: Browser, page: Page) -> Iterator[Seen]:
    with looking_at(chromium, page.address) as opened:
        yield opened


def send(seen: Seen, photo: Path) -> None:
    """Choose a file for the search, and wait for hits."""
    seen.locator("#photo input[type=file]").set_input_files(photo)
    expect(seen.locator("#heading")).to_contain_text(photo.name)
    expect(seen.locator("#hits button").first).to_be_visible()


def shows(seen: Seen, name: str) -> bool:
    """Whether two of the first three hits are views of a photograph."""
    return sum(each.startswith(f"{name}--") for each in names_of(seen.locator("#hits"))[:3]) >= 2


def test_search_by_a_file(seen: Seen, page: Page) -> None:
    send(seen, page.album.queries / "coffee--4.jpg")
    assert shows(seen, "coffee")
    caption = seen.locator("#hits .caption-label").first.inner_text()
    assert re.fullmatch(r".+\n0\.\d{3} · \d+\.\d %", caption)
    alternative = seen.locator("#hits img").first.get_attribute("alt")
    assert alternative
    assert "0." in alternative
    keep_picture(seen, "search")


def test_search_by_pasting(seen: Seen, page: Page) -> None:
    photo = base64.b64encode(photographs()[0].read_bytes()).decode()
    seen.evaluate(
        """async photo => {
            const blob = await (await fetch("data:image/png;base64," + photo)).blob();
            await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }""",
        photo,
    )
    seen.locator("#photo").get_by_role("button", name=re.compile("clipboard|paste", re.I)).click()
    expect(seen.locator("#hits button").first).to_be_visible()
    assert shows(seen, "astronaut")


def test_a_hit_leads_further_and_the_trail_back(seen: Seen, page: Page) -> None:
    send(seen, page.album.queries / "rocket--4.jpg")
    before = names_of(seen.locator("#hits"))
    seen.locator("#hits button").nth(5).click()
    detail = seen.locator("#detail")
    expect(detail.locator("img")).to_have_attribute("alt", before[5])
    expect(detail).to_contain_text(str(page.album.photos / before[5]))
    expect(detail).to_contain_text("pixels")
    keep_picture(seen, "detail")
    detail.get_by_role("button", name="Search with it").click()
    expect(seen.locator("#heading")).to_contain_text(before[5])
    expect(detail).to_be_hidden()
    after = names_of(seen.locator("#hits"))
    assert after != before
    seen.locator("#hits button").nth(5).click()  # at the same place as before
    expect(detail.locator("img")).to_have_attribute("alt", after[5])
    detail.get_by_role("button", name="Close").click()
    trail = seen.locator("#trail")
    expect(trail.get_by_role("radio")).to_have_count(2)
    seen.evaluate("scrollTo(0, 0)")
    keep_picture(seen, "trail")
    trail.get_by_text("rocket--4.jpg").click()
    expect(seen.locator("#heading")).to_contain_text("rocket--4.jpg")
    expect(seen.locator("#hits .caption-label").first).to_contain_text(before[0])
    assert names_of(seen.locator("#hits")) == before


def test_more_like_one_and_less_like_another(seen: Seen, page: Page) -> None:
    send(seen, page.album.queries / "coffee--4.jpg")
    before = names_of(seen.locator("#hits"))
    unlike = next(number for number, name in enumerate(before) if not name.startswith("coffee"))
    seen.locator("#hits button").nth(unlike).click()
    seen.locator("#detail").get_by_role("button", name="Less like it").click()
    expect(seen.locator("#asked .caption-label")).to_have_count(2)
    assert names_of(seen.locator("#asked")) == ["like coffee--4.jpg", f"not like {before[unlike]}"]
    assert before[unlike] not in names_of(seen.locator("#hits"))[: unlike + 1]
    seen.get_by_role("radio", name="more like it").check()
    seen.locator("#photo").get_by_role("button", name=re.compile("clear|remove", re.I)).click()
    seen.locator("#photo input[type=file]").set_input_files(page.album.queries / "china--4.jpg")
    expect(seen.locator("#asked .caption-label")).to_have_count(3)
    same = {name.split("--")[0] for name in names_of(seen.locator("#hits"))[:8]}
    assert {"coffee", "china"} <= same
    keep_picture(seen, "several")
    seen.locator("#asked button").nth(2).click()
    expect(seen.locator("#asked .caption-label")).to_have_count(2)


def test_more_hits(seen: Seen, page: Page) -> None:
    send(seen, page.album.queries / "coffee--4.jpg")
    expect(seen.locator("#hits .caption-label")).to_have_count(24)
    seen.locator("#more").click()
    expect(seen.locator("#hits .caption-label")).to_have_count(48)
    names = names_of(seen.locator("#hits"))
    assert len(set(names)) == 48
    for _ in range(2):
        seen.locator("#more").click()
        seen.wait_for_timeout(600)
    expect(seen.locator("#more")).to_be_hidden()
    expect(seen.locator("#hits .caption-label")).to_have_count(83)


def test_thumbnails_of_large_photos_come_after_the_hits(chromium: Browser, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(25):
        Image.effect_noise((3_000, 2_000), 60 + number).save(photos / f"{number:02}.png", compress_level=1)
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([photos])
    with running(tmp_path, tmp_path / "library") as (address, _), looking_at(chromium, address) as seen:
        seen.locator("#examples button").first.click()
        expect(seen.locator("#hits img[src*=waiting]").first).to_be_visible()
        expect(seen.locator("#hits .caption-label")).to_have_count(24)
        seen.locator("#hits button").nth(3).click()
        expect(seen.locator("#detail img")).to_be_visible()
        expect(seen.locator("#hits img[src*=waiting]")).to_have_count(0, timeout=60_000)
        assert len(set(names_of(seen.locator("#hits")))) == 24


def test_filters(seen: Seen, page: Page) -> None:
    send(seen, page.album.queries / "astronaut--4.jpg")
    seen.get_by_role("button", name="Filters").click()
    seen.get_by_label("Taken from").fill("2024")
    seen.get_by_label("Taken from").press("Enter")
    expect(seen.locator("#hits .caption-label")).to_have_count(1)
    assert names_of(seen.locator("#hits")) == ["abroad.jpg"]
    keep_picture(seen, "filters")
    seen.get_by_label("Taken from").fill("2031")
    seen.get_by_label("Taken from").press("Enter")
    expect(seen.locator("#heading")).to_contain_text("No photo passes the filters")
    seen.get_by_label("Taken from").fill("yesterday")
    seen.get_by_label("Taken from").press("Enter")
    expect(seen.get_by_test_id("toast-body").first).to_contain_text("expected a day as YYYY-MM-DD")
    seen.get_by_label("Taken from").fill("")
    seen.get_by_label("Taken from").press("Enter")
    seen.get_by_label("Put near duplicates behind the best one").check()
    expect(seen.locator("#hits .caption-label", has_text="+ 2 like it")).to_have_count(1)


def test_examples_begin_a_search(seen: Seen) -> None:
    names = names_of(seen.locator("#examples"))
    for _ in range(2):  # the same one twice, with something else between
        seen.locator("#examples button").nth(1).click()
        expect(seen.locator("#heading")).to_contain_text(names[1])
        seen.locator("#examples button").nth(2).click()
        expect(seen.locator("#heading")).to_contain_text(names[2])
    expect(seen.locator("#trail").get_by_role("radio")).to_have_count(4)


def test_html_in_names_is_text(chromium: Browser, page: Page, tmp_path: Path) -> None:
    photos = tmp_path / "<b>photos<i>"
    photos.mkdir()
    for number, name in enumerate([HTML_NAME, f"again-{HTML_NAME}", "${1+1}{{2+2}}.jpg", "plain.jpg"]):
        view = page.album.queries / ("coffee--4.jpg" if number < 2 else f"rocket--{number + 2}.jpg")
        (photos / name).write_bytes((view if view.exists() else page.album.photos / "china--1.jpg").read_bytes())
    (photos / f"broken-{HTML_NAME}").write_bytes(b"no photo")
    with PhotoLibrary(tmp_path / "library") as library:
        library.add([photos])
    with running(tmp_path, tmp_path / "library") as (address, _), looking_at(chromium, address) as seen:
        seen.locator("#examples button").first.click()
        expect(seen.locator("#hits .caption-label")).to_have_count(3)
        names = names_of(seen.locator("#hits"))
        hit = next(at for at, name in enumerate(names) if name.endswith(HTML_NAME))
        seen.locator("#hits button").nth(hit).click()
        expect(seen.locator("#detail")).to_contain_text(names[hit])
        seen.locator("#detail").get_by_role("button", name="Search with it").click()
        expect(seen.locator("#heading")).to_contain_text(names[hit])
        expect(seen.locator("#trail")).to_contain_text("<img src=x")
        expect(seen.locator("body")).to_contain_text("${1+1}{{2+2}}.jpg")
        for name, told in (("Index", f"broken-{HTML_NAME}"), ("Map", "<b>photos<i> (4)")):
            open_tab(seen, name)
            expect(seen.get_by_role("tabpanel")).to_contain_text(told)
        open_tab(seen, "Duplicates")
        seen.get_by_role("button", name="Look for duplicates").click()
        expect(seen.locator("#duplicates")).to_contain_text(f"again-{HTML_NAME}")
        assert seen.locator("img[onerror]").count() == 0


def test_a_file_that_is_no_photo_gets_one_message(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "<b>x.jpg").write_text("no photo")
    seen.locator("#photo input[type=file]").set_input_files(tmp_path / "<b>x.jpg")
    toast = seen.get_by_test_id("toast-body")
    expect(toast).to_contain_text("not an image in a known format")
    assert toast.locator("b").count() == 0


def test_map(seen: Seen) -> None:
    open_tab(seen, "Map")
    picture = seen.locator("#map img")
    expect(picture).to_be_visible()
    expect(seen.locator("#legend li").first).to_contain_text("photos (83)")
    before = picture.get_attribute("src")
    picture.click(position={"x": 150, "y": 200})
    detail = seen.locator("#map-detail")
    expect(detail.locator("img")).to_be_visible()
    expect(picture).not_to_have_attribute("src", before or "")
    seen.get_by_role("radio", name="cluster").check()
    expect(seen.locator("#legend li")).to_have_count(11)
    keep_picture(seen, "map")
    name = detail.locator("img").get_attribute("alt")
    seen.get_by_role("button", name="Closer").click()
    seen.get_by_role("button", name="Whole map").click()
    detail.get_by_role("button", name="Search with it").click()
    expect(seen.locator("#heading")).to_contain_text(str(name))
    expect(seen.locator("#hits button").first).to_be_visible()


def test_duplicates(seen: Seen, tmp_path: Path) -> None:
    open_tab(seen, "Duplicates")
    seen.get_by_role("button", name="Look for duplicates").click()
    group = seen.locator("#duplicates .group", has_text="again.jpg")
    expect(group.locator("figure")).to_have_count(3)
    expect(group).to_contain_text("equal file")
    expect(group).to_contain_text("near, ")
    keep_picture(seen, "duplicates")
    with seen.expect_download() as download:
        seen.locator("#list").click()
    download.value.save_as(tmp_path / "list.csv")
    lines = (tmp_path / "list.csv").read_text().splitlines()
    assert lines[0] == "group,kind,path,width,height,bytes,cosine,likeness"
    assert sum("again.jpg" in line or "smaller.jpg" in line for line in lines) == 2


def test_compare(chromium: Browser, page: Page, tmp_path: Path, checkpoint_folder: Path) -> None:
    with (
        running(tmp_path, page.album.library, "--compare", f"local-dir:{checkpoint_folder}") as (address, _),
        looking_at(chromium, address) as seen,
    ):
        open_tab(seen, "Compare")
        seen.locator("#compare-photo input[type=file]").set_input_files(page.album.queries / "coffee--4.jpg")
        for column in ("first", "second"):
            expect(seen.locator(f"#column-{column} .caption-label")).to_have_count(12)
        assert names_of(seen.locator("#column-first"))[0].startswith("coffee")
        assert names_of(seen.locator("#column-first")) != names_of(seen.locator("#column-second"))
        keep_picture(seen, "compare")
        before = names_of(seen.locator("#column-second"))
        seen.get_by_label("Second encoder").click()
        seen.get_by_role("option", name="effnet-lite:0").click()
        expect(seen.get_by_text("12 hits of both")).to_be_visible()
        assert names_of(seen.locator("#column-second")) == names_of(seen.locator("#column-first")) != before
        for _ in range(2):
            seen.get_by_role("button", name="Thumbnail 1 of 6").click()
            expect(seen.locator("#column-first .caption-label").first).not_to_contain_text("coffee")


@pytest.fixture
def checkpoint_folder(checkpoint: object) -> Path:
    return checkpoint.folder  # type: ignore[attr-defined]


def test_models(seen: Seen) -> None:
    open_tab(seen, "Models")
    row = seen.locator("tr", has_text="resnet18-imagenette-kd")
    expect(row).to_contain_text("yes, in the package")
    other = seen.locator("tr", has_text="resnet50-clip-kd-stl10")
    expect(other).to_contain_text("about 94 MB to fetch")
    keep_picture(seen, "models")


def test_a_folder_is_taken_in_while_people_search(chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    album = make_album(tmp_path / "album")
    more = tmp_path / "more"
    more.mkdir()
    for copy in range(6):
        for photo in sorted(album.queries.iterdir()):
            (more / f"{copy}-{photo.name}").write_bytes(photo.read_bytes() + bytes(copy + 1))
    (more / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    with running(tmp_path, album.library) as (address, _), looking_at(chromium, address) as seen:
        open_tab(seen, "Index")
        seen.get_by_label("Folder of photos on this machine").fill("/nowhere/at/all")
        seen.get_by_role("button", name="Start").click()
        expect(seen.get_by_test_id("toast-body")).to_contain_text("is not a folder on this machine")
        seen.get_by_test_id("toast-close").click()
        seen.get_by_label("Folder of photos on this machine").fill(str(more))
        seen.get_by_role("button", name="Start").click()
        expect(seen.locator("#indexing")).to_contain_text(re.compile("Looking|of 121"))
        keep_picture(seen, "index")
        open_tab(seen, "Search")
        send(seen, album.queries / "coffee--4.jpg")
        open_tab(seen, "Index")
        expect(seen.locator("#indexing")).to_contain_text("121 photos found, 120 taken in", timeout=60_000)
        expect(seen.locator("#indexing")).to_contain_text("The library holds 203 photos.")
        expect(seen.locator("#failures")).to_contain_text("broken.jpg")
        expect(seen.locator("#failures")).to_contain_text("not an image in a known format")
        expect(seen.locator("#head")).to_contain_text("203 photos")
        expect(seen.get_by_test_id("toast-body")).to_be_hidden()
        keep_picture(seen, "indexed")
        open_tab(seen, "Search")
        send(seen, album.queries / "china--4.jpg")
        assert any(name.endswith("-china--4.jpg") for name in names_of(seen.locator("#hits"))[:3])


@pytest.mark.parametrize("size", [NARROW, (1440, 900)], ids=["390", "1440"])
def test_dark_and_light_at_every_width(chromium: Browser, page: Page, size: tuple[int, int]) -> None:
    for dark in (False, True):
        with looking_at(chromium, page.address, size, dark=dark) as seen:
            send(seen, page.album.queries / "chelsea--4.jpg")
            for name in ("Index", "Map", "Duplicates", "Compare", "Models", "Search"):
                open_tab(seen, name)
                seen.wait_for_timeout(200)
                assert seen.evaluate("document.documentElement.scrollWidth") <= size[0], name
            light = seen.evaluate(
                "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"
            )
            assert (sum(light) / 3 < 80) == dark
            keep_picture(seen, f"{'dark' if dark else 'light'}-{size[0]}")


def test_by_keyboard_alone(seen: Seen, page: Page) -> None:
    seen.locator("#examples button").first.focus()
    seen.keyboard.press("Enter")
    expect(seen.locator("#hits button").first).to_be_visible()
    seen.locator("#hits button").nth(1).focus()
    seen.keyboard.press("Enter")
    expect(seen.locator("#detail img")).to_be_visible()
    detail = seen.locator("#detail")
    button = detail.get_by_role("button", name="Search with it")
    button.focus()
    seen.keyboard.press("Enter")
    expect(seen.locator("#trail").get_by_role("radio")).to_have_count(2)
    seen.locator("#trail").get_by_role("radio").nth(0).focus()
    seen.keyboard.press("Space")
    expect(seen.locator("#trail").get_by_role("radio").nth(0)).to_be_checked()
    expect(detail).to_be_hidden()


def test_every_picture_has_a_text(seen: Seen, page: Page) -> None:
    send(seen, page.album.queries / "coffee--4.jpg")
    seen.locator("#hits button").first.click()
    expect(seen.locator("#detail img")).to_be_visible()
    open_tab(seen, "Map")
    expect(seen.locator("#map img")).to_be_visible()
    assert seen.evaluate("[...document.images].filter(each => !each.alt).map(each => each.outerHTML)") == []


def test_an_empty_library_says_what_to_do(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path, "--library", tmp_path / "library") as (address, _):
        context = chromium.new_context()
        seen = context.new_page()
        seen.goto(address)
        expect(seen.locator("#heading")).to_contain_text("no photos yet")
        open_tab(seen, "Map")
        expect(seen.get_by_test_id("toast-body")).to_contain_text("a map needs 3")
        context.close()
