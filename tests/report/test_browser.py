"""The page in a browser: what it does, whether it fits, and whether everybody can use it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.report.language import TEMPLATES
from caelab.report.report import write_report

LANGUAGES = sorted(file.parent.name for file in TEMPLATES.glob("*/report.md.j2"))
WIDTHS = (390, 768, 1280, 1920)


@pytest.fixture(scope="module")
def report(small_study: Any, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three networks and two colorizers."""
    folder = tmp_path_factory.mktemp("page")
    options = {
        "network": "conv4 pool conv4 up conv3", "data": str(pictures), "size": 16, "batch_size": 16,
        "epochs": 1, "degradation": "gray",
    }  # fmt: skip
    gray = [
        run(RunConfig().replace(**options, target=target), runs=folder / "runs").path
        for target in ("rgb", "chroma")
    ]
    write_report([small_study.folder, *gray], out=folder, runs=small_study.runs)
    return folder / "report.html"


@pytest.fixture
def page(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page as wide as the test's parameter says, which neither complains nor asks for more."""
    said, asked = [], set()
    opened = browser.new_page(viewport={"width": getattr(request, "param", 1280), "height": 900})
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.add(request.url.split(":")[0]))
    opened.goto(report.as_uri())
    opened.wait_for_selector("#interactive[data-ready=true]", timeout=60_000)
    yield opened
    opened.close()
    assert said == []
    assert asked <= {"file", "data"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_works_in_every_language(
    browser: Any, small_study: Any, tmp_path: Path, language: str
) -> None:
    file, _ = write_report(
        [small_study.folder], out=tmp_path, runs=small_study.runs, language=language
    )
    said: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("#interactive[data-ready=true]", timeout=60_000)
    # Anchors hold letters of the language, which a link writes in another way.
    for link in page.locator("#contents a").all():
        link.click()
        page.wait_for_function("document.querySelector(':target') !== null")
    page.close()
    assert said == []


def drawn(canvas: Any) -> str:
    return str(canvas.evaluate("canvas => canvas.toDataURL()"))


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_nothing_is_wider_than_the_window(page: Any) -> None:
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # The label and the error, or the first number, of each table are seen without scrolling.
    main = page.locator("table").evaluate_all("""tables => tables.flatMap(table => {
        const headings = [...table.querySelectorAll("th")];
        const error = headings.find(each => each.textContent.endsWith("MSE")) ?? headings[1];
        return [headings[0], error].map(each => [each.textContent, each.getBoundingClientRect()]);
    })""")
    assert any("MSE" in heading for heading, _ in main)
    for heading, box in main:
        assert box["left"] >= 0, heading
        assert box["right"] <= width + 1, heading
    assert page.locator("#contents").evaluate("each => each.open") == (width >= 1024)
    verdict = page.get_by_role("columnheader", name="verdict").first.bounding_box()
    assert verdict["x"] + verdict["width"] <= width
    # What has to be scrolled says so, and nothing else does.
    boxes = page.locator("main > figure").locator(".frame, .scroll:visible")
    wider = boxes.evaluate_all("all => all.map(each => each.scrollWidth - each.clientWidth > 1)")
    told = boxes.evaluate_all("all => all.map(each => each.nextElementSibling.checkVisibility())")
    assert told == wider
    assert any(wider) == (width == 390)


def test_other_columns_are_shown_on_demand_and_without_scripts(
    page: Any, browser: Any, report: Path
) -> None:
    table = page.locator("figure:has(.all-columns)").first
    column = table.locator("td.more").first
    assert not column.is_visible()
    table.get_by_role("checkbox").press("Space")
    assert column.is_visible()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(report.as_uri())
    plain.locator(".all-columns").first.check()
    assert plain.locator("td.more").first.is_visible()
    plain.close()


def test_every_table_and_figure_can_be_saved(page: Any) -> None:
    figures = page.locator("main > figure")
    links = page.locator("main > figure a[download]")
    assert links.count() == figures.count() > 4
    with page.expect_download() as download:
        page.locator("a[download$='.svg']").first.click()
    assert Path(download.value.path()).read_bytes().lstrip().startswith(b"<svg")


def test_an_image_is_chosen_and_seen_through_every_network(page: Any) -> None:
    task = page.locator(".task").first
    buttons, cards = task.locator(".choices button"), task.locator(".grid canvas")
    first = drawn(cards.first)
    buttons.nth(1).press("Enter")
    assert buttons.nth(1).get_attribute("aria-pressed") == "true"
    assert drawn(cards.first) != first
    assert drawn(cards.first) != drawn(cards.nth(1))
    task.get_by_label("slide").fill("20")
    assert "80%" in task.locator(".compare canvas").nth(1).evaluate("each => each.style.clipPath")


def test_a_channel_of_the_code_is_set_to_zero_and_back(page: Any) -> None:
    code = page.locator(".code")
    shown, note = code.locator(".row canvas").nth(1), code.locator("output")
    whole, told = drawn(shown), note.inner_text()
    channels = code.locator(".choices").last.locator("button")
    assert channels.count() == 2
    seen = set()
    for channel in range(2):
        channels.nth(channel).press("Space")
        seen.add(drawn(shown))
        assert note.inner_text() != told
    # A channel that is zero everywhere for an image changes nothing.
    assert len(seen | {whole}) > 1
    channels.nth(1).press("Space")
    assert drawn(shown) == whole
    assert note.inner_text() == told


def test_a_point_of_the_study_tells_its_network(page: Any) -> None:
    plot = page.locator(".plot")
    plot.locator("circle").first.focus()
    first = plot.locator("output").inner_text()
    assert "conv4 pool conv2 | up conv3" in first
    page.keyboard.press("Tab")
    assert plot.locator("output").inner_text() != first


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_no_serious_barriers(page: Any, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    page.emulate_media(color_scheme=scheme)
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_it_prints_without_what_needs_a_screen(page: Any) -> None:
    page.emulate_media(media="print")
    assert not page.locator("#interactive").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator("main > figure img").first.is_visible()
