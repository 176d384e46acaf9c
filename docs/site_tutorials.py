"""The tutorials as pages: run each notebook on the built-in photos, and write it as Markdown.

Such a page looks like all pages of the site, the search finds it, and its links are checked.
"""

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from filelock import FileLock
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "tutorials"
CACHE = ROOT / ".cache" / "tutorials"
BUDGET = {"CAELAB_DATA": "photos", "CAELAB_TUTORIALS": "quick", "JUPYTER_PLATFORM_DIRS": "1"}
"""Environment variables for the notebooks: images that may be published, and short trainings."""


class TutorialError(Exception):
    """A cell of a notebook fails."""


def run_notebook(file: Path) -> Any:
    """Run all cells of a notebook in a temporary folder, and return it with its outputs.

    Raises:
        TutorialError: A cell raises an error; the message names the notebook and the cell.
    """
    notebook = nbformat.read(file, as_version=4)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}})
        with client.setup_kernel(env={**os.environ, **BUDGET}):
            for index, cell in enumerate(notebook.cells):
                try:
                    client.execute_cell(cell, index)
                except CellExecutionError as error:
                    raise TutorialError(f"{file.name}, cell {index + 1}:\n{error}") from error
    return notebook


def with_outputs(file: Path) -> Any:
    """Return a notebook with its outputs, which are cached until the notebook or caelab changes.

    The build of the site and the tests share the cache, even if they run at the same time.

    Raises:
        TutorialError: A cell raises an error.
    """
    digest = hashlib.sha256(file.read_bytes() + Path(__file__).read_bytes())
    for source in sorted((ROOT / "src").rglob("*.py")):
        digest.update(source.read_bytes())
    kept = CACHE / f"{file.stem}-{digest.hexdigest()[:16]}.ipynb"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{file.stem}.lock"):
        if not kept.is_file():
            for old in CACHE.glob(f"{file.stem}-*.ipynb"):
                old.unlink()
            nbformat.write(run_notebook(file), kept)
        return nbformat.read(kept, as_version=4)


def tutorial_page(file: Path) -> str:
    """Return the Markdown of a notebook with its outputs.

    Raises:
        TutorialError: A cell raises an error.
    """
    cells = [_markdown(cell) for cell in with_outputs(file).cells]
    # The address of the page ends with a slash, so the file next to it is in the folder above.
    link = f'<a href="../{file.name}" download>Download this notebook</a>'
    return "\n\n".join([cells[0], link, *cells[1:]]) + "\n"


def _markdown(cell: Any) -> str:
    if cell.cell_type == "markdown":
        return str(cell.source)
    outputs = [_output(output) for output in cell.outputs]
    return "\n\n".join([_block(cell.source, "python"), *filter(None, outputs)])


def _output(output: Any) -> str:
    """Return an output as Markdown; messages on stderr are left out."""
    if output.output_type == "stream":
        return _block(output.text, "text") if output.name == "stdout" else ""
    data = output.data
    if "text/html" in data:
        # Blank lines are removed, because Markdown would begin a paragraph there.
        lines = "\n".join(filter(str.strip, data["text/html"].splitlines()))
        return f'<div class="output">{lines}</div>'
    if "text/markdown" in data:
        return str(data["text/markdown"])
    if "image/png" in data:
        image = data["image/png"].replace("\n", "")
        return (
            f'<div class="output"><img alt="a picture" src="data:image/png;base64,{image}"></div>'
        )
    return _block(data["text/plain"], "text")


def _block(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
