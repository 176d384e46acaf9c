"""Winograd's convolution is PyTorch's, and so are its gradients, up to rounding."""

import copy
import ctypes
import subprocess
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from caelab.kernels import convolution
from caelab.kernels.compiler import find_compiler
from caelab.kernels.convolution import LIBRARY, Convolution
from caelab.kernels.convolution import convolve as chosen
from caelab.kernels.convolution import convolve_winograd as convolve
from caelab.kernels.convolution import winograd_is_faster as is_faster
from caelab.networks.build import build
from caelab.networks.parser import parse

pytestmark = pytest.mark.skipif(not find_compiler(), reason="there is no C compiler")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def distance(one: Tensor, exact: Tensor) -> float:
    return float(
        (one.detach().double() - exact.detach()).norm() / exact.detach().norm().clamp_min(1e-30)
    )


def answer_and_gradients(
    convolved: Callable[..., Tensor], leaves: list[Tensor], towards: Tensor
) -> list[Tensor]:
    """The convolution of images with weight and bias, and by each of these the gradient of its
    product with towards."""
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    y = convolved(*leaves)
    return [y, *torch.autograd.grad(y, leaves, towards)]


def require_exact(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> None:
    """Compare answer and gradients with a float64 twin's, by the norms of the roots of their terms'
    squares' sums.

    Where terms are of random sign that is about the norm of the answer; but it is not near to 0
    where a few cancel.
    """
    leaves = [leaf for leaf in (x, weight, bias) if leaf is not None]
    library = partial(F.conv2d, padding=padding)
    towards = normal(*library(*leaves).shape, seed=9)
    found = answer_and_gradients(
        lambda x, weight, bias=None: convolve(x, weight, bias, padding), leaves, towards
    )
    twins = [leaf.double() for leaf in leaves]
    exact = answer_and_gradients(library, twins, towards.double())
    squares = answer_and_gradients(
        library, [twin.square() for twin in twins], towards.double().square()
    )
    for one, other, square in zip(found, exact, squares, strict=True):
        assert one.shape == other.shape
        assert (
            one.detach().double() - other.detach()
        ).norm() < 1e-5 * square.detach().sqrt().norm()


@settings(deadline=None)
@given(
    count=st.integers(1, 5),
    inputs=st.integers(1, 50),
    outputs=st.integers(1, 50),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    padding=st.integers(0, 3),
    biased=st.booleans(),
    channels_last=st.booleans(),
)
def test_it_is_the_convolution_of_any_shape(
    count: int,
    inputs: int,
    outputs: int,
    height: int,
    width: int,
    padding: int,
    biased: bool,
    channels_last: bool,
) -> None:
    if min(height, width) + 2 * padding < 3:
        return
    x = normal(count, inputs, height, width)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    require_exact(
        x,
        normal(outputs, inputs, 3, 3, seed=1),
        normal(outputs, seed=2) if biased else None,
        padding,
    )


@pytest.mark.parametrize("count", [1, 3, 64])
def test_many_tiles_and_channels(count: int) -> None:
    require_exact(normal(count, 160, 16, 16), normal(97, 160, 3, 3, seed=1), normal(97, seed=2), 1)


@pytest.mark.parametrize("options", ["-mno-avx512f", "-mno-avx"])
def test_narrower_vectors_compute_the_same(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        loops = LIBRARY.load((*find_compiler(), options))
    except subprocess.SubprocessError:
        pytest.skip(f"the compiler has no {options}")
    shapes = ctypes.byref(Convolution(8, 8, 24, 1, 8, 8, 24))
    assert loops.kernel_floats(shapes) <= LIBRARY.functions.kernel_floats(shapes)
    monkeypatch.setattr(LIBRARY, "loaded", loops)
    for inputs, outputs in ((1, 50), (24, 48), (33, 20), (70, 9)):
        require_exact(
            normal(9, inputs, 10, 7),
            normal(outputs, inputs, 3, 3, seed=1),
            normal(outputs, seed=2),
            1,
        )


def test_each_output_is_the_same_however_many_threads_and_images() -> None:
    x, weight = normal(37, 24, 9, 12), normal(40, 24, 3, 3, seed=1)
    answers = []
    for threads in (1, 2, 3):
        with convolution_threads(threads):
            answers.append(convolve(x, weight, None, 1))
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])
    assert torch.equal(answers[0][5:6], convolve(x[5:6], weight, None, 1))


def test_gradients_are_shared_out_among_threads() -> None:
    for threads in (2, 3, 5):
        with (
            convolution_threads(threads),
            patch.object(convolution, "_run", wraps=convolution._run) as shared,
        ):
            require_exact(normal(21, 24, 9, 12), normal(40, 24, 3, 3, seed=1), None, 1)
        assert {len(call.args[2]) for call in shared.call_args_list} == {threads}


def convolution_threads(count: int):  # type: ignore[no-untyped-def]
    return patch.object(torch, "get_num_threads", lambda: count)


@given(count=st.integers(0, 200), smallest=st.integers(1, 50), threads=st.integers(1, 9))
def test_parts_are_the_whole_and_none_is_too_small(count: int, smallest: int, threads: int) -> None:
    with convolution_threads(threads):
        parts = convolution._parts(count, smallest)
    assert [parts[0].start, parts[-1].stop] == [0, count]
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert len(parts) <= threads
    assert len(parts) == 1 or min(map(len, parts)) >= smallest


