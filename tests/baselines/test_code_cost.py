import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caelab.baselines.code_cost import (
    FLOAT_BITS,
    channel_ranges,
    code_costs,
    entropy_bits,
    quantize,
)
from caelab.data.device_images import DeviceImages
from caelab.errors import InputError
from caelab.metrics.evaluate import squared_errors
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference, restoring
from caelab.models.targets import RgbTarget
from caelab.networks.build import build
from caelab.networks.parser import parse

RNG = np.random.default_rng(0)
SMOOTH = np.clip(
    128
    + np.cumsum(np.cumsum(RNG.normal(0, 1.5, (40, 3, 32, 32)), axis=2), axis=3)
    + np.cumsum(RNG.normal(0, 6, (40, 1, 32, 32)), axis=3),
    0,
    255,
).astype(np.uint8)
TRAIN = DeviceImages.of(SMOOTH, np.arange(30), device=torch.device("cpu"))
TEST = DeviceImages.of(SMOOTH, np.arange(30, 40), device=torch.device("cpu"))


def model(text: str) -> ImageModel:
    network = build(parse(text), generator=torch.Generator().manual_seed(0))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    return ImageModel(network, mean=mean, std=std, target=RgbTarget(mean=mean, std=std))


def exact() -> ImageModel:
    """A model whose code is the image itself, 4×4 patches as channels."""
    return model("unshuffle4 | shuffle4")


# Quantization


@settings(max_examples=50, deadline=None)  # torch's first steps are slow
@given(st.integers(1, 8), st.floats(-10, 10), st.floats(1e-3, 20))
def test_quantised_values_are_within_half_a_step(bits: int, low: float, width: float) -> None:
    smallest, largest = torch.tensor([[[low]]]), torch.tensor([[[low + width]]])
    code = torch.linspace(low, low + width, 101).view(1, 1, 1, 101)
    levels, values = quantize(code, smallest, largest, bits=bits)
    assert (levels.min(), levels.max()) == (0, 2**bits - 1)
    assert (values - code).abs().max() <= width / (2**bits - 1) / 2 + 5e-6  # float32 near 10
    _, again = quantize(values, smallest, largest, bits=bits)
    torch.testing.assert_close(again, values, rtol=0, atol=0)


def test_what_is_out_of_range_goes_to_the_ends() -> None:
    low, high = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    levels, values = quantize(torch.tensor([[[[-3.0, 7.0]]]]), low, high, bits=4)
    assert levels.flatten().tolist() == [0, 15]
    assert values.flatten().tolist() == [0, 1]


def test_a_constant_channel_keeps_its_value() -> None:
    low, high = torch.full((2, 1, 1), -0.3), torch.tensor([-0.3, 1]).view(2, 1, 1)
    code = torch.full((5, 2, 3, 3), -0.3)
    torch.testing.assert_close(quantize(code, low, high, bits=4)[1], code)


def test_the_range_is_that_of_every_channel() -> None:
    codes = torch.rand(5, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    low, high = channel_ranges(codes)
    assert low.shape == high.shape == (4, 1, 1)
    for channel in range(4):
        assert float(low[channel]) == float(codes[:, channel].min())
        assert float(high[channel]) == float(codes[:, channel].max())


# What a code costs


def test_an_image_of_its_own_code_costs_its_bytes_and_floats_four_times_that() -> None:
    costs = code_costs(exact(), TRAIN, TEST, bits=(8, 6, 4), batch_size=7)
    assert [cost.bits for cost in costs] == [FLOAT_BITS, 8, 6, 4]
    assert [cost.bytes for cost in costs] == [4 * 3072, 3072, 2304, 1536]
    assert [cost.larger_than_image for cost in costs] == [True, True, False, False]
    assert {(cost.numbers, cost.image_bytes, cost.n) for cost in costs} == {(3072, 3072, 10)}
    assert costs[0].mse < 1e-12
    assert costs[0].entropy_bytes is None


def test_a_reference_code_of_floats_is_larger_than_the_image() -> None:
    costs = code_costs(model("reference"), TRAIN, TEST)
    assert costs[0].numbers == 1024
    assert costs[0].bytes == 4096
    assert costs[0].larger_than_image


def test_fewer_bits_leave_the_error_of_their_steps() -> None:
    """The code is the image here, so the error is a uniform rounding error, step² / 12 of every
    channel."""
    _, eight, six, four = code_costs(exact(), TRAIN, TRAIN)
    low, high = channel_ranges(Inference(exact()).encode(TRAIN.batch(slice(None))))
    std = torch.tensor([0.2, 0.3, 0.25]).repeat_interleave(16)[
        :, None, None
    ]  # unshuffle4: 16 places of each color
    for cost in (six, four):
        step = (high - low) * std / (2**cost.bits - 1)
        assert cost.mse == pytest.approx(float(step.square().mean()) / 12, rel=0.1)
    assert eight.mse < six.mse < four.mse


def test_bytes_are_filled_up_to_whole_ones() -> None:
    costs = code_costs(model("dense5:none | dense3072 shuffle32"), TRAIN, TEST, bits=(6, 4))
    assert [cost.bytes for cost in costs] == [20, 4, 3]


def test_the_entropy_is_scipys_and_less_than_the_fixed_length() -> None:
    costs = code_costs(exact(), TRAIN, TEST, bits=(6, 4), batch_size=3)
    low, high = channel_ranges(Inference(exact()).encode(TRAIN.batch(slice(None))))
    codes = Inference(exact()).encode(TEST.batch(slice(None)))
    from scipy.stats import entropy

    for cost in costs[1:]:
        levels, _ = quantize(codes, low, high, bits=cost.bits)
        bits = [entropy(np.bincount(levels[:, channel].flatten()), base=2) for channel in range(48)]
        assert cost.entropy_bytes == pytest.approx(sum(bits) * 64 / 8)
        assert cost.entropy_bytes < cost.bytes


def test_entropy_by_hand() -> None:
    channels = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [5] * 8]).T
    assert entropy_bits(channels.view(8, 2, 1, 1)) == pytest.approx(8)
    assert entropy_bits(torch.arange(4).view(1, 1, 2, 2)) == pytest.approx(8)


def test_measuring_leaves_the_model_as_it_was() -> None:
    measured = model("reference").train()

    def errors() -> np.ndarray:
        with restoring(measured) as restore:
            return squared_errors(restore, TEST)

    before = errors()
    code_costs(measured, TRAIN, TEST, bits=(2,))
    assert measured.training
    np.testing.assert_array_equal(errors(), before)


@pytest.mark.parametrize("text", ["conv8 conv3", "[unshuffle4 | shuffle4] conv3"])
def test_a_network_without_a_code_of_its_own_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="cannot be split into encoder and decoder"):
        code_costs(model(text), TRAIN, TEST)
