"""The convolution of small maps is PyTorch's, and so is its gradient, up to half precision's
rounding."""

import copy
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from caelab.kernels import convolution
from caelab.kernels.convolution import MAX_PIXELS, convolve, weight_gradient
from caelab.networks.build import build
from caelab.networks.parser import parse


@settings(deadline=None)
@given(
    count=st.integers(1, 3),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    kernel=st.integers(1, 5),
    padding=st.integers(0, 3),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
    channels_last=st.booleans(),
)
def test_the_product_is_the_gradient_by_the_weights(
    count: int,
    inputs: int,
    outputs: int,
    kernel: int,
    padding: int,
    height: int,
    width: int,
    channels_last: bool,
) -> None:
    if min(height, width) + 2 * padding < kernel:
        return
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, inputs, height, width, dtype=torch.float64, generator=generator)
    weight = torch.randn(
        outputs, inputs, kernel, kernel, dtype=torch.float64, generator=generator
    ).requires_grad_()
    y = F.conv2d(x, weight, padding=padding)
    gradient = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
    (expected,) = torch.autograd.grad(y, weight, gradient)
    torch.testing.assert_close(weight_gradient(x, gradient, kernel, padding), expected)


def gradients(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> tuple[Tensor, ...]:
    leaves = [leaf for leaf in (x, weight, bias) if leaf is not None]
    y = convolve(x, weight, bias, padding)
    towards = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape).to(y.dtype)
    return (y, *torch.autograd.grad(y, leaves, towards))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision_is_a_float64_twin_up_to_rounding(autocast: bool, biased: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 6, 4, 5), (7, 6, 3, 3), *([(7,)] if biased else [])]
    exact = [
        torch.randn(shape, dtype=torch.float64, generator=generator).bfloat16() for shape in shapes
    ]
    x, weight, *rest = (
        leaf.to(torch.float32 if autocast else torch.bfloat16).requires_grad_() for leaf in exact
    )
    with (
        patch.object(convolution._SmallMaps, "apply", wraps=convolution._SmallMaps.apply) as apply,
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        found = gradients(x, weight, rest[0] if biased else None, 1)
    assert apply.called
    assert found[0].dtype is torch.bfloat16
    assert [each.dtype for each in found[1:]] == [leaf.dtype for leaf in (x, weight, *rest)]
    x, weight, *rest = (leaf.double().requires_grad_() for leaf in exact)
    for one, other in zip(found, gradients(x, weight, rest[0] if biased else None, 1), strict=True):
        assert (one.double() - other).norm() < 0.01 * other.norm()


@pytest.mark.parametrize(
    ("side", "dtype", "kernel", "trained"),
    [
        (4, torch.float32, 3, True),
        (7, torch.bfloat16, 3, True),
        (4, torch.bfloat16, 1, True),
        (4, torch.bfloat16, 3, False),
    ],
)
def test_elsewhere_it_is_left_to_the_library(
    side: int, dtype: torch.dtype, kernel: int, trained: bool
) -> None:
    assert MAX_PIXELS < 7 * 7
    x = torch.randn(2, 3, side, side).to(dtype)
    weight = torch.randn(4, 3, kernel, kernel).to(dtype).requires_grad_(trained)
    with patch.object(convolution._SmallMaps, "apply") as apply:
        y = convolve(x, weight, None, kernel // 2)
    assert not apply.called
    assert torch.equal(y, F.conv2d(x, weight, padding=kernel // 2))


@pytest.mark.parametrize(
    "text", ["conv8 conv3", "[pool conv6:gelu up conv5] conv3", "(norm conv3 conv3) up conv3k5"]
)
def test_a_network_in_half_precision_has_the_gradients_of_its_float64_twin(text: str) -> None:
    network = build(parse(text), channels=3, size=6, generator=torch.Generator().manual_seed(0))
    twin = copy.deepcopy(network).double()
    images = torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        network(images).float().square().mean().backward()
    twin(images.double()).square().mean().backward()
    for parameter, exact in zip(network.parameters(), twin.parameters(), strict=True):
        assert parameter.grad is not None
        assert exact.grad is not None
        assert (parameter.grad.double() - exact.grad).norm() < 0.03 * exact.grad.norm()
