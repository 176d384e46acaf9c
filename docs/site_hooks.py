"""Hooks of the site's build: insert generated parts, and copy files that pages link to.

A line ``<!-- generate: NAME -->`` in a page is replaced by the part ``site_parts.PARTS[NAME]``.
Links to files outside ``docs/`` are written for readers of the repository. In the site, these links
lead to copies of the files.
"""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

import site_parts  # noqa: E402 - MkDocs loads this file without its folder in the path
import site_tutorials  # noqa: E402

PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that become pages of the site, with the names of the pages."""

TUTORIALS = {
    f"docs/tutorials/{file.name}": f"tutorials/{file.stem}.md"
    for file in site_tutorials.FOLDER.glob("*.ipynb")
}
"""Notebooks, and the pages that are made from them."""

COPIED = (
    "LICENSE",
    "SECURITY.md",
    "recipes/*.toml",
    "examples/*.py",
    "benchmarks/results/**/*.json",
    "src/caelab/weights/*.json",
)
"""Files outside ``docs/`` that pages may link to."""

MARK = re.compile(r"^<!-- generate: ([a-z-]+) -->$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")


def on_config(config: Any) -> Any:
    """Add the tutorials to the navigation, in the order of their names."""
    pages = ["tutorials/index.md", *sorted(TUTORIALS.values())]
    config.nav.insert(1, {"Tutorials": pages})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the repository's files that pages link to, and the pages of the notebooks."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        notebooks = [ROOT / notebook for notebook in TUTORIALS]
        contents = pool.map(site_tutorials.tutorial_page, notebooks)
        for page, content in zip(TUTORIALS.values(), contents, strict=True):
            files.append(File.generated(config, page, content=content))
    for source, target in {**PAGES, **_copies()}.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Insert the generated parts, and change links to the places of the files in the site."""
    if page.file.src_uri.endswith("/report.md"):
        # In search results, these reports would come before the pages that explain something.
        page.meta["search"] = {"exclude": True}
    text = MARK.sub(lambda mark: site_parts.PARTS[mark[1]](), markdown)
    source = Path(page.file.abs_src_path or DOCS / page.file.src_uri)
    return LINK.sub(
        lambda link: _target(link[1], source, page.file.src_uri) + (link[2] or ""), text
    )


def on_post_page(output: str, **_: Any) -> str:
    """Give the theme's search dialog a name, which screen readers need."""
    return output.replace('role="dialog">', 'role="dialog" aria-label="Search">', 1)


def _copies() -> dict[str, str]:
    paths = [path.relative_to(ROOT) for pattern in COPIED for path in ROOT.glob(pattern)]
    # With the suffix .txt, a Markdown file does not become a page, and every browser can show it.
    return {
        path.as_posix(): f"files/{path.as_posix()}{'.txt' if path.suffix in ('', '.md') else ''}"
        for path in sorted(paths)
    }


def _target(link: str, source: Path, page: str) -> str:
    path = (source.parent / link).resolve()
    if not path.is_relative_to(ROOT):
        return link
    named = path.relative_to(ROOT).as_posix()
    target = {**PAGES, **TUTORIALS, **_copies()}.get(named, named.removeprefix("docs/"))
    return os.path.relpath(target, Path(page).parent).replace(os.sep, "/")
