"""What a network is, by arithmetic alone; against hand calculation here, against torch in
test_build.py."""

import json
from collections.abc import Callable

import pytest

from caelab.errors import InputError
from caelab.networks import NetworkError, describe, require_enlargeable, require_image_output
from caelab.networks.parser import parse


def test_the_reference_network() -> None:
    found = describe(parse("reference"))
    assert found.text == "conv8 pool conv12 pool conv16 | up conv12 up conv3"
    assert len(found.rows) == 9
    assert found.rows[0].size == 8 * 32 * 32 == 8192
    assert found.code is not None
    assert (found.code.shape, found.code.size, found.code.where) == (
        (16, 8, 8),
        1024,
        "after layer 5, conv16",
    )
    assert (found.narrowest.shape, found.narrowest.size) == ((12, 8, 8), 768)
    assert found.narrowest.where == "after layer 4, pool"
    assert found.weights == 4911
    assert found.output == found.input == (3, 32, 32)
    assert not found.skip_around_code
    assert [row.multiply_accumulates for row in found.rows] == [
        8 * 1024 * 27,
        0,
        12 * 256 * 72,
        0,
        16 * 64 * 108,
        0,
        12 * 256 * 144,
        0,
        3 * 1024 * 108,
    ]
    # The two up conv pairs take 2.25 times fewer: 16 where 36 were.
    upsampling = 12 * 256 * 144 + 3 * 1024 * 108
    assert (
        found.multiply_accumulates - found.multiply_accumulates_rewritten
        == upsampling - upsampling * 16 // 36
    )


@pytest.mark.parametrize(
    ("text", "size", "shape"),
    [
        ("conv8k5v", 32, (8, 28, 28)),
        ("conv8k4", 9, (8, 9, 9)),
        ("conv8k3s2", 9, (8, 5, 5)),
        ("conv8k4s2", 8, (8, 4, 4)),
        ("conv8k7d3", 8, (8, 8, 8)),
        ("conv8k3d2v", 8, (8, 4, 4)),
        ("conv8p2", (8, 9), (8, 10, 11)),
        ("deconv8k2s2", 5, (8, 10, 10)),
        ("deconv8s2", 5, (8, 10, 10)),
        ("deconv8k4s2", 5, (8, 10, 10)),
        ("deconv8k5s3", 5, (8, 15, 15)),
        ("deconv8k2s5", 3, (8, 15, 15)),
        ("deconv8k3", 5, (8, 5, 5)),
        ("deconv8k3s2v", 5, (8, 11, 11)),
        ("pool3", 10, (3, 3, 3)),
        ("up3", (2, 5), (3, 6, 15)),
        ("unshuffle2", (4, 6), (12, 2, 3)),
        ("conv18:none shuffle3", 4, (2, 12, 12)),
        ("dense7", 4, (7, 1, 1)),
        ("dense7h2w5", 4, (7, 2, 5)),
        ("[pool up]", 4, (6, 4, 4)),
        ("2*[conv5]", 4, (13, 4, 4)),
    ],
)
def test_shapes(text: str, size: int | tuple[int, int], shape: tuple[int, int, int]) -> None:
    assert describe(parse(text), size=size).output == shape


def test_what_a_bracket_runs_around_is_no_bottleneck() -> None:
    unet = describe(parse("unet"))
    assert unet.skip_around_code
    assert unet.code is not None
    assert unet.code.shape == (128, 8, 8)
    assert unet.narrowest.size == 32 * 32 * 32
    assert "no bottleneck" in unet.as_table()
    residual = describe(parse("conv8 (conv2 | conv8)"))
    assert residual.skip_around_code
    assert residual.narrowest.row == 1


def test_a_code_at_the_beginning_of_a_bracket_is_its_input() -> None:
    found = describe(parse("(| conv3)"), channels=3)
    assert found.code is not None
    assert (found.code.shape, found.code.where, found.code.row) == ((3, 32, 32), "the input", 0)


