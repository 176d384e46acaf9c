"""The site builds without a warning, its links lead somewhere, and it asks no other server."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="the extra docs is not installed")

ROOT = Path(__file__).parents[2]

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src")}
"""Tags and attributes by which a page loads something by itself."""


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
        timeout=300,
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


@pytest.mark.slow
@pytest.mark.parametrize("word", ["latent", "padding", "chrominance", "resume", "CPU"])
def test_the_search_knows(site: Path, word: str) -> None:
    assert word.lower() in (site / "search" / "search_index.json").read_text("utf-8").lower()
