"""The weights a network begins with."""

import pytest
import torch
from torch import nn

from caelab.networks.build import build
from caelab.networks.initialize import initialize_lsuv
from caelab.networks.layers.base import ACTIVATIONS
from caelab.networks.modules import ACTIVATIONS as FUNCTIONS
from caelab.networks.modules import parametric_layers
from caelab.networks.parser import parse


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("initialization", ["kaiming", "default"])
def test_only_the_generator_is_drawn_from(initialization) -> None:
    state = torch.get_rng_state()
    once, again, other = (
        build(parse("unet"), generator=_generator(seed), initialization=initialization).state_dict()
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not any(torch.equal(once[name], other[name]) for name in once if name.endswith("weight"))


def test_the_rewrite_and_batch_normalisation_draw_the_same_weights() -> None:
    plain = build(parse("reference"), generator=_generator())
    normed = build(parse("reference"), generator=_generator(), batchnorm=True)
    for one, other in zip(parametric_layers(plain), parametric_layers(normed), strict=True):
        assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize(
    ("text", "variance"),
    [
        ("conv64 conv3", 2 / 27),
        ("conv64k5:none conv3", 1 / 75),
        ("conv64:tanh conv3", (5 / 3) ** 2 / 27),
        ("deconv64k4s2 conv3", 2 / (3 * 4)),
        ("dense64 conv3", 2 / 192),
    ],
)
def test_kaiming_variances(text: str, variance: float) -> None:
    first, last = parametric_layers(build(parse(text), size=8, generator=_generator()))
    assert first.weight.var().item() == pytest.approx(variance, rel=0.15)
    assert last.weight.var().item() == pytest.approx(1 / (64 * 9), rel=0.15)
    assert first.bias is not None
    assert not first.bias.any()


def test_the_variance_survives_a_deep_rectified_network() -> None:
    network = build(parse("20*conv64 conv64"), size=16, generator=_generator())
    images = torch.randn(4, 3, 16, 16, generator=_generator(1))
    assert 0.05 < network(images).var() < 5


def test_residual_brackets_begin_small() -> None:
    plain = build(parse("conv32 4*(conv32 conv32) conv3"), generator=_generator(), size=8)
    lasts = [plain.layers[place][1].weight for place in range(1, 5)]
    firsts = [plain.layers[place][0].weight for place in range(1, 5)]
    for weight in lasts:
        assert weight.var().item() == pytest.approx(2 / (32 * 9) / 4, rel=0.1)
    for weight in firsts:
        assert weight.var().item() == pytest.approx(2 / (32 * 9), rel=0.1)


@pytest.mark.parametrize("initialization", ["kaiming", "default"])
def test_context_begins_as_the_identity(initialization) -> None:
    network = build(
        parse("conv8 context conv3"), generator=_generator(), initialization=initialization, size=8
    )
    x = torch.randn(2, 8, 8, 8, generator=_generator(1))
    assert torch.equal(network.layers[1](x), x)


def test_the_default_is_torchs_own() -> None:
    torch_layers = [
        lambda: nn.Conv2d(3, 8, 5),
        lambda: nn.ConvTranspose2d(8, 4, 2),
        lambda: nn.Linear(64, 6),
    ]
    network = build(
        parse("conv8k5s2 deconv4k2s2 avgpool2 dense6"),
        size=8,
        generator=_generator(),
        initialization="default",
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = [make() for make in torch_layers]
    for layer, twin in zip(parametric_layers(network), expected, strict=True):
        assert torch.equal(layer.weight, twin.weight)
        assert twin.bias is not None
        assert torch.equal(layer.bias, twin.bias)


def test_every_activation_of_the_language_has_a_function() -> None:
    assert tuple(FUNCTIONS) == ACTIVATIONS


def answers(
    module: torch.nn.Module, images: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Mean and deviation by channel of what each layer's map answers."""
    seen = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, given: seen.append(
                torch.std_mean(layer.map(given[0]), (0, 2, 3), correction=0)
            )
        )
        for layer in parametric_layers(module)
    ]
    module(images)
    for hook in hooks:
        hook.remove()
    return [(mean, deviation) for deviation, mean in seen]


@pytest.mark.parametrize("initialization", ["kaiming", "default"])
@pytest.mark.parametrize(
    "text",
    [
        "conv8 pool conv12 pool conv16 | up conv12 up conv3",
        "conv8k5s2 conv8:gelu | deconv12k2s2 conv3",
        "conv4s4 dense16 | dense4h8w8 up4 conv3",
    ],
)
@torch.no_grad()
def test_standardised_layers_answer_with_mean_0_and_variance_1(text: str, initialization) -> None:
    generator = torch.Generator().manual_seed(4)
    module = build(parse(text), generator=generator, initialization=initialization)
    images = torch.randn(64, 3, 32, 32, generator=generator) * 3 + 1
    initialize_lsuv(module, images)
    *inner, last = answers(module, images)
    for mean, deviation in inner:
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-4)
        torch.testing.assert_close(deviation, torch.ones_like(deviation), rtol=1e-3, atol=0)
    torch.testing.assert_close(last[0], torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(last[1], torch.full((3,), 1 / 3), rtol=1e-3, atol=0)


@torch.no_grad()
def test_standardising_keeps_residual_brackets_small_and_constant_channels_as_they_are() -> None:
    module = build(parse("conv4 2*(conv4 conv4) conv3"), generator=torch.Generator().manual_seed(0))
    first = parametric_layers(module)[0]
    first.weight[2] = 0
    images = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    initialize_lsuv(module, images)
    deviations = [deviation.mean().item() for _, deviation in answers(module, images)]
    assert deviations == pytest.approx([0.75, 1, 0.5**0.5, 1, 0.5**0.5, 1 / 3], rel=1e-3)
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())


def test_what_sees_the_whole_image_begins_standardised_too_and_context_as_the_identity() -> None:
    module = build(
        parse("conv8 (norm attend2) excite2 context dropout0.5 conv3"),
        generator=_generator(),
        size=8,
    )
    images = torch.randn(64, 3, 8, 8, generator=_generator(1)) * 3 + 1
    state = torch.get_rng_state()
    initialize_lsuv(module, images)
    assert torch.equal(torch.get_rng_state(), state)  # dropout drew nothing
    assert module.layers[4].function.training
    context = parametric_layers(module)[-2]
    assert not context.weight.any()
    assert not context.bias.any()
    deviations = [deviation.mean().item() for _, deviation in answers(module.eval(), images)]
    assert deviations == pytest.approx([1, 1, 1, 1, 1, 0, 1 / 3], rel=1e-3)


def test_standardising_leaves_batch_normalisation_alone() -> None:
    module = build(parse("conv4 conv3"), generator=torch.Generator().manual_seed(0), batchnorm=True)
    before = parametric_layers(module)[0].weight.clone()
    initialize_lsuv(module, torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(parametric_layers(module)[0].weight, before)
