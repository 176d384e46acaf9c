import copy

import numpy as np
import pytest
import torch
from torch import nn

from caelab.networks.build import build
from caelab.training.compose import ImageModel
from caelab.training.gradient import BatchGradient, threads
from caelab.training.losses import LOSSES
from caelab.training.pixels import Pixels

PIXELS = Pixels.of(
    np.random.default_rng(0).integers(0, 256, (80, 3, 8, 8), dtype=np.uint8), np.arange(80), device=torch.device("cpu")
)


def model(*, batchnorm: bool = False, logits: bool = False) -> ImageModel:
    generator = torch.Generator().manual_seed(1)
    network = build("conv4 pool conv5 | up conv3", size=8, generator=generator, batchnorm=batchnorm)
    return ImageModel(network, mean=(0.5,) * 3, std=(0.25,) * 3, logits=logits)


def gradient(subject: ImageModel, loss: str = "mse", batch: int = 70) -> BatchGradient:
    return BatchGradient(subject, LOSSES[loss], PIXELS, batch=batch, precision=torch.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_shares_add_up_to_the_whole_batchs_gradient(count: int, loss: str) -> None:
    subject = model(logits=loss == "bce")
    twin = copy.deepcopy(subject).double()
    chosen = torch.randperm(80, generator=torch.Generator().manual_seed(2))[:70]
    with threads(count), gradient(subject, loss) as compute:
        assert compute.shares == count
        terms = compute(chosen)

    target = PIXELS.batch(chosen).double()
    output = twin(target.contiguous())
    expected = LOSSES[loss](output, target)
    expected[loss].backward()  # type: ignore[no-untyped-call]
    assert terms[loss].item() == pytest.approx(expected[loss].item(), rel=1e-6)
    assert terms["mse"].item() == pytest.approx(
        (twin.image(output) - target).square().mean().item() if loss == "bce" else expected["mse"].item(), rel=1e-6
    )
    for parameter, exact in zip(subject.parameters(), twin.parameters(), strict=True):
        assert parameter.grad is not None
        assert exact.grad is not None
        torch.testing.assert_close(parameter.grad.double(), exact.grad, rtol=1e-4, atol=1e-6)


def test_the_same_threads_give_the_same_bits() -> None:
    chosen = torch.arange(64)
    drawn = []
    for _ in range(2):
        subject = model()
        with threads(2), gradient(subject) as compute:
            compute(chosen)
        drawn.append([parameter.grad for parameter in subject.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*drawn, strict=True))  # type: ignore[arg-type]


def test_statistics_of_the_whole_batch_are_not_shared_out() -> None:
    with threads(2), gradient(model(batchnorm=True)) as compute:
        assert compute.shares == 1


def test_small_batches_are_not_shared_out() -> None:
    with threads(4):
        for batch, shares in [(1, 1), (31, 1), (32, 2), (63, 3), (64, 4), (1000, 4)]:
            with gradient(model(), batch=batch) as compute:
                assert compute.shares == shares


def test_what_fails_in_a_thread_fails_here() -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ArithmeticError("broken")

    subject = ImageModel(Broken(), mean=(0.0,) * 3, std=(1.0,) * 3, logits=False)
    with threads(2), gradient(subject) as compute, pytest.raises(ArithmeticError, match="broken"):
        compute(torch.arange(64))


def test_the_callers_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    with threads(3), gradient(model()) as compute:
        compute(torch.arange(64))
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before
