"""Browser for the page tests: an installed Chromium or Chrome, controlled by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

TIMEOUT_MS = 60_000
"""Limit of each wait. It only matters if a condition never becomes true."""

expect.set_options(timeout=TIMEOUT_MS)

WIDE = (1440, 900)
NARROW = (390, 844)


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the browser, or skip the test if none is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed; `make test` installs it when root, on Debian")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@contextmanager
def open_page(browser: Browser, address: str, size: tuple[int, int] = WIDE, *, dark: bool = False) -> Iterator[Page]:
    """Open the page. Fails if the page requests other hosts or reports an error.

    Pages share one context, and thereby the scripts that it has compiled already.
    """
    if not browser.contexts:
        browser.new_context(permissions=["clipboard-read", "clipboard-write"], reduced_motion="reduce")
    page = browser.contexts[0].new_page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_default_timeout(TIMEOUT_MS)
    urls: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.locator("#examples button").first.wait_for()
    yield page
    other_hosts = [url for url in urls if not url.startswith((address, "data:", "blob:"))]
    assert not other_hosts, "\n".join(other_hosts)
    assert not errors, "\n".join(errors)
    assert not page.evaluate("window.ran")
    page.close()


def open_tab(page: Page, name: str) -> None:
    """Open a tab, which may be in the overflow menu of a narrow page."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.click()


def names_of(gallery: Locator) -> list[str]:
    """Return the first line of each caption of a gallery."""
    return [text.splitlines()[0] for text in gallery.locator(".caption-label").all_inner_texts()]


_HIDE_TEMPORARY_FOLDERS = """() => {
  const temporary = /\\/\\S*?\\/pytest-\\d+\\/(popen-gw\\d+\\/|shared\\/)?[^\\/\\s]+/g
  const shown = text => text.replace(temporary, "/home/ana/Pictures")
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) walker.currentNode.data = shown(walker.currentNode.data)
  for (const field of document.querySelectorAll("input, textarea")) field.value = shown(field.value)
}"""


def keep_picture(page: Page, name: str) -> None:
    """Save a screenshot for the documentation if MVMR_SCREENSHOTS is set to a folder.

    Paths of temporary folders are replaced in the page first.
    """
    if folder := os.environ.get("MVMR_SCREENSHOTS"):
        page.wait_for_function(
            "[...document.images].every(each => each.complete || each.offsetParent === null"
            " || each.getBoundingClientRect().top > innerHeight)"
            " && [...document.querySelectorAll('[data-testid=status-tracker]:not(.hide)')]"
            ".every(each => each.offsetParent === null)"
        )
        page.evaluate(_HIDE_TEMPORARY_FOLDERS)
        page.screenshot(path=Path(folder) / f"{name}.jpg", type="jpeg", quality=82)
