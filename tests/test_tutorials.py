"""The notebooks of the documentation run from top to bottom on the built-in photos."""

import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="the extra docs is not installed")
pytest.importorskip("nbclient", reason="the extra docs is not installed")

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))
sys.path.insert(0, str(DOCS))

import site_tutorials  # noqa: E402 - in the folder that was added


def test_there_is_a_notebook_for_each_exercise() -> None:
    index = (DOCS / "tutorials" / "index.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 3
    for file in NOTEBOOKS:
        assert file.name in index


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_stored_without_outputs(file: Path) -> None:
    # Outputs may hold images of CIFAR-10, which may not be passed on.
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    # As Jupyter writes it, a line for each line of a cell, so that changes can be read.
    assert file.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_and_becomes_a_page(file: Path) -> None:
    page = site_tutorials.tutorial_page(file)
    assert page.startswith("# ")
    assert "<table>" in page
    assert "data:image/png;base64," in page
    cells = site_tutorials.with_outputs(file).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} <= {"execute_result", "stream"}


def test_an_error_names_its_notebook_and_cell(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("1 / 0")]
    file = tmp_path / "broken.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    with pytest.raises(site_tutorials.TutorialError, match=r"broken\.ipynb, cell 2"):
        site_tutorials.run_notebook(file)


def test_outputs_of_each_kind_become_markdown() -> None:
    def shown(**data: Any) -> str:
        output = nbformat.v4.new_output("execute_result", data={"text/plain": "plain", **data})
        return site_tutorials._output(output)

    assert "plain" in shown()
    assert "\n\n" not in shown(**{"text/html": "<p>a</p>\n\n<p>b</p>"})
    assert shown(**{"text/markdown": "| a |"}) == "| a |"
    assert "base64,AAA" in shown(**{"image/png": "AA\nA"})
    stream = nbformat.v4.new_output("stream", name="stderr", text="a warning")
    assert site_tutorials._output(stream) == ""
