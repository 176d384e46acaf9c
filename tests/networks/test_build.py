"""Built networks: that they compute what the text says, and what ``describe`` says of it."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from caelab.errors import InputError
from caelab.networks import PRESETS, NetworkError, describe
from caelab.networks.build import build, fold_batchnorm
from caelab.networks.layers.convolutions import Conv
from caelab.networks.modules import (
    ActivationLayer,
    Convolution,
    Dense,
    ParametricLayer,
    SelfAttention,
    TransposedConvolution,
)
from caelab.networks.network_module import ResidualBlock, SkipBlock
from caelab.networks.parser import parse

WORDS = [
    *(
        "conv4",
        "conv3k1s2:none",
        "conv5k4",
        "conv2k2d2",
        "conv4k5s3:tanh",
        "conv6v",
        "conv3p2:silu",
        "conv4k4s2",
    ),
    *("deconv3k2s2", "deconv4s2:elu", "deconv4k2s3", "deconv2v", "deconv4k5s2"),
    *(
        "pool",
        "pool3",
        "avgpool",
        "up",
        "up3",
        "upbilinear",
        "conv4:none shuffle2",
        "conv8 shuffle2:sigmoid",
    ),
    *(
        "unshuffle2",
        "norm",
        "norm:gelu",
        "batchnorm",
        "dense5",
        "dense3h4w2:mish",
        "up conv3",
        "up3 conv4k5",
        "up conv2k2",
    ),
    *(
        "(conv3 conv4)",
        "conv4 (norm conv5 conv4:none)",
        "[conv2 norm]",
        "[pool conv3 up]",
        "2*conv3",
        "2*[conv2:leaky]",
    ),
    *(
        "context",
        "context:gelu",
        "conv4 excite2",
        "excite1:relu",
        "attend",
        "conv4 (norm attend2)",
        "dropout0.3",
    ),
    *("conv4 2*(conv4)", "conv4 3*(2*conv4:softplus)"),
]


@st.composite
def buildable(draw: st.DrawFn) -> tuple[str, int, tuple[int, int]]:
    channels, size = draw(st.integers(1, 4)), (draw(st.integers(4, 12)), draw(st.integers(4, 12)))
    text = ""
    for word in draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)):
        longer = f"{text} {word}".strip()
        try:
            found = describe(parse(longer), channels=channels, size=size)
        except NetworkError:
            continue
        if found.multiply_accumulates < 500_000 and max(row.size for row in found.rows) < 20_000:
            text = longer
    return text or "conv3", channels, size


def _build(text: str, *, seed: int = 0, **options) -> nn.Module:
    return build(parse(text), generator=torch.Generator().manual_seed(seed), **options)


def _images(
    channels: int, size: tuple[int, int], count: int = 2, dtype: torch.dtype = torch.float32
) -> Tensor:
    return torch.rand(
        count, channels, *size, generator=torch.Generator().manual_seed(1), dtype=dtype
    )


@settings(max_examples=40, deadline=None)
@given(buildable())
def test_shapes_weights_and_costs_are_those_of_the_description(
    case: tuple[str, int, tuple[int, int]],
) -> None:
    text, channels, size = case
    found = describe(parse(text), channels=channels, size=size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conv, "absorb", lambda layer, previous: None)  # a module for every row
        network = _build(text, channels=channels, size=size)
    seen: list[tuple[tuple[int, ...], int]] = []
    costs = [0]  # of the row under way

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, SelfAttention):
            costs[0] += 2 * output[0, 0].numel() ** 2 * output.shape[1]
        else:
            pixels = {
                Convolution: output[0, 0].numel(),
                TransposedConvolution: inputs[0][0, 0].numel(),
                Dense: 1,
            }
            costs[0] += module.weight.numel() * pixels[type(module)]

    def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((tuple(output.shape[1:]), costs[0]))
        costs[0] = 0

    for name, module in network.named_modules():
        if isinstance(module, ParametricLayer | SelfAttention):
            module.register_forward_hook(count)
        if (
            isinstance(module, ParametricLayer | ActivationLayer | ResidualBlock | SkipBlock)
            and ".function." not in name
        ):
            module.register_forward_hook(observe)
    network(_images(channels, size))
    assert seen == [(row.shape, row.multiply_accumulates) for row in found.rows]
    assert sum(parameter.numel() for parameter in network.parameters()) == found.weights


@settings(max_examples=40, deadline=None)
@given(buildable())
def test_the_rewrite_changes_neither_function_nor_gradients_nor_names(
    case: tuple[str, int, tuple[int, int]],
) -> None:
    text, channels, size = case
    rewritten = _build(text, channels=channels, size=size).double().eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conv, "absorb", lambda layer, previous: None)
        literal = _build(text, channels=channels, size=size).double().eval()
    assert list(rewritten.state_dict()) == list(literal.state_dict())
    images = _images(channels, size, dtype=torch.float64).requires_grad_()
    outputs = [rewritten(images), literal(images)]
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-11)
    gradients = [
        torch.autograd.grad(output.square().sum(), [images, *network.parameters()])
        for output, network in zip(outputs, (rewritten, literal), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(buildable())
def test_batch_normalisation_folds_away_exactly(case: tuple[str, int, tuple[int, int]]) -> None:
    text, channels, size = case
    network = _build(text, channels=channels, size=size, batchnorm=True).double()
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.normal_(module.weight, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batchnorm(network)
    images = _images(channels, size, dtype=torch.float64)
    torch.testing.assert_close(folded(images), network(images), rtol=1e-10, atol=1e-11)
    plain = _build(text, channels=channels, size=size)
    assert {n: v.shape for n, v in folded.state_dict().items()} == {
        n: v.shape for n, v in plain.state_dict().items()
    }
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_the_reference_network_is_torchs_own_layers() -> None:
    network = _build("reference").double()
    assert list(network.state_dict()) == [
        f"{place}.{kind}"
        for place in ("encoder.0", "encoder.2", "encoder.4", "decoder.1", "decoder.3")
        for kind in ("weight", "bias")
    ]
    generator = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = network.parameters()
    x = _images(3, (32, 32), dtype=torch.float64)
    code = F.relu(
        F.conv2d(F.max_pool2d(F.relu(F.conv2d(x, w1, b1, padding=1)), 2), w2, b2, padding=1)
    )
    code = F.relu(F.conv2d(F.max_pool2d(code, 2), w3, b3, padding=1))
    y = F.relu(F.conv2d(F.interpolate(code, scale_factor=2), w4, b4, padding=1))
    y = F.conv2d(F.interpolate(y, scale_factor=2), w5, b5, padding=1)
    torch.testing.assert_close(network.part("encoder")(x), code)
    torch.testing.assert_close(network.part("decoder")(code), y)
    torch.testing.assert_close(network(x), y)
    parameters = list(network.parameters())
    gradients = [
        torch.autograd.grad(output.square().sum(), parameters) for output in (network(x), y)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("conv4 pool conv3", ("relu", "none"), ("none", "relu")),
        ("conv4:leaky pool3 conv3", ("leaky", "none"), ("none", "leaky")),
        ("conv4:none pool conv3", ("none", "none"), ("none", "none")),
        # gelu does not rise everywhere
        ("conv4:gelu pool conv3", ("gelu", "none"), ("gelu", "none")),
        ("conv4 pool:tanh conv3", ("relu", "tanh"), ("relu", "tanh")),
        ("conv4 avgpool conv3", ("relu", "none"), ("relu", "none")),
    ],
)
def test_rectifying_moves_behind_the_pooling_where_that_is_the_same(
    text: str, before: tuple[str, str], after: tuple[str, str]
) -> None:
    network = _build(text).double()
    convolution, pool = network.layers[0], network.layers[1]
    assert (convolution.activation, pool.activation) == after
    images = _images(3, (12, 12), dtype=torch.float64)
    moved = network(images)
    convolution.activation, pool.activation = before
    torch.testing.assert_close(network(images), moved, rtol=0, atol=0)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("outputs", [3, 9])
@pytest.mark.parametrize("size", [(1, 1), (2, 5)])
def test_up_convolution_at_the_borders(
    kernel: int, factor: int, outputs: int, size: tuple[int, int]
) -> None:
    network = _build(f"up{factor} conv{outputs}k{kernel}", channels=2, size=size).double()
    nn.init.normal_(network.layers[0].bias, generator=torch.Generator().manual_seed(1))
    assert network.layers[0].few == (outputs == 3)
    x = _images(2, size, dtype=torch.float64)
    weight, bias = network.parameters()
    literal = F.conv2d(F.interpolate(x, scale_factor=factor), weight, bias, padding=kernel // 2)
    torch.testing.assert_close(network(x), literal, rtol=1e-12, atol=1e-12)


ONE_BY_ONE = """
import torch
from torch.nn.functional import conv2d
from caelab.networks.build import build
from caelab.networks.parser import parse

