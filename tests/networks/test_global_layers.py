"""Layers that see the whole image, against the formulas and torch's own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.networks.build import build
from caelab.networks.modules import GlobalContext, SelfAttention, SqueezeExcitation
from caelab.networks.parser import parse


def _filled(module: nn.Module) -> nn.Module:
    """``module`` in float64 with random weights and biases."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return module


def _images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_context_adds_a_linear_map_of_the_means() -> None:
    module, x = _filled(GlobalContext(3)), _images(2, 3, 4, 5)
    expected = x.clone()
    for image in range(2):
        added = module.linear.weight @ x[image].reshape(3, 20).mean(1) + module.linear.bias
        expected[image] += added[:, None, None]
    torch.testing.assert_close(module(x), expected)


def test_context_is_a_convolution_of_x_and_its_mean_side_by_side() -> None:
    module, x = _filled(GlobalContext(3)), _images(2, 3, 4, 5)
    beside = torch.cat([x, x.mean((2, 3), keepdim=True).expand_as(x)], 1)
    kernel = torch.cat([torch.eye(3, dtype=torch.float64), module.linear.weight], 1)
    torch.testing.assert_close(
        module(x), F.conv2d(beside, kernel[:, :, None, None], module.linear.bias)
    )


def test_squeeze_and_excitation_by_hand() -> None:
    module, x = _filled(SqueezeExcitation(4, reduction=2)), _images(3, 4, 5, 2)
    assert module.squeeze.weight.shape == (2, 4)
    for image, answer in zip(x, module(x), strict=True):
        means = image.sum((1, 2)) / 10
        hidden = (module.squeeze.weight @ means + module.squeeze.bias).clamp(min=0)
        gate = 1 / (1 + torch.exp(-(module.excite.weight @ hidden + module.excite.bias)))
        torch.testing.assert_close(answer, torch.stack([gate[c] * image[c] for c in range(4)]))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_torchs_own(heads: int) -> None:
    module, x = _filled(SelfAttention(8, heads=heads)), _images(2, 8, 3, 5)
    twin = nn.MultiheadAttention(8, heads, batch_first=True).double()
    with torch.no_grad():
        twin.in_proj_weight.copy_(module.projections.weight.flatten(1))
        twin.in_proj_bias.copy_(module.projections.bias)
        twin.out_proj.weight.copy_(module.output.weight.flatten(1))
        twin.out_proj.bias.copy_(module.output.bias)
    tokens = x.flatten(2).transpose(1, 2)
    expected, _ = twin(tokens, tokens, tokens)
    torch.testing.assert_close(module(x), expected.transpose(1, 2).reshape(x.shape))


def test_attention_by_the_formula() -> None:
    module, x = _filled(SelfAttention(4, heads=2)), _images(1, 4, 2, 3)
    queries, keys, values = F.conv2d(x, module.projections.weight, module.projections.bias).reshape(
        3, 2, 2, 6
    )
    mixed = [
        v @ torch.softmax(q.T @ k / 2**0.5, 1).T
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    expected = F.conv2d(
        torch.cat(mixed).reshape(1, 4, 2, 3), module.output.weight, module.output.bias
    )
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize(
    "module",
    [GlobalContext(8), SqueezeExcitation(8, reduction=4), SelfAttention(8, heads=2)],
    ids=repr,
)
def test_a_shuffle_of_the_positions_passes_through(module: nn.Module) -> None:
    module, x = _filled(module), _images(2, 8, 3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    shuffled = x.flatten(2)[:, :, order].reshape(x.shape)
    torch.testing.assert_close(module(shuffled), module(x).flatten(2)[:, :, order].reshape(x.shape))


@pytest.mark.parametrize(
    "word", ["context", "excite4", "attend2", "(norm attend4)", "norm:gelu", "dropout0.5"]
)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_channels_last_in_is_channels_last_out_and_the_same_function(
    word: str, precision: torch.dtype
) -> None:
    network = build(
        parse(f"conv8 {word}"), channels=8, size=6, generator=torch.Generator().manual_seed(0)
    ).eval()
    layer = network.layers[1]
    last = {"memory_format": torch.channels_last}
    x = _images(4, 8, 6, 6).float().requires_grad_()
    ordinary = layer(x)
    (gradient,) = torch.autograd.grad(ordinary.square().sum(), x)
    layer.to(**last).train()
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        answer = layer(x.contiguous(**last))
    assert answer.is_contiguous(**last)
    assert not answer.is_contiguous()
    if precision == torch.float32:
        layer.eval()
        x = x.detach().contiguous(**last).requires_grad_()
        answer = layer(x)
        torch.testing.assert_close(answer, ordinary, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            torch.autograd.grad(answer.square().sum(), x)[0], gradient, rtol=1e-4, atol=1e-5
        )


def test_gradients_flow_to_every_weight() -> None:
    network = build(
        parse("conv8 (norm attend2) excite2 context conv3"),
        size=6,
        generator=torch.Generator().manual_seed(0),
    )
    network(_images(4, 3, 6, 6).float()).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
