from xml.etree import ElementTree

import pytest

from caelab.networks import describe, parse
from caelab.report.figures.reference import PER_ROW, draw_network
from caelab.report.language import read_language

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> tuple[list[ElementTree.Element], list[str]]:
    root = ElementTree.fromstring(draw_network(describe(parse(text)), read_language("en")))
    return root.findall(f"{SVG}rect")[1:], [each.text or "" for each in root.iter(f"{SVG}text")]


def test_every_layer_has_a_box_and_code_and_narrowest_are_marked() -> None:
    boxes, words = drawn("conv8 pool conv12 pool conv16 | up conv12 up conv3")
    assert len(boxes) == 10
    heights = [float(box.get("height", 0)) for box in boxes]
    assert heights.index(max(heights)) == 8  # the last upsampling: 12×32×32
    assert words[words.index("the narrowest") - 1] == "768"
    assert words[words.index("the code") - 1] == "1,024 · 1,744 w"


def test_a_code_that_is_the_narrowest_has_one_mark() -> None:
    _, words = drawn("conv8 pool conv2 | up conv3")
    assert [word for word in words if "code" in word or "narrowest" in word] == ["code, narrowest"]


@pytest.mark.parametrize(("layers", "rows"), [(PER_ROW - 1, 1), (PER_ROW, 2)])
def test_long_networks_go_on_in_the_next_row(layers: int, rows: int) -> None:
    boxes, _ = drawn(" ".join(["conv3"] * layers))
    assert len({box.get("y") for box in boxes}) == rows
