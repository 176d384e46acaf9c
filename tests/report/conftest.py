import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from jinja2 import DictLoader

from caelab.experiments.engines.base import SerialEngine
from caelab.experiments.study import read_study
from caelab.experiments.study_results import read_rows
from caelab.experiments.study_runner import run_study
from caelab.report.document import Document, Part
from caelab.report.language import TEMPLATES
from caelab.report.render_markdown import environment, render_markdown

STUDY = """
[study]
question = "Which is better?"
[base]
network = "conv4 pool conv2 | up conv3"
data = {{ source = "{data}", size = 16 }}
batch_size = 16
epochs = 1
[factors]
kernel = [1]
[networks]
skip = "conv4 [pool conv2 | up] conv3"
"""


@dataclass(frozen=True)
class SmallStudy:
    """A study of three networks and two seeds, trained on 96 small pictures; only to be read."""

    file: Path
    runs: Path
    folder: Path

    def run(self, label: str, seed: int = 0) -> Path:
        """The folder of one run."""
        rows = read_rows(self.folder / "results.csv")
        return self.runs / next(row.run for row in rows if (row.label, row.seed) == (label, seed))


@pytest.fixture(scope="session")
def small_study(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    home = tmp_path_factory.mktemp("study")
    file = home / "tiny.toml"
    file.write_text(STUDY.format(data=pictures), encoding="utf-8")
    study = SmallStudy(file=file, runs=home / "runs", folder=home / "runs" / "study-tiny")
    progress = list(
        run_study(
            read_study(file, seeds="2"), engine=SerialEngine(), runs=study.runs, out=study.folder
        )
    )
    assert len(progress[-1].rows) == 6
    return study


@pytest.fixture(scope="session")
def same_numbers() -> Callable[[str, str], None]:
    """Check that a text says the numbers of the English one, and no English sentence."""

    def numbers(text: str) -> Counter[str]:
        # Languages separate thousands and decimals differently; the digits are the same.
        found = re.findall(r"\d+(?:[.,]\d+)*", text)
        return Counter(re.sub("[.,]", "", number) for number in found)

    def check(english: str, other: str) -> None:
        assert numbers(other) == numbers(english)
        # A number that begins with 0 has a decimal comma; a version, as in `0.2.0`, has two dots.
        assert not re.search(r"(?<![\w.])0\.\d+(?![\d.])", other)
        assert not re.search(r"(?<![\w-])(the|with|are|which|than|for|seeds?)(?![\w-])", other)

    return check


@pytest.fixture(scope="session")
def render_part(same_numbers: Callable[[str, str], None]) -> Callable[[Part], str]:
    """Render a part in every language; its English text, where all say the same."""

    def rendered(part: Part) -> str:
        english = render_markdown([part]).text
        for folder in TEMPLATES.glob("*/report.md.j2"):
            if (name := folder.parent.name) != "en":
                same_numbers(english, render_markdown([part], language=name).text)
        return english

    return rendered


@pytest.fixture(scope="session")
def say(render_part: Callable[[Part], str]) -> Callable[[Part], str]:
    """Render a part in every language; its English text on one line."""
    return lambda part: " ".join(render_part(part).split())


@pytest.fixture(scope="session")
def render() -> Callable[..., Document]:
    """Render one template from its text."""

    def rendered(template: str, level: int = 0, images: bool = True, **context: object) -> Document:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(environment("en"), "loader", DictLoader({"part.md.j2": template}))
            environment("en").cache.clear()
            try:
                return render_markdown([Part("part", context, level)], images=images)
            finally:
                environment("en").cache.clear()

    return rendered