@pytest.mark.parametrize(
    ("text", "size", "column", "problem"),
    [
        (
            "conv8 pool pool",
            3,
            12,
            "pool does not fit: a window of 2×2 pixels is larger than 8×1×1",
        ),
        (
            "conv8 conv8k5v",
            4,
            7,
            "conv8k5v does not fit: a kernel of 5×5 pixels is larger than 8×4×4 with 0 pixels",
        ),
        ("deconv8p9", 4, 1, "a padding of 9 leaves no output pixels for an input of 3×4×4"),
        ("deconv8k4", 4, 1, "with stride 1, an even kernel"),
        ("conv8 shuffle3", 4, 7, "8 channels are not a multiple of 3² = 9"),
        ("conv8 unshuffle3", 4, 7, "the sides of 4×4 pixels are not both multiples of 3"),
        ("conv8 norm3", 4, 7, "8 channels are not a multiple of 3 groups"),
        ("conv8 excite3", 4, 7, "8 channels are not a multiple of the reduction 3"),
        ("conv8 excite16", 4, 7, "8 channels are not a multiple of the reduction 16"),
        ("conv8 (norm attend3)", 4, 13, "8 channels are not a multiple of 3 heads"),
        (
            "conv8 attend2",
            64,
            7,
            "64×64 positions have 33,554,432 attention weights; the limit is 16,777,216",
        ),
        (
            "conv8 (conv4)",
            4,
            7,
            "the residual block adds x of shape 8×4×4 and f(x) of shape 4×4×4",
        ),
        (
            "conv8 2*[pool]",
            4,
            9,
            "the skip block concatenates x of shape 8×4×4 and f(x) of shape 8×2×2",
        ),
        ("conv8 up65536", 4, 7, "the output of up65536 has 549755813888 numbers"),
        ("conv65536 conv65536", 4, 11, "weights"),
        ("conv1 30*[batchnorm]", 8, 11, "the output of batchnorm has"),
    ],
)
def test_the_caret_stands_under_what_does_not_fit(
    text: str, size: int, column: int, problem: str
) -> None:
    with pytest.raises(NetworkError) as caught:
        describe(parse(text), size=size)
    assert problem in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "size", "column", "problem", "advice"),
    [
        (
            "reference",
            30,
            19,
            "pool turns 12×15×15 into 12×7×7, because a side is not a multiple of its stride",
            "28×28 or 32×32 pixels would fit",
        ),
        (
            "reference",
            (32, 33),
            7,
            "the output has shape 3×32×32, not the expected 3×32×33",
            "32×32 or 32×36 pixels would fit",
        ),
        ("conv8s2 up conv3", 7, 1, "conv8s2 turns 3×7×7 into 8×4×4", "6×6 or 8×8 pixels would fit"),
        ("conv8 pool conv3", 32, 12, "has shape 3×16×16", "too small: add an up."),
        ("dense3h32w16", 32, 1, "has shape 3×32×16", "32×16 pixels would fit"),
        ("conv8 conv4 up", 32, 13, "has shape 4×64×64", "as much upsampling as downsampling"),
        ("conv8 conv4 norm", 32, 7, "has shape 4×32×32", "3 channels at the end, such as conv3"),
    ],
)
def test_an_output_that_is_no_image(
    text: str, size: int, column: int, problem: str, advice: str
) -> None:
    found = describe(parse(text), size=size)
    with pytest.raises(NetworkError) as caught:
        require_image_output(found)
    assert problem in str(caught.value)
    assert advice in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "size", "column", "problem", "advice"),
    [
        (
            "unet",
            33,
            9,
            "f(x) of shape 64×32×32; pool turns 32×33×33 into 32×16×16",
            "Images of 32×32 or 36×36 pixels would fit",
        ),
        (
            "unet",
            34,
            22,
            "f(x) of shape 128×16×16; pool turns 64×17×17 into 64×8×8",
            "Images of 32×32 or 36×36 pixels would fit",
        ),
        (
            "unet-color",
            (32, 28),
            74,
            "f(x) of shape 96×8×6",
            "Images of 32×24 or 32×32 pixels would fit",
        ),
        (
            "conv4 (conv4s2 up)",
            5,
            8,
            "x of shape 4×5×5 and f(x) of shape 4×6×6",
            "Images of 4×4 or 6×6 pixels would fit",
        ),
        ("pool [conv4]", 5, None, "", ""),
        (
            "conv8 [pool conv8 pool up]",
            5,
            8,
            "because a side is not a multiple of its stride",
            "Expected layers in the bracket that return the height and width of x",
        ),
    ],
)
def test_skips_and_residuals_that_do_not_fit_odd_sizes_name_sizes_that_do(
    text: str, size: int | tuple[int, int], column: int | None, problem: str, advice: str
) -> None:
    if column is None:  # a rest before the bracket is none of its business
        assert describe(parse(text), size=size).output == (7, 2, 2)
        return
    with pytest.raises(NetworkError) as caught:
        describe(parse(text), size=size)
    assert problem in str(caught.value)
    assert str(caught.value).split("\n")[-1].startswith(advice)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "weights", "cost"),
    [
        ("context", 12 * 13, 144),
        ("excite4", 3 * 13 + 12 * 4, 2 * 36),
        ("attend3", 4 * 12 * 13, 4 * 144 * 15 + 2 * 15**2 * 12),
        ("dropout0.5", 0, 0),
    ],
)
def test_what_a_word_for_the_whole_image_costs(text: str, weights: int, cost: int) -> None:
    found = describe(parse(text), channels=12, size=(3, 5))
    assert found.output == (12, 3, 5)
    assert (found.weights, found.multiply_accumulates) == (weights, cost)
    assert found.receptive_field == (1 if text == "dropout0.5" else None)


