"""The size formula: what is written is what `describe` finds."""

import re
from collections.abc import Callable

import pytest

from caelab.networks import PRESETS, describe
from caelab.networks.parser import parse
from caelab.report.document import Part
from caelab.report.representation_sizes import size_part

Say = Callable[[Part], str]
CALCULATION = str.maketrans({"−": "-", "·": "*", "/": "//", "⌊": "(", "⌋": ")"})


def part(network: str, channels: int = 3) -> Part:
    return size_part({network: describe(parse(network), channels=channels)})[1]


@pytest.mark.parametrize(
    "network", [*PRESETS, "conv8v pool conv12k5s2 | deconv12k6s3v up4 conv3", "conv6k4d2 conv3"]
)
def test_every_calculation_comes_out(network: str) -> None:
    description = describe(parse(network), channels=1 if "-" in network else 3)
    rows = size_part({network: description})[1].context["sizes"]
    assert [row[-1] for row in rows] == [row.size for row in description.rows]
    for _, _, calculation, _, size in rows:
        if found := re.match(r"\((.*)\)² · (\d+) = .* = ([\d,]+)$", calculation):
            formula = found[1].translate(CALCULATION)
            assert int(eval(formula)) ** 2 * int(found[2]) == size == int(found[3].replace(",", ""))


@pytest.mark.parametrize(
    ("network", "numbers", "others"),
    [
        ("reference", ["8 · 8 · 16 = 1,024", "before", "8 · 8 · 12 = 768"], ["no bottleneck"]),
        ("conv8 pool conv4 | up conv3", ["16 · 16 · 4 = 1,024", "same number"], ["People give"]),
        ("conv8 conv3", ["marks no code", "32 · 32 · "], ["People give", "encoder"]),
        ("conv8 [pool conv4 | up] conv3", ["no bottleneck"], ["marks no code"]),
        ("conv8 pool conv16 | conv4 up conv3", ["after", "16 · 16 · 4 = 1,024"], ["before it"]),
    ],
)
def test_code_and_narrowest_representation_are_named(
    say: Say, network: str, numbers: list[str], others: list[str]
) -> None:
    text = say(part(network))
    assert all(number in text for number in numbers)
    assert not any(other in text for other in others)


@pytest.mark.parametrize(
    ("networks", "calculation"),
    [
        # (32 − 3 + 2) / 2 is 15.5; the poolings of `reference` have whole quotients.
        (["reference", "conv8s2 up conv3"], "(⌊(32 − 3 + 2·1)/2⌋ + 1)² · 8 = 16² · 8 = 2,048"),
        (["conv4 [pool up] conv3v"], "(⌊(32 − 3 + 2·1)/1⌋ + 1)² · 4 = 32² · 4 = 4,096"),
        (["pool up"], None),
    ],
)
def test_the_example_is_rounded_down_if_any_layer_is(
    networks: list[str], calculation: str | None
) -> None:
    example = size_part({each: describe(parse(each)) for each in networks})[0].example
    assert (example and (example.network, example.calculation)) == (
        calculation and (networks[-1], calculation)
    )
