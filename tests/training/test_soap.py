import copy
import io
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from caelab.device import threads
from caelab.training.soap import SOAP


def parameter(*shape: int, seed: int = 0) -> torch.nn.Parameter:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))


def gradients(*shape: int, count: int, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(shape[0], shape[0], generator=generator, dtype=torch.float64)
    drawn = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    return list(torch.einsum("ij,nj...->ni...", mixing, drawn))


def trained(
    start: torch.nn.Parameter, optimizer: torch.optim.Optimizer, given: list[Tensor]
) -> Tensor:
    for gradient in given:
        start.grad = gradient.clone()
        optimizer.step()
    return start.detach()


def test_without_bases_it_is_adam() -> None:
    given = gradients(6, 5, 3, count=30)
    one, other = parameter(6, 5, 3), parameter(6, 5, 3)
    soap = SOAP([one], lr=0.01, betas=(0.9, 0.95), max_dimension=1)
    adam = torch.optim.AdamW([other], lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)
    torch.testing.assert_close(
        trained(one, soap, given), trained(other, adam, given), rtol=1e-10, atol=1e-12
    )


def test_weight_decay_is_decoupled() -> None:
    given = gradients(6, 5, count=10)
    one, other = parameter(6, 5), parameter(6, 5)
    soap = SOAP([one], lr=0.01, betas=(0.9, 0.95), weight_decay=0.3, max_dimension=1)
    adam = torch.optim.AdamW([other], lr=0.01, betas=(0.9, 0.95), weight_decay=0.3)
    torch.testing.assert_close(
        trained(one, soap, given), trained(other, adam, given), rtol=1e-10, atol=1e-12
    )


def test_a_rotation_of_the_problem_rotates_the_solution() -> None:
    """Adam's coordinates are arbitrary; in its own eigenbasis the arithmetic does not depend on
    them."""
    generator = torch.Generator().manual_seed(3)
    left, right = (
        torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
        for n in (4, 7)
    )
    # Covariances with well separated eigenvalues, so that the bases are determined from the first
    # steps on.
    scale = (
        torch.arange(1, 5, dtype=torch.float64)[:, None] ** 2
        * torch.arange(1, 8, dtype=torch.float64) ** 2
    )
    given = [gradient * scale for gradient in gradients(4, 7, count=200)]
    given = [
        0.1 * gradient + scale.mean() * torch.eye(4, 7, dtype=torch.float64) for gradient in given
    ]

    def run(rotate_left: Tensor, rotate_right: Tensor) -> Tensor:
        start = torch.nn.Parameter(rotate_left @ parameter(4, 7).detach() @ rotate_right.T)
        optimizer = SOAP([start], lr=0.01, refresh_every=1, covariance_beta=0.99)
        # Power iterations meet the eigenbasis only after a while: let the state settle without
        # moving.
        optimizer.param_groups[0]["lr"] = 0.0
        rotated = [rotate_left @ gradient @ rotate_right.T for gradient in given]
        trained(start, optimizer, rotated * 3)
        optimizer.param_groups[0]["lr"] = 0.01
        return trained(start, optimizer, rotated[:50])

    plain = run(torch.eye(4, dtype=torch.float64), torch.eye(7, dtype=torch.float64))
    rotated = run(left, right)
    moved = (plain - parameter(4, 7).detach()).norm()
    assert (left.T @ rotated @ right - plain).norm() < 0.05 * moved


def test_bases_stay_orthonormal_and_diagonalise_the_covariances() -> None:
    start = parameter(5, 8)
    optimizer = SOAP([start], refresh_every=1, covariance_beta=0.999)
    trained(start, optimizer, gradients(5, 8, count=400))
    state = optimizer.state[start]
    for covariance, basis in zip(state["covariances"], state["bases"], strict=True):
        torch.testing.assert_close(
            basis.T @ basis, torch.eye(len(basis), dtype=torch.float64), atol=1e-10, rtol=0
        )
        rotated = basis.T @ covariance @ basis
        off = rotated - rotated.diag().diag()
        assert off.norm() < 0.05 * rotated.norm()
    # The left side is where the gradients are correlated: there the order is by variance.
    variances = (state["bases"][0].T @ state["covariances"][0] @ state["bases"][0]).diag()
    assert torch.equal(variances, variances.sort(descending=True).values)


def test_it_solves_an_ill_conditioned_problem_that_adam_does_not() -> None:
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(20, 20, generator=generator, dtype=torch.float64))[0]
    curvature = rotation @ torch.logspace(0, -4, 20, dtype=torch.float64).diag() @ rotation.T
    target = torch.randn(20, 6, generator=generator, dtype=torch.float64)

    def loss_after(make: type[torch.optim.Optimizer]) -> float:
        start = torch.nn.Parameter(torch.zeros(20, 6, dtype=torch.float64))
        optimizer = make([start], lr=0.03, betas=(0.95, 0.95))  # type: ignore[call-arg]
        for _ in range(300):
            error = start - target
            loss = (error * (curvature @ error)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert loss_after(SOAP) < 0.2 * loss_after(torch.optim.Adam)


def test_a_tensor_of_three_sides_is_turned_by_kronecker_products() -> None:
    """With sides longer than the limit: (output, place, input), each with a basis of its own."""
    start = parameter(3, 5, 2, 2)
    optimizer = SOAP([start], lr=0.01, refresh_every=1, max_dimension=8)
    given = gradients(3, 5, 2, 2, count=6)
    trained(start, optimizer, given[:5])
    state = copy.deepcopy(optimizer.state[start])
    assert [len(basis) for basis in state["bases"]] == [3, 4, 5]
    before = start.detach().clone()
    trained(start, optimizer, given[5:])

    now = optimizer.state[start]
    gradient = given[5].movedim(1, 3).reshape(3, 4, 5)
    for axis, covariance in enumerate(now["covariances"]):
        rows = gradient.movedim(axis, 0).flatten(1)
        expected = state["covariances"][axis] * (1 - 1 / 6) + rows @ rows.T / 6
        torch.testing.assert_close(covariance, expected)
    turn, turn_before = (
        torch.kron(torch.kron(a, b), c) for a, b, c in (now["bases"], state["bases"])
    )
    mean = (turn_before @ state["mean"].flatten() * 0.95 + gradient.flatten() * 0.05) / (
        1 - 0.95**6
    )
    root = (now["mean_square"].flatten() / (1 - 0.95**6)).sqrt() + 1e-8
    update = turn @ ((turn.T @ mean) / root)
    moved = (start.detach() - before).movedim(1, 3).flatten()
    torch.testing.assert_close(moved, -0.01 * update)


@pytest.mark.parametrize("stop", [1, 9, 10, 11, 25])
def test_a_restored_state_continues_bit_for_bit(stop: int) -> None:
    given = [gradient.float() for gradient in gradients(6, 4, count=40)]
    one = torch.nn.Parameter(parameter(6, 4).detach().float())
    optimizer = SOAP([one], lr=0.02)
    trained(one, optimizer, given[:stop])
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(one)
    restored = SOAP([other], lr=0.5)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(
        trained(one, optimizer, given[stop:]), trained(other, restored, given[stop:])
    )


def test_threads_change_no_bit() -> None:
    shapes = [(6, 4), (3, 5, 3, 3), (7,)]
    given = [gradients(*shape, count=12) for shape in shapes]
    ends = []
    for count in (1, 2, 3):
        start = [parameter(*shape) for shape in shapes]
        optimizer = SOAP(start, lr=0.02)
        with threads(count):
            for step in range(12):
                for one, drawn in zip(start, given, strict=True):
                    one.grad = drawn[step].clone()
                optimizer.step()
        ends.append(start)
    for other in ends[1:]:
        assert all(torch.equal(one, same) for one, same in zip(ends[0], other, strict=True))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 1), (1, 4), (2, 3, 3, 3)])
