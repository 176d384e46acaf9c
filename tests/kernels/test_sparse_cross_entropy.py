import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.kernels.sparse_cross_entropy import ROWS, sparse_cross_entropy
from caelab.training.losses import CrossEntropy


def problem(
    dtype: torch.dtype, *, count: int = 2, classes: int = 11, side: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, classes, side, side, generator=generator, dtype=dtype) * 3
    named = torch.rand(count, classes, side, side, generator=generator).argsort(1)[:, :3]
    shares = torch.rand(count, 3, side, side, generator=generator, dtype=dtype)
    return logits, named, shares


def dense(classes: Tensor, shares: Tensor, count: int) -> Tensor:
    target = torch.zeros(len(shares), count, *shares.shape[2:], dtype=shares.dtype)
    return target.scatter_(1, classes, shares)


@pytest.mark.parametrize("side", [4, 33])  # one part, and several with a rest
@pytest.mark.parametrize("channels_last", [False, True])
def test_it_is_the_dense_cross_entropy_and_so_is_its_gradient(
    side: int, *, channels_last: bool
) -> None:
    logits, classes, shares = problem(torch.float64, side=side)
    assert side < 5 or 2 * side**2 > ROWS
    if channels_last:
        logits = logits.contiguous(memory_format=torch.channels_last)
    found, expected = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = sparse_cross_entropy(found, classes, shares)
    oracle = F.cross_entropy(expected, dense(classes, shares, 11))
    torch.testing.assert_close(loss, oracle)
    (3 * loss).backward()  # type: ignore[no-untyped-call]
    (3 * oracle).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found.grad, expected.grad)


def test_the_gradient_can_be_taken_once() -> None:
    logits, classes, shares = problem(torch.float32)
    loss = sparse_cross_entropy(logits.requires_grad_(), classes, shares)
    torch.autograd.grad(loss, logits, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, logits)


def test_logits_far_apart_are_finite() -> None:
    logits = torch.tensor([1e4, -1e4, 0.0]).view(1, 3, 1, 1).requires_grad_()
    loss = sparse_cross_entropy(logits, torch.tensor([1]).view(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
    assert loss.item() == pytest.approx(2e4)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [1, -1, 0]


def test_the_loss_reads_classes_and_shares_from_one_tensor() -> None:
    logits, classes, shares = problem(torch.float32)
    loss = CrossEntropy()(logits, torch.cat([classes.float(), shares], dim=1))
    torch.testing.assert_close(loss, sparse_cross_entropy(logits, classes, shares))
