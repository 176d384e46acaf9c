"""Dropout of whole channels, and where its numbers come from."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from caelab.networks.build import build
from caelab.networks.modules import Dropout, dropout_generator
from caelab.networks.parser import parse


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.75])
def test_whole_channels_are_dropped_and_the_mean_is_kept(probability: float) -> None:
    x = torch.rand(400, 50, 2, 3, generator=_generator(1), dtype=torch.float64) + 1
    with dropout_generator(_generator()):
        y = Dropout(probability)(x)
    kept = y[:, :, 0, 0] != 0
    torch.testing.assert_close(y, x / (1 - probability) * kept[:, :, None, None])
    # 20,000 draws: four standard deviations are at most 0.013.
    assert kept.double().mean().item() == pytest.approx(1 - probability, abs=0.013)
    assert kept.double().mean(0).std() < 0.05  # images and channels are drawn apart
    assert kept.double().mean(1).std() < 0.1


def test_in_evaluation_it_is_the_identity_and_draws_nothing() -> None:
    network = build(parse("conv4 dropout0.9 conv3"), generator=_generator(), size=4)
    images = torch.rand(2, 3, 4, 4, generator=_generator(1))
    without = build(parse("conv4 conv3"), generator=_generator(), size=4)
    state, generator = torch.get_rng_state(), _generator(5)
    with dropout_generator(generator):
        torch.testing.assert_close(network.eval()(images), without(images), rtol=0, atol=0)
    assert torch.equal(generator.get_state(), _generator(5).get_state())
    assert torch.equal(torch.get_rng_state(), state)


def test_gradients_pass_where_the_channel_was_kept() -> None:
    x = torch.ones(3, 8, 2, 2, requires_grad=True)
    with dropout_generator(_generator()):
        y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert 0 < y.detach().count_nonzero() < y.numel()


def test_numbers_come_from_the_given_generator_and_outside_from_torchs() -> None:
    dropout, x = Dropout(0.5), torch.ones(4, 16, 2, 2)
    state = torch.get_rng_state()
    with dropout_generator(_generator(3)):
        once = dropout(x)
        with dropout_generator(_generator(4)):
            other = dropout(x)
        then = dropout(x)
    with dropout_generator(_generator(3)):
        assert torch.equal(dropout(x), once)
        assert torch.equal(dropout(x), then)
    assert not torch.equal(once, other)
    assert torch.equal(torch.get_rng_state(), state)
    dropout(x)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)


def test_threads_draw_each_from_its_own() -> None:
    dropout, x = Dropout(0.5), torch.ones(4, 16, 1, 1)

    def draw(seed: int) -> list[Tensor]:
        with dropout_generator(_generator(seed)):
            return [dropout(x) for _ in range(50)]

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(draw, [1, 2]))
    for seed, drawn in zip([1, 2], together, strict=True):
        assert all(torch.equal(*pair) for pair in zip(drawn, draw(seed), strict=True))