def test_every_shape_is_taken_and_stays_finite(shape: tuple[int, ...]) -> None:
    start = parameter(*shape)
    optimizer = SOAP([start], lr=0.1)
    trained(
        start,
        optimizer,
        [torch.zeros(shape, dtype=torch.float64), *([torch.ones(shape, dtype=torch.float64)] * 25)],
    )
    assert start.shape == shape
    assert bool(torch.isfinite(start).all())
    assert bool((start < parameter(*shape)).all())


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": -1.0},
        {"eps": 0.0},
        {"betas": (1.0, 0.9)},
        {"covariance_beta": 1.0},
        {"refresh_every": 0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be .*, not"):
        SOAP([parameter(2, 2)], **wrong)  # type: ignore[arg-type]


def test_the_machinery_of_torch_compile_is_not_imported() -> None:
    code = """
import sys, torch
from caelab.training.soap import SOAP
weight = torch.nn.Parameter(torch.ones(2, 3))
optimizer = SOAP([weight])
weight.grad = torch.ones(2, 3)
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_steps_are_alike_from_the_twentieth_on_but_for_refreshes() -> None:
    start = parameter(6, 5)
    optimizer = SOAP([start], refresh_every=10, covariance_beta=0.95)
    alike = []
    for number, gradient in enumerate(gradients(6, 5, count=45), 1):
        if optimizer.steady:
            alike.append(number)
        trained(start, optimizer, [gradient])
    assert alike == [number for number in range(20, 46) if number % 10 != 1]
    assert not SOAP([parameter(2, 2)], refresh_every=1).steady


def test_an_update_by_numbers_in_a_tensor_is_the_update() -> None:
    given = gradients(6, 5, 3, count=30)
    one, other = parameter(6, 5, 3), parameter(6, 5, 3)
    plain, told = (SOAP([each], lr=0.01, weight_decay=0.3) for each in (one, other))
    trained(one, plain, given)
    for gradient in given:
        other.grad = gradient.clone()
        told.count()
        assert told.numbers.shape == (1, 3)
        told.update(told.numbers)
    torch.testing.assert_close(
        other, one, rtol=1e-5, atol=1e-6
    )  # the numbers are of single precision
