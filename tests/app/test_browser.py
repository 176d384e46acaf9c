"""The page in a browser: every view, on a telephone and on a desk, light and dark."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

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


def require_no_barriers(page: Any) -> None:
    """Check the page that is open, as it is on a telephone in light and on a desk in the dark."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
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


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_serious_barriers(page: Any, address: str, view: str) -> None:
    page.goto(address + view)
    require_no_barriers(page)


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
    require_no_barriers(page)


def test_pictures_of_a_folder_are_chosen(page: Any, address: str, tmp_path: Path) -> None:
    for name in ("a.png", "inner/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png())
    (tmp_path / "notes.txt").write_text("no picture")
    page.goto(f"{address}/restore")
    page.set_input_files("#folder", tmp_path)
    names = "[...document.querySelector('#pictures').files].map(file => file.name).sort()"
    assert page.evaluate(names) == ["a.png", "b.png"]
    assert page.evaluate("document.querySelector('#folder').files.length") == 0
    page.locator("form[data-upload]").evaluate("form => { form.dataset.maxBytes = 100 }")
    page.click("form[data-upload] button.primary")
    page.wait_for_selector("[role=alert]:visible")
    assert page.url == f"{address}/restore"


def paint(page: Any) -> dict[str, float]:
    """Paint a line over the picture, and return where the picture is in the window."""
    canvas = page.locator(".paint canvas")
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    box: dict[str, float] = canvas.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 50, steps=3)
    page.mouse.up()
    return box


def test_holes_are_painted(page: Any, address: str, tmp_path: Path) -> None:
    other, picture = tmp_path / "other.png", tmp_path / "a.png"
    other.write_bytes(png(100, 100))
    picture.write_bytes(png(200, 300))
    page.goto(f"{address}/restore?task=fill")
    page.set_input_files("#pictures", other)
    masks = "document.querySelector('#mask').files.length"
    paint(page)
    assert page.evaluate(masks) == 1
    page.set_input_files("#pictures", picture)
    assert page.evaluate(masks) == 0  # the paint was over another picture
    box = paint(page)
    require_no_barriers(page)
    page.click("form[data-upload] button.primary")
    page.wait_for_selector(".slider img.before")
    with page.expect_download() as download:
        page.click("text=Download the result")
    made, given = (
        np.asarray(Image.open(file).convert("RGB")) for file in (download.value.path(), picture)
    )
    changed = (made != given).any(axis=2)
    scale = 300 / box["width"]
    assert changed[int(50 * scale), int(50 * scale) : int(100 * scale)].mean() > 0.9
    assert not changed[150:].any()
    assert not changed[:, 200:].any()


SEND = """number => {
    window.answers = [];
    const content = document.querySelector("[data-content]").dataset.content;
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    const send = async () => {
        const form = new FormData();
        form.append("task", "colorize");
        form.append("pictures", new File([bytes], "a.png"));
        const sent = await fetch("/restore", {
            method: "POST", body: form, headers: { accept: "application/json" },
        });
        const { url } = await sent.json();
        for (;;) {
            const { state } = await (await fetch(`${url}/progress`)).json();
            if (state === "done" || state === "failed") break;
            await new Promise(go => setTimeout(go, 50));
        }
        window.answers.push((await fetch(`${url}/0/result`)).status);
    };
    for (let each = 0; each < number; each++) send();
}"""


def test_five_browsers_send_twenty_pictures_at_once(browser: Any, address: str) -> None:
    contexts = [browser.new_context() for _ in range(5)]
    pages = [context.new_page() for context in contexts]
    content = b64encode(png()).decode()
    for page in pages:
        page.goto(f"{address}/restore")
        hidden = page.locator("form[data-upload] input[type=hidden]")
        hidden.evaluate("(field, content) => { field.dataset.content = content }", content)
    for page in pages:
        page.evaluate(SEND, 4)
    for page in pages:
        for _ in range(600):
            if len(page.evaluate("window.answers")) == 4:
                break
            page.wait_for_timeout(50)
        assert page.evaluate("window.answers") == [200] * 4
    for context in contexts:
        context.close()


def test_runs_are_chosen_and_compared(page: Any, address: str) -> None:
    page.goto(f"{address}/runs")
    for number in range(2):
        page.locator("input[name=run]:enabled").nth(number).check()
    page.click("text=Compare the chosen runs")
    page.wait_for_selector("h1:text-is('Comparison on the same test images')")
    page.goto(f"{address}/runs")
    page.locator("[data-run] a").first.click()
    page.wait_for_selector("h1")
    require_no_barriers(page)


def test_what_cannot_be_done_is_said_in_every_view(
    browser: Any, address: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no picture")
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/restore")
    page.set_input_files("#pictures", wrong)
    page.click("form[data-upload] button.primary")
    page.wait_for_selector("[role=alert]:visible")
    page.goto(f"{address}/code?model=best-64")
    page.set_input_files("#picture", wrong)
    page.click("form[data-upload] button")
    page.wait_for_selector("[role=alert]:visible")
    page.goto(f"{address}/runs")
    page.click("text=Compare the chosen runs")
    page.wait_for_selector("[role=alert]:visible")
    page.goto(f"{address}/understand")
    page.fill("#network", "a" * 20_000)
    page.wait_for_selector("[role=alert]:visible")
    assert page.evaluate("document.querySelector('#network').value.length") > 10_000
    page.close()
    assert errors == []


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
