import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.errors import InputError
from caelab.experiments.factors import TRANSFORMATIONS, Level, transform
from caelab.networks import PRESETS, describe, parse
from caelab.networks.ast import spell_out

REFERENCE = PRESETS["reference"]


def changed(text: str, factor: str, level: Level) -> str:
    return str(transform(parse(text), factor, level))


@pytest.mark.parametrize(
    ("factor", "level", "expected"),
    [
        ("kernel", 5, "conv8k5 pool conv12k5 pool conv16k5 | up conv12k5 up conv3k5"),
        ("kernel", 1, "conv8k1 pool conv12k1 pool conv16k1 | up conv12k1 up conv3k1"),
        ("channels", 2, "conv16 pool conv24 pool conv32 | up conv24 up conv3"),
        ("channels", 0.5, "conv4 pool conv6 pool conv8 | up conv6 up conv3"),
        ("channels", 0.001, "conv1 pool conv1 pool conv1 | up conv1 up conv3"),
        ("downsampling", "strided", "conv8s2 conv12s2 conv16 | up conv12 up conv3"),
        ("downsampling", "average", "conv8 avgpool conv12 avgpool conv16 | up conv12 up conv3"),
        (
            "upsampling",
            "bilinear",
            "conv8 pool conv12 pool conv16 | upbilinear conv12 upbilinear conv3",
        ),
        ("upsampling", "transposed", "conv8 pool conv12 pool conv16 | deconv12k4s2 deconv3k4s2"),
        (
            "upsampling",
            "shuffle",
            "conv8 pool conv12 pool conv16 | conv48 shuffle2 conv12 shuffle2",
        ),
        ("code_activation", "none", "conv8 pool conv12 pool conv16:none | up conv12 up conv3"),
    ],
)
def test_the_reference_network_with_one_thing_changed(
    factor: str, level: Level, expected: str
) -> None:
    assert changed(REFERENCE, factor, level) == expected


@pytest.mark.parametrize(
    ("text", "factor", "level", "expected"),
    [
        ("2*(conv4 conv3)", "kernel", 5, "2*(conv4k5 conv3k5)"),
        ("2*[conv4] conv3", "channels", 2, "2*[conv8] conv3"),
        ("conv4s2 conv8d2 | up3:relu conv3", "kernel", 5, "conv4s2 conv8k5d2 | up3:relu conv3k5"),
        (
            "[conv4 pool3 conv4 | up3] conv3",
            "downsampling",
            "strided",
            "[conv4s3 conv4 | up3] conv3",
        ),
        ("conv4 avgpool | up conv3", "downsampling", "max", "conv4 pool | up conv3"),
        (
            "conv4 pool | up4 conv3:gelu",
            "upsampling",
            "shuffle",
            "conv4 pool | conv48:gelu shuffle4",
        ),
        ("conv4 pool | up3 conv3k5", "upsampling", "transposed", "conv4 pool | deconv3k7s3"),
        (
            "dense64 pool | dense3h32w32",
            "code_activation",
            "tanh",
            "dense64:tanh pool | dense3h32w32",
        ),
    ],
)
def test_brackets_repetitions_and_options(
    text: str, factor: str, level: Level, expected: str
) -> None:
    assert changed(text, factor, level) == expected


@pytest.mark.parametrize(
    ("text", "factor", "level", "said"),
    [
        (
            "pool conv4 | up conv3",
            "downsampling",
            "strided",
            "pool cannot be replaced: no convolution of stride 1",
        ),
        (
            "conv4s2 pool3 | conv3",
            "downsampling",
            "strided",
            "pool3 cannot be replaced: no convolution of stride 1",
        ),
        (
            "conv4 pool | conv3 up",
            "upsampling",
            "shuffle",
            "up must have no activation, and the layer directly after it",
        ),
        (
            "conv4 pool | up conv3v",
            "upsampling",
            "transposed",
            "up must have no activation, and the layer directly after it",
        ),
        ("conv4 conv3", "code_activation", "relu", "the network has no code"),
        ("conv4 (conv4) | conv3", "code_activation", "relu", "not made by a single convolution"),
        (
            REFERENCE,
            "kernel",
            0,
            "0 is no level of kernel: it should be at least 1",
        ),
        (REFERENCE, "kernel", True, "True is no level of kernel"),
        (REFERENCE, "channels", -1, "-1 is no level of channels"),
        (
            REFERENCE,
            "upsampling",
            "cubic",
            "it should be nearest, bilinear, transposed or shuffle",
        ),
    ],
)
def test_what_cannot_be_changed_is_said(text: str, factor: str, level: Level, said: str) -> None:
    with pytest.raises(InputError, match=said):
        transform(parse(text), factor, level)


@given(st.sampled_from(sorted(PRESETS)), st.sampled_from([1, 3, 5, 7]))
def test_a_kernel_leaves_all_shapes(name: str, kernel: int) -> None:
    before, after = describe(parse(name)), describe(parse(changed(PRESETS[name], "kernel", kernel)))
    assert [row.shape for row in before.rows] == [row.shape for row in after.rows]


@given(st.integers(1, 4), st.integers(1, 4))
def test_multiplied_channels_multiply_the_code(first: int, second: int) -> None:
    together = changed(REFERENCE, "channels", first * second)
    assert changed(changed(REFERENCE, "channels", first), "channels", second) == together
    code, wider = describe(parse(REFERENCE)).code, describe(parse(together)).code
    assert code is not None
    assert wider is not None
    assert wider.size == code.size * first * second


def test_strides_in_place_of_pooling_keep_the_weights() -> None:
    before, after = (
        describe(parse(REFERENCE)),
        describe(parse(changed(REFERENCE, "downsampling", "strided"))),
    )
    assert (before.weights, before.code.size if before.code else 0) == (
        after.weights,
        after.code.size if after.code else 0,
    )


@pytest.mark.parametrize(
    ("factor", "level"),
    [
        ("kernel", 3),
        ("channels", 1),
        ("downsampling", "max"),
        ("upsampling", "nearest"),
        ("code_activation", "relu"),
    ],
)
def test_every_factor_has_a_level_that_is_the_reference_network(factor: str, level: Level) -> None:
    assert factor in TRANSFORMATIONS
    assert spell_out(transform(parse(REFERENCE), factor, level)) == spell_out(parse(REFERENCE))