@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
def test_a_gradient_that_nobody_wants_is_not_computed(wanted: str) -> None:
    given = {
        "x": normal(2, 16, 8, 8),
        "weight": normal(16, 16, 3, 3, seed=1),
        "bias": normal(16, seed=2),
    }
    given[wanted].requires_grad_()
    with (
        patch.object(
            convolution, "_input_gradient", wraps=convolution._input_gradient
        ) as by_images,
        patch.object(
            convolution, "_weight_gradient", wraps=convolution._weight_gradient
        ) as by_weight,
    ):
        convolve(**given, padding=1).sum().backward()
    assert (by_images.called, by_weight.called) == (wanted == "x", wanted == "weight")
    assert given[wanted].grad is not None


def test_what_is_no_number_stays_none() -> None:
    x = normal(2, 16, 8, 8)
    x[1, 3, 2, 2] = float("nan")
    y = convolve(x, normal(16, 16, 3, 3, seed=1), None, 1)
    assert y[0].isfinite().all()
    assert y[1, :, 1:4, 1:4].isnan().all()


WIDE = {"count": 8, "channels": 32, "side": 8, "outputs": 32, "kernel": 3, "padding": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"kernel": 1, "padding": 0}, False),
        ({"kernel": 5}, False),
        ({"channels": 7, "outputs": 99}, False),
        ({"channels": 99, "outputs": 7}, False),
        ({"channels": 16, "outputs": 16}, False),
        ({"channels": 8, "outputs": 48}, True),
        ({"side": 2, "count": 99}, False),
        ({"count": 1}, False),
        ({"count": 0}, False),
        ({"count": 4, "side": 9, "padding": 0}, True),
    ],
)
def test_it_is_used_where_it_is_faster(change: dict[str, int], expected: bool) -> None:
    shape = WIDE | change
    x = normal(shape["count"], shape["channels"], shape["side"], shape["side"])
    weight = normal(shape["outputs"], shape["channels"], shape["kernel"], shape["kernel"], seed=1)
    with patch.object(convolution._Winograd, "apply", wraps=convolution._Winograd.apply) as apply:
        y = chosen(x, weight, None, shape["padding"])
    assert apply.called == expected
    exact = F.conv2d(x.double(), weight.double(), padding=shape["padding"])
    assert y.shape == exact.shape
    if not expected:
        assert torch.equal(y, F.conv2d(x, weight, padding=shape["padding"]))
    elif len(y):
        assert distance(y, exact) < 1e-5


@pytest.mark.parametrize(
    ("dtype", "device"), [(torch.float64, "cpu"), (torch.bfloat16, "cpu"), (torch.float32, "meta")]
)
def test_other_types_and_devices_are_left_to_the_library(dtype: torch.dtype, device: str) -> None:
    x, weight = (
        normal(8, 32, 8, 8).to(device, dtype),
        normal(32, 32, 3, 3, seed=1).to(device, dtype),
    )
    assert not is_faster(x, weight, padding=1)
    assert chosen(x, weight, None, 1).dtype is dtype


def test_half_precision_under_autocast_is_left_to_the_library() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert (
            chosen(normal(8, 32, 8, 8), normal(32, 32, 3, 3, seed=1), None, 1).dtype
            is torch.bfloat16
        )


def test_without_a_compiler_the_library_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIBRARY, "loaded", None)
    x, weight = normal(8, 32, 8, 8), normal(32, 32, 3, 3, seed=1)
    assert torch.equal(chosen(x, weight, None, 1), F.conv2d(x, weight, padding=1))


@pytest.mark.parametrize(
    "text",
    [
        "unshuffle2 conv24 (conv24:gelu conv24:none) | conv48 shuffle4 conv3",
        (
            "conv16:gelu [pool conv32:gelu (norm conv32:gelu conv32:none) up conv16:gelu]"
            " conv24:gelu conv3"
        ),
        "conv16 pool conv24:elu pool conv32:elu | up conv24:elu up conv16:elu conv3",
    ],
)
def test_a_wide_network_has_the_gradients_of_its_float64_twin(text: str) -> None:
    network = build(parse(text), channels=3, size=16, generator=torch.Generator().manual_seed(0))
    twin = copy.deepcopy(network).double()
    images = normal(16, 3, 16, 16)
    with patch.object(convolution._Winograd, "apply", wraps=convolution._Winograd.apply) as apply:
        network(images).square().mean().backward()
    assert apply.call_count >= 3
    twin(images.double()).square().mean().backward()
    for parameter, exact in zip(network.parameters(), twin.parameters(), strict=True):
        assert parameter.grad is not None
        assert exact.grad is not None
        assert (
            distance(parameter.grad, exact.grad) < 2e-4
        )  # by the places of maxima, which rounding may move


def test_sizes_are_what_c_takes() -> None:
    loops = LIBRARY.functions
    shape = ctypes.byref(Convolution(5, 9, 20, 1, 5, 9, 30))
    assert loops.tiles(shape) == 2 * 3
    assert ctypes.sizeof(Convolution) == 7 * 8
    assert loops.kernel_floats(shape) >= 36 * 20 * 30
    assert loops.scratch_floats(shape) % 36 == 0
