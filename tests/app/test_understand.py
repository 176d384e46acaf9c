"""The view "Understand": what it says of a network, and its sliders."""

import io
from base64 import b64decode
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import caelab
from caelab.app.understand_view import _with_frame, explain, layers, sliders, with_change
from caelab.networks import parse
from caelab.networks.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_it_says_what_describe_says(name: str) -> None:
    shown = explain({"network": PRESETS[name]})
    described = caelab.describe(name)
    assert shown["after"] == described
    assert len(shown["calculations"]) == len(described.rows)


@given(st.integers(1, 64), st.sampled_from([1, 3, 5]), st.integers(1, 2))
def test_a_slider_changes_one_layer(channels: int, kernel: int, stride: int) -> None:
    network = parse("conv8 [pool conv12] 2*(conv8) | up conv3")
    changed = with_change(network, 3, {"number": channels, "kernel": kernel, "stride": stride})
    before, after = layers(network), layers(changed)
    assert (after[3].number, after[3].kernel, after[3].stride) == (channels, kernel, stride)
    assert before[:3] == after[:3]
    assert before[4:] == after[4:]


def test_sliders_are_those_that_the_layer_has() -> None:
    conv, pool, up, _ = layers(parse("conv8k5s2v pool | up conv3"))
    assert {each.name: each.value for each in sliders(conv)} == {
        "number": 8, "kernel": 5, "stride": 2, "padding": 0,
    }  # fmt: skip
    assert "padding" not in {each.name for each in sliders(up)}
    assert all(
        each.low <= each.value <= each.high for layer in (conv, pool, up) for each in sliders(layer)
    )


def test_the_receptive_field_is_that_of_describe(client: Any) -> None:
    network = "conv8 pool conv12 pool | up conv8 up conv3"
    described = caelab.describe(network, size=(32, 48))
    query = {"network": network, "height": "32", "width": "48"}
    for row, y, x in ((1, 0, 47), (3, 7, 5), (4, 7, 11)):
        shown = explain({**query, "row": str(row), "y": str(y), "x": str(x)})["field"]
        assert (shown.rows, shown.columns) == described.input_area(row, y, x)
    middle = explain(query)["field"]
    assert (middle.row, middle.y, middle.x) == (described.code.row, 4, 6)
    moved = explain({**query, "row": "4", "y": "31", "x": "0"})["field"]
    assert (moved.y, moved.x) == (7, 0)  # the output of layer 4 has 8 rows
    page = client.get("/understand", params={**query, "row": "1", "y": "0", "x": "47"}).text
    assert "2×2 pixels" in page
    assert "whole image" in client.get("/understand?network=dense64").text


def test_the_frame_is_around_the_field() -> None:
    url = _with_frame((20, 30), slice(5, 9), slice(10, 20))
    image = np.asarray(Image.open(io.BytesIO(b64decode(url.partition(",")[2]))))
    enlarge = image.shape[0] // 20
    black = (image == 0).all(axis=2)
    assert black[5 * enlarge, 10 * enlarge : 20 * enlarge].all()
    assert black[9 * enlarge - 1, 10 * enlarge : 20 * enlarge].all()
    assert black[5 * enlarge : 9 * enlarge, 20 * enlarge - 1].all()
    assert not black[: 5 * enlarge].any()


@pytest.mark.parametrize(
    "query",
    [
        "row=99",
        "row=1&y=-1",
        "network=conv8k",
        "network=" + "conv8+" * 3000,
        "height=0",
        "width=x",
        "channels=-1",
        "layer=1000000000000",
        "network=pool&height=1&width=1",
    ],
)
def test_a_wrong_text_is_shown_with_its_error(client: Any, query: str) -> None:
    answer = client.get(f"/understand?{query}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert len(answer.text) < 300_000


def test_a_text_of_a_megabyte_is_refused() -> None:
    shown = explain({"network": "a" * 1_000_000})
    assert "after" not in shown
    assert len(shown["error"]) < 200
    assert len(shown["text"]) < 20_000


def test_texts_are_escaped(client: Any) -> None:
    page = client.get("/understand?network=" + quote("<script>alert(1)</script>")).text
    assert "<script>alert" not in page
