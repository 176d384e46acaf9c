"""The page in a browser: every view, on a telephone and on a desk, light and dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import png

VIEWS = ("/restore", "/understand", "/code?model=best-64", "/runs")


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((address, "data:", "blob:"))
            else problems.append(asked.url)
        ),
    )
    yield page
    context.close()
    assert problems == []


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_serious_barriers(page: Any, address: str, view: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    page.goto(address + view)
    for scheme, width in (("light", 390), ("dark", 1280)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        found = axe.Axe().run(page).response["violations"]
        serious = [
            (each["id"], [node["html"][:120] for node in each["nodes"]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []
        # Nothing but tables and drawings, which have their own, needs to scroll to the side.
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pictures_are_restored_and_compared(page: Any, address: str, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(png(seed=number))
    page.goto(f"{address}/restore")
    page.set_input_files("#pictures", [str(tmp_path / f"{number}.png") for number in range(2)])
    page.click("form[data-upload] button.primary")
    page.wait_for_selector(".slider img.before")
    slider = page.locator(".slider input").first
    before = page.locator(".slider .before").first
    slider.fill("10")
    assert "90%" in before.evaluate("image => getComputedStyle(image).clipPath")
    with page.expect_download() as download:
        page.click("text=Download all as a zip")
    assert Path(download.value.path()).stat().st_size > 1000


def test_a_network_is_explained_while_it_is_typed(page: Any, address: str) -> None:
    page.goto(f"{address}/understand")
    page.fill("#network", "conv8 pool conv4 | up conv3")
    page.wait_for_selector("text=4 · 16 · 16 = 1,024 numbers")
    assert "conv8+pool+conv4" in page.url
    page.locator("#what-kernel").fill("5")
    page.wait_for_selector("code:text-is('conv8k5 pool conv4 | up conv3')")
    assert page.input_value("#network") == "conv8k5 pool conv4 | up conv3"
    page.fill("#network", "conv8 pool conv")
    page.wait_for_selector("[role=alert]")
    assert page.evaluate("document.activeElement.id") == "network"


def test_a_channel_is_switched_off(page: Any, address: str) -> None:
    page.goto(f"{address}/code?model=best-64")
    before = page.locator("td.number").first.inner_text()
    with page.expect_response("**/code/part?*"):
        page.uncheck("#on-0")
    page.wait_for_url("**maps=1**")
    assert page.locator("td.number").first.inner_text() != before
