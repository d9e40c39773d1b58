"""A real browser: Debian's Chromium through Playwright, or any Chrome that is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

expect.set_options(timeout=15_000)

WIDE = (1440, 900)
NARROW = (390, 844)


@contextmanager
def browser() -> Iterator[Browser]:
    """The browser, or a skipped test where none is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed; `make test` installs it when root, on Debian")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@contextmanager
def looking_at(browser: Browser, address: str, size: tuple[int, int] = WIDE, *, dark: bool = False) -> Iterator[Page]:
    """The page as one person sees it; it must have asked nobody else for anything, and met no error."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        permissions=["clipboard-read", "clipboard-write"],
        reduced_motion="reduce",
    )
    seen = context.new_page()
    seen.set_default_timeout(20_000)
    outside: list[str] = []
    wrong: list[str] = []
    seen.on("request", lambda request: outside.append(request.url))
    seen.on("pageerror", lambda error: wrong.append(str(error)))
    seen.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    seen.goto(address)
    seen.locator("#examples button").first.wait_for()
    yield seen
    asked = [url for url in outside if not url.startswith((address, "data:", "blob:"))]
    assert not asked, "\n".join(asked)
    assert not wrong, "\n".join(wrong)
    assert not seen.evaluate("window.ran")
    context.close()


def open_tab(seen: Page, name: str) -> None:
    """Show one of the tabs, those behind the menu of a narrow page too."""
    tab = seen.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        seen.locator(".overflow-menu > button").click()
        tab = seen.locator(".overflow-dropdown button", has_text=name)
    tab.click()


def names_of(gallery: Locator) -> list[str]:
    """The first lines of a gallery's captions."""
    return [text.splitlines()[0] for text in gallery.locator(".caption-label").all_inner_texts()]


def keep_picture(seen: Page, name: str) -> None:
    """A picture for the documentation, where MVMR_SCREENSHOTS names a folder."""
    if folder := os.environ.get("MVMR_SCREENSHOTS"):
        seen.wait_for_timeout(1_000)
        seen.screenshot(path=Path(folder) / f"{name}.jpg", type="jpeg", quality=82)
