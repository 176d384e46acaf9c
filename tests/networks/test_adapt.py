"""A text for another task's channels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caelab.networks import PRESETS, NetworkError, adapt, describe, require_image_output
from caelab.networks.parser import parse


@pytest.mark.parametrize(
    ("text", "outputs", "adapted"),
    [
        ("conv8 conv3", 2, "conv8 conv2"),
        ("conv8 deconv3k2s2:sigmoid", 1, "conv8 deconv1k2s2:sigmoid"),
        ("dense64 dense3h32w32", 2, "dense64 dense2h32w32"),
        ("conv8 conv48 shuffle4", 2, "conv8 conv32 shuffle4"),
        ("conv8 conv48 2*shuffle2", 2, "conv8 conv32 2*shuffle2"),
        ("conv12 shuffle4 unshuffle2", 4, "conv16 shuffle4 unshuffle2"),
        ("conv8 | conv3 up norm:sigmoid dropout0.1", 2, "conv8 | conv2 up norm:sigmoid dropout0.1"),
        ("conv8 [pool conv8 up] conv3", 2, "conv8 [pool conv8 up] conv2"),
        ("2*conv3", 2, "conv3 conv2"),
        ("conv8 4*conv3", 2, "conv8 3*conv3 conv2"),
        ("conv3 2*(conv8 conv3) up", 2, "conv2 2*(conv8 conv2) up"),
        ("2*(conv8 2*conv3)", 3, "2*(conv8 2*conv3)"),
        ("conv3 2*(conv8 2*conv3)", 4, "conv4 2*(conv8 conv3 conv4)"),
        ("conv3 (norm context excite1)", 5, "conv5 (norm context excite1)"),
        ("1*conv3", 3, "1*conv3"),
        ("reference", 1, "conv8 pool conv12 pool conv16 | up conv12 up conv1"),
        ("up pool", 3, "up pool"),
    ],
)
def test_the_last_channels_are_rewritten(text: str, outputs: int, adapted: str) -> None:
    assert str(adapt(parse(text), outputs=outputs)) == adapted


@pytest.mark.parametrize("name", PRESETS)
def test_presets_serve_every_task_and_are_left_alone_for_their_own(name: str) -> None:
    own = 2 if name in ("unet-color", "unet-small", "unet-narrow") else 3
    assert str(adapt(parse(name), outputs=own)) == PRESETS[name]
    for inputs, outputs in ((1, 3), (1, 2), (3, 3), (4, 626)):
        found = describe(adapt(parse(name), inputs=inputs, outputs=outputs), channels=inputs)
        require_image_output(found, channels=outputs)
        assert [row.kind for row in found.rows] == [row.kind for row in describe(parse(name)).rows]
    assert str(adapt(adapt(parse(name), outputs=7), outputs=own)) == PRESETS[name]


ENDINGS = [
    "conv5",
    "up",
    "pool",
    "norm1",
    "context",
    "dropout0.1",
    "conv9k1 shuffle3",
    "conv4 shuffle2 unshuffle2",
]
ENDINGS += [
    "conv3 (conv4 conv3)",
    "conv3 2*(conv4 norm1 conv3)",
    "[conv2] conv2",
    "3*conv6",
    "2*(context)",
    "dense4h6w6",
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(ENDINGS), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 9)
)
def test_what_is_adapted_has_the_outputs_and_what_has_them_is_left_alone(
    endings: list[str], inputs: int, outputs: int
) -> None:
    text = " ".join(["conv3", *endings])
    try:
        found = describe(parse(text), channels=inputs, size=36)
    except NetworkError:
        return
    assert str(adapt(parse(text), inputs=inputs, outputs=found.output[0])) == text
    try:
        adapted = adapt(parse(text), inputs=inputs, outputs=outputs)
    except NetworkError as error:
        assert "unshuffle2" in text and "multiple of 2²" in str(error)  # noqa: PT017, PT018
        return
    assert describe(adapted, channels=inputs, size=36).output == (outputs, *found.output[1:])


@pytest.mark.parametrize(
    ("text", "outputs", "column", "problem", "expected"),
    [
        ("conv8 [conv8]", 2, 7, "it ends in a skip", "a layer with weights after the bracket"),
        (
            "conv8 ([conv8] up)",
            2,
            8,
            "it ends in a skip",
            "a layer with weights after the bracket",
        ),
        (
            "conv8 unshuffle2",
            2,
            7,
            "its output needs 2 channels",
            "a multiple of 2² = 4",
        ),
        ("conv8 norm4", 2, 7, "2 channels are not a multiple of 4 groups", "a layer that fits"),
        (
            "conv8 (norm attend4)",
            2,
            13,
            "2 channels are not a multiple of 4 heads",
            "a layer that fits",
        ),
        ("conv8 excite4 up", 2, 7, "not a multiple of the reduction 4", "a layer that fits"),
        (
            "pool up",
            2,
            1,
            "for 2 output channels, the network would need images of 2 channels, not of 3",
            "conv, deconv or dense",
        ),
        ("unshuffle2 shuffle4", 1, 1, "would need images of 4 channels", "conv, deconv or dense"),
        ("conv16 9*shuffle2", 2, 1, "conv16 would need 524288 channels", "At most 65536"),
        ("conv8 konv3", 2, 7, "unknown layer 'konv'", "Did you mean conv?"),
    ],
)
def test_what_cannot_be_adapted_says_why(
    text: str, outputs: int, column: int, problem: str, expected: str
) -> None:
    with pytest.raises(NetworkError) as caught:
        adapt(parse(text), outputs=outputs)
    assert problem in str(caught.value)
    assert expected in str(caught.value)
    assert caught.value.column == column
