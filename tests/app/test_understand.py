"""The view "Understand": what it says of a network, and its sliders."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import caelab
from caelab.app.understand_view import explain, layers, sliders, with_change
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


@pytest.mark.parametrize(
    "query",
    [
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
