"""Small matrices are updated by compiled loops: as PyTorch's operations do it, but for rounding."""

import copy
import ctypes
import subprocess
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import Parameter

from caelab.kernels.compiler import find_compiler
from caelab.kernels.soap import LIBRARY, MAX_PRODUCTS
from caelab.training.soap import SOAP

pytestmark = pytest.mark.skipif(not find_compiler(), reason="there is no C compiler")

STEPS = 25


@pytest.fixture(params=["", "-mno-avx512f", "-mno-avx"], scope="module")
def vectors(request: pytest.FixtureRequest) -> Iterator[ctypes.CDLL]:
    """The loops with this machine's vectors, and with narrower ones."""
    try:
        yield LIBRARY.load((*find_compiler(), *filter(None, [request.param])))
    except subprocess.SubprocessError:
        pytest.skip(f"the compiler has no {request.param}")


def trained(
    shape: tuple[int, ...], *, scale: Tensor | float = 1.0, **settings: float
) -> tuple[Parameter, SOAP]:
    """A parameter and its optimizer after some steps, in double precision: by PyTorch's
    operations."""
    weight = gradient(shape, STEPS + 1)
    parameter = Parameter(
        weight.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else weight
    )
    optimizer = SOAP([parameter], lr=0.01, **settings)  # type: ignore[arg-type]
    for number in range(STEPS):
        parameter.grad = gradient(shape, number) * scale
        optimizer.step()
    parameter.grad = gradient(shape, STEPS) * scale
    return parameter, optimizer


def gradient(shape: tuple[int, ...], number: int) -> Tensor:
    return (
        torch.randn(shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
        * 0.1
    )


def single(parameter: Parameter, optimizer: SOAP) -> tuple[Parameter, SOAP]:
    """The same in single precision, with the same gradient."""
    assert parameter.grad is not None
    twin = Parameter(parameter.detach().float())
    twin.grad = parameter.grad.float()
    other = SOAP([twin])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return twin, other


def require_close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5 * float(other.abs().max()))


def require_same_step(parameter: Parameter, optimizer: SOAP) -> None:
    """One further step in both precisions moves the parameter, and all that is known of it,
    alike."""
    before = parameter.detach().clone()
    twin, other = single(parameter, optimizer)
    start = twin.detach().double()
    optimizer.step()
    other.step()
    assert twin in other._small  # it was the loops
    assert twin.stride() == parameter.stride()
    torch.testing.assert_close(
        twin.detach().double() - start, parameter.detach() - before, rtol=0, atol=1e-5
    )
    state, known = optimizer.state[parameter], other.state[twin]
    for name in ("mean", "mean_square"):
        require_close(known[name], state[name])
    for name in ("covariances", "bases"):
        for expected, found in zip(state[name], known[name], strict=True):
            assert (expected is None) == (found is None)
            if expected is not None:
                require_close(found, expected)


matrices = st.one_of(
    st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40))
)
kernels = st.tuples(st.integers(1, 20), st.integers(1, 12), st.integers(1, 3), st.integers(1, 5))


@settings(max_examples=40, deadline=None)
@given(
    shape=matrices, weight_decay=st.sampled_from([0.0, 0.3]), longest=st.sampled_from([1, 8, 640])
)
def test_a_step_of_a_matrix_is_that_of_a_float64_twin(
    shape: tuple[int, ...], weight_decay: float, longest: int
) -> None:
    require_same_step(*trained(shape, weight_decay=weight_decay, max_dimension=longest))


@settings(max_examples=40, deadline=None)
@given(shape=kernels)
def test_a_step_of_a_convolution_is_that_of_a_float64_twin(shape: tuple[int, ...]) -> None:
    require_same_step(*trained(shape))


def test_narrower_vectors_compute_the_same(
    vectors: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIBRARY, "loaded", vectors)
    for shape in ((16, 12, 3, 3), (3, 12, 3, 3), (17, 33), (5,)):
        require_same_step(*trained(shape))


def test_a_refresh_of_the_bases_is_part_of_the_step() -> None:
    # Covariances with well separated eigenvalues, so that rounding does not change the bases.
    scale = (
        torch.arange(1, 6, dtype=torch.float64)[:, None] ** 2
        * torch.arange(1, 8, dtype=torch.float64) ** 2
    )
    parameter, optimizer = trained((5, 7), scale=scale, refresh_every=1, covariance_beta=0.99)
    before = [basis.clone() for basis in optimizer.state[parameter]["bases"]]
    require_same_step(parameter, optimizer)
    assert not any(map(torch.equal, before, optimizer.state[parameter]["bases"]))


def test_what_was_loaded_is_used_and_not_what_was_before() -> None:
    parameter, optimizer = single(*trained((6, 4)))
    optimizer.step()
    saved, at = copy.deepcopy(optimizer.state_dict()), parameter.detach().clone()
    ends = []
    for _ in range(2):
        with torch.no_grad():
            parameter.copy_(at)
        optimizer.load_state_dict(copy.deepcopy(saved))
        optimizer.step()
        ends.append(parameter.detach().clone())
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], at)


def test_a_parameter_that_moved_to_other_memory_is_found() -> None:
    parameter, optimizer = single(*trained((6, 4)))
    optimizer.step()
    before, moved = parameter.data, parameter.detach().clone()
    as_it_was = moved.clone()
    parameter.data = moved
    optimizer.step()
    assert torch.equal(before, as_it_was)
    assert not torch.equal(moved, as_it_was)


def test_a_copied_optimizer_goes_on_alone() -> None:
    parameter, optimizer = single(*trained((6, 4)))
    optimizer.step()
    twin, other = copy.deepcopy((parameter, optimizer))
    assert parameter.grad is not None
    twin.grad = parameter.grad.clone()
    before = parameter.detach().clone()
    other.step()
    assert torch.equal(parameter, before)
    optimizer.step()
    assert torch.equal(parameter, twin)


@pytest.mark.parametrize(
    "parameter",
    [
        torch.zeros(4, 5, dtype=torch.float64),
        torch.zeros(
            4, 5, 3, 3
        ),  # its columns are (channel, place) in memory, and (place, channel) for SOAP
        torch.zeros(90, 90, 3, 3).contiguous(memory_format=torch.channels_last),  # of three sides
        torch.zeros(MAX_PRODUCTS // 640**2 + 1, 640),
        torch.zeros(0, 3),
    ],
)
def test_others_are_left_to_pytorch(parameter: Tensor) -> None:
    weight = Parameter(parameter)
    optimizer = SOAP([weight])
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert not optimizer._small
    assert bool((weight != 0).all())


def test_without_a_compiler_steps_are_done_by_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIBRARY.loaded is not None
    monkeypatch.setattr(LIBRARY, "loaded", None)
    parameter, optimizer = trained((6, 4))
    twin, other = single(parameter, optimizer)
    optimizer.step()
    other.step()
    assert not other._small
    torch.testing.assert_close(twin.double(), parameter.detach(), rtol=0, atol=1e-4)