def check(ours, exact):
    assert all(torch.allclose(a.double(), b, 1e-4, 1e-4) for a, b in zip(ours, exact, strict=True))

torch.manual_seed(0)
for images, text in [(1, "conv7k1s2"), *[(16, "conv8k1s2")] * 4, (16, "conv8k1s3p1")]:
    network = build(parse(text + ":none"), channels=4, size=16, generator=torch.default_generator)
    x = torch.rand(images, 4, 16, 16).to(memory_format=torch.channels_last).requires_grad_()
    y, leaves = network(x), [x, *network.parameters()]
    exact = [each.detach().double().requires_grad_() for each in leaves]
    right = conv2d(*exact, stride=int(text[8]), padding=int(text.endswith("p1")))
    check([y], [right])
    gradient = torch.rand(y.shape)
    expected = torch.autograd.grad(right, exact, gradient.double())
    check(torch.autograd.grad(y, leaves, gradient), expected)
"""


def test_a_kernel_of_one_pixel_with_a_stride_keeps_to_its_memory() -> None:
    # With oneDNN's instructions for AVX2, such a gradient ended the process or damaged its memory.
    answer = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    "text",
    ["up:relu conv3", "up conv3k2", "up conv3v", "up conv3d2", "up conv3s2", "upbilinear conv3"],
)
def test_what_cannot_be_rewritten_is_left(text: str) -> None:
    assert next(iter(_build(text).layers.named_children()))[0] == "0"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_give_an_image_or_its_chroma_back(name: str) -> None:
    inputs, outputs = (1, 2) if name in ("unet-color", "unet-small", "unet-narrow") else (3, 3)
    found = describe(parse(name), channels=inputs)
    assert found.output == (outputs, 32, 32)
    network = _build(name, channels=inputs)
    images = _images(inputs, (32, 32))
    assert network(images).shape == (2, outputs, 32, 32)
    assert str(network.tree) == found.text
    if found.code is not None and not found.skip_around_code:
        code = network.part("encoder")(images)
        assert tuple(code.shape[1:]) == found.code.shape
        torch.testing.assert_close(network.part("decoder")(code), network(images))


def test_a_network_without_dense_takes_other_sizes_and_layouts() -> None:
    network = _build("reference").double()
    images = _images(3, (24, 40), dtype=torch.float64)
    ordinary = network(images)
    assert ordinary.shape == images.shape
    network = network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        network(images.contiguous(memory_format=torch.channels_last)), ordinary
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("conv8 conv3", "no '|' marks its code"),
        ("conv8 [conv8 | conv8] conv3", "a bracket runs around its '|'"),
    ],
)
def test_a_network_that_cannot_be_split_says_so(text: str, why: str) -> None:
    network = _build(text)
    assert network(_images(3, (32, 32))).shape == (2, 3, 32, 32)
    with pytest.raises(InputError, match="cannot be split") as caught:
        network.part("encoder")(_images(3, (32, 32)))
    assert why in str(caught.value)
    with pytest.raises(InputError, match="cannot be split"):
        network.part("decoder")(_images(3, (32, 32)))


def test_a_misfit_is_refused_before_anything_is_built() -> None:
    with pytest.raises(NetworkError) as caught:
        _build("conv8 pool pool", size=2)
    assert caught.value.column == 12


def test_batch_normalisation_stands_before_each_activation_but_the_last() -> None:
    network = _build("conv4 conv4:none dense4 | dense4h2w2:tanh up conv3:sigmoid", batchnorm=True)
    normed = [
        name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)
    ]
    assert normed == ["encoder.0.norm", "encoder.2.norm", "decoder.0.norm"]
    # In training, what goes into the activation has mean 0 and variance 1 in every channel.
    captured = []
    network.encoder[0].norm.register_forward_hook(
        lambda module, inputs, output: captured.append(output)
    )
    network(_images(3, (32, 32), count=8))
    torch.testing.assert_close(captured[0].mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(captured[0].var((0, 2, 3)), torch.ones(4), atol=1e-2, rtol=0)


def test_batch_normalisation_keeps_out_of_the_layers_that_see_the_whole_image() -> None:
    network = _build("conv4 excite2 context (attend2) conv4 conv3", batchnorm=True)
    normed = [
        name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)
    ]
    assert normed == ["layers.0.norm", "layers.4.norm"]


def test_writing_the_norm_out_is_the_same_as_asking_for_it() -> None:
    asked = _build("conv4 conv3", batchnorm=True)
    written = _build("conv4:none batchnorm:relu conv3")
    with torch.no_grad():
        written.layers[0].weight.copy_(asked.layers[0].weight)
        written.layers[2].weight.copy_(asked.layers[1].weight)
    images = _images(3, (8, 8))
    torch.testing.assert_close(asked(images), written(images))