def test_an_output_with_other_channels_than_the_input() -> None:
    found = describe(parse("conv8 conv2"), channels=1)
    assert found.output == (2, 32, 32)
    require_image_output(found, channels=2)
    with pytest.raises(NetworkError, match="the output has shape"):
        require_image_output(found, channels=1)


@pytest.mark.parametrize(("channels", "size"), [(0, 32), (3, 0), (3, (32, -1)), (3, 100_000)])
def test_absurd_images_are_refused(channels: int, size: int | tuple[int, int]) -> None:
    with pytest.raises(InputError, match="an image of"):
        describe(parse("reference"), channels=channels, size=size)


@pytest.mark.parametrize("text", ["up250 1900*conv1k1", "1999*conv1:none", "400*(conv3 (up pool))"])
def test_large_networks_are_described_with_bounded_work(
    text: str, count_calls: Callable[[Callable[[], object]], int]
) -> None:
    def described() -> None:
        assert len(describe(parse(text), channels=3, size=32).rows) > 1_800

    assert count_calls(described) < 5_000_000


@pytest.mark.parametrize(
    "text", ["16*up 16*pool", "1000*[batchnorm]", "up65536 pool65536", "conv9k65535"]
)
def test_hostile_networks_are_refused_with_little_work(
    text: str, count_calls: Callable[[Callable[[], object]], int]
) -> None:
    def refused() -> None:
        with pytest.raises(NetworkError, match="At most"):
            describe(parse(text), channels=3, size=32)

    assert count_calls(refused) < 100_000


def test_the_dictionary_is_json_and_complete() -> None:
    found = json.loads(json.dumps(describe(parse("reference")).as_dict()))
    assert found["code"]["shape"] == [16, 8, 8]
    assert found["rows"][3] == {
        "text": "pool",
        "kind": "pool",
        "shape": [12, 8, 8],
        "size": 768,
        "weights": 0,
        "multiply_accumulates": 0,
        "receptive_field": 10,
        "depth": 0,
        "remainder": 0,
    }


def test_the_table_names_code_and_narrowest() -> None:
    lines = describe(parse("reference")).as_table().splitlines()
    assert lines[7].split() == ["4", "pool", "12×8×8", "768", "10", "←", "the", "narrowest"]
    assert lines[8].split() == [
        "5",
        "conv16",
        "16×8×8",
        "1,024",
        "1,744",
        "110,592",
        "18",
        "←",
        "the",
        "code",
    ]
    assert "weights     4,911" in lines
    assert "← the code, the narrowest" in describe(parse("residual")).as_table()


def test_a_preset_misspelt() -> None:
    with pytest.raises(NetworkError, match="Did you mean unet-color"):
        describe(parse("unet-colour"))
    with pytest.raises(NetworkError, match="Did you mean reference") as caught:
        describe(parse("refrence"))
    assert caught.value.column == 1


def test_what_can_be_enlarged_by_a_quarter() -> None:
    require_enlargeable(describe(parse("pool pool pool conv4 up8 conv3"), size=32))
    with pytest.raises(
        InputError, match="40×40 pixels, the output has shape 3×32×32, not the expected 3×40×40"
    ):
        require_enlargeable(describe(parse("pool8 pool2 conv4 up8 up2 conv3"), size=32))
    with pytest.raises(InputError, match="30×32 pixels cannot be enlarged by a quarter"):
        require_enlargeable(describe(parse("conv3"), size=(30, 32)))
