"""The size formula: what is written is what `describe` finds."""

import re

import pytest

from caelab.networks import PRESETS, describe
from caelab.networks.parser import parse
from caelab.report.document import Paragraph, Table
from caelab.report.exercise2 import size_sections


def texts(network: str) -> tuple[str, Table]:
    (section,) = size_sections(describe(parse(network)))
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    return " ".join(block.text for block in section.blocks if isinstance(block, Paragraph)), table


@pytest.mark.parametrize(
    "network", [*PRESETS, "conv8v pool conv12k5s2 | deconv12k6s3v up4 conv3", "conv6k4d2 conv3"]
)
def test_every_calculation_comes_out(network: str) -> None:
    description = describe(parse(network), channels=1 if "-" in network else 3)
    (section,) = size_sections(description)
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[-1] for row in table.rows] == [row.size for row in description.rows]
    for _, _, said, _, size in table.rows:
        assert isinstance(said, str)
        if found := re.match(r"\((.*)\)² · (\d+) = .* = ([\d,]+)$", said):
            formula = found[1].replace("−", "-").replace("·", "*").replace("/", "//")
            assert int(eval(formula)) ** 2 * int(found[2]) == size == int(found[3].replace(",", ""))


def test_the_reference_network_has_both_answers_with_reasons() -> None:
    said, _ = texts("reference")
    assert "8 · 8 · 16 = 1,024 numbers" in said
    assert "8 · 8 · 12 = 768 numbers" in said
    assert "the size of the code is 1,024, and the bottleneck for information is 768" in said


def test_other_networks_get_other_sentences() -> None:
    assert (
        "both meanings of the word give the same number" in texts("conv8 pool conv4 | up conv3")[0]
    )
    assert "marks no code" in texts("conv8 conv3")[0]
    assert "no bottleneck" in texts("conv8 [pool conv4 | up] conv3")[0]
    assert "stands behind it" in texts("conv8 pool conv16 | conv4 up conv3")[0]
