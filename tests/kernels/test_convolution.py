"""A convolution in half precision is its float64 twin up to rounding, and so is its gradient."""

import copy

import pytest
import torch
from torch import Tensor

from caelab.kernels.convolution import convolve
from caelab.networks.build import build
from caelab.networks.parser import parse


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
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = gradients(x, weight, rest[0] if biased else None, 1)
    assert found[0].dtype is torch.bfloat16
    assert [each.dtype for each in found[1:]] == [leaf.dtype for leaf in (x, weight, *rest)]
    x, weight, *rest = (leaf.double().requires_grad_() for leaf in exact)
    for one, other in zip(found, gradients(x, weight, rest[0] if biased else None, 1), strict=True):
        assert (one.double() - other).norm() < 0.01 * other.norm()


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
