"""The site builds without a warning, its links lead somewhere, and it asks no other server."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="the extra docs is not installed")

ROOT = Path(__file__).parents[2]

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src")}
"""Tags and attributes by which a page loads something by itself."""

SHOWN = (
    "",
    "tutorials/2-architectures/",
    "tutorials/3-colorize/",
    "how-to/install/",
    "reference/configuration/",
    "explanation/code-size/",
    "results/colorization/",
)
"""Pages that are looked at in a browser."""


class Page(HTMLParser):
    """The links of a page, what it loads, and the names that links may lead to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.names: set[str] = {""}
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.names |= {values.get("id") or "", values.get("name") or ""}
        if tag == "link" and values.get("rel") in ("canonical", "next", "prev"):
            return
        for attribute in ("href", "src"):
            value = values.get(attribute)
            if value is not None:
                (self.loaded if (tag, attribute) in LOADED else self.links).add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    # A report is a page of its own, with scripts that make links; its tests are elsewhere.
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "report.html"}


@pytest.mark.slow
def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for file, page in pages.items():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            start = site if parts.path.startswith("/") else file.parent
            target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            named = unquote(parts.fragment)
            if not target.is_file() or (target in pages and named not in pages[target].names):
                broken.append(f"{file.relative_to(site)}: {link}")
    assert len(pages) > 30
    assert not broken


@pytest.mark.slow
def test_nothing_is_loaded_from_another_server(pages: dict[Path, Page]) -> None:
    assert not {url for page in pages.values() for url in page.loaded if urlsplit(url).netloc}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *message: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_have_no_serious_barriers(
    browser: Any, address: str, scheme: str
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    ).Axe()
    asked: set[str] = set()
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    barriers = []
    for name in SHOWN:
        page.goto(f"{address}{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        barriers += [
            (name, each["id"], [node["html"][:120] for node in each["nodes"]])
            for each in axe.run(page).response["violations"]
            if each["impact"] in ("serious", "critical")
        ]
    page.close()
    assert barriers == []
    assert asked == {urlsplit(address).netloc}


SEARCHED = {
    "size of the latent space": "explanation/code-size/",
    "latent": "explanation/code-size/",
    "padding": "reference/glossary/",
    "chrominance": "reference/glossary/",
    "resume": "how-to/resume/",
    "CPU": "how-to/install/",
    "add my own layer": "how-to/plugins/",
    "colorize a photograph": "how-to/pictures/",
}
"""What people look for, and a page that must be among the first five that the search finds."""


@pytest.mark.slow
def test_the_search_finds_what_people_look_for(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    missed = {}
    for words, wanted in SEARCHED.items():
        page.goto(f"{address}?q={words}")
        page.locator(".md-search-result__link").first.wait_for(timeout=60_000)
        found = page.locator(".md-search-result__item").evaluate_all(
            "items => items.slice(0, 5).map(item => item.querySelector('a').href)"
        )
        if not any(wanted in link for link in found):
            missed[words] = found
    page.close()
    assert missed == {}
