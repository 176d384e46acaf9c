import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from caelab.randomness import generator_for, image_keys, normal, uniform

IMAGES, NUMBERS = 400, 2048


def keys(seed: int = 0, *moments: int, count: int = IMAGES) -> torch.Tensor:
    return image_keys(np.arange(count), seed, *moments)


def largest_correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the largest correlation between rows, in standard deviations of what independent rows
    have."""
    first, second = (
        (rows - rows.mean()) / rows.std() for rows in (first.double(), second.double())
    )
    return float((first @ second.T).abs().max()) / first.shape[1] ** 0.5


def test_uniform_numbers_are_uniform_to_the_last_bit() -> None:
    numbers = uniform(keys(), NUMBERS, 0)
    assert 0 < numbers.min() <= numbers.max() <= 1
    assert kstest(numbers.flatten().double().numpy(), "uniform").pvalue > 0.01
    for place in (
        0,
        8,
        15,
    ):  # the lowest of the 24 bits are lost to rounding where numbers are near 1
        bits = (numbers * 2.0**16).long() >> place & 1
        assert chisquare(np.bincount(bits.flatten().numpy(), minlength=2)).pvalue > 0.01


def test_normal_numbers_are_normal() -> None:
    numbers = normal(keys(), NUMBERS, 3)
    assert kstest(numbers.flatten().double().numpy(), "norm").pvalue > 0.01
    assert float(numbers.double().pow(4).mean()) == pytest.approx(
        3, abs=5 * (96 / numbers.numel()) ** 0.5
    )


def test_neither_images_nor_places_nor_streams_nor_epochs_nor_seeds_are_correlated() -> None:
    numbers = normal(keys(), NUMBERS, 0)
    # The largest of a million products of independent numbers exceeds it with probability 0.002.
    bound = 6.0
    off_diagonal = ~torch.eye(IMAGES, dtype=torch.bool)
    centered = numbers.double()
    between_images = (centered @ centered.T)[off_diagonal].abs().max() / NUMBERS**0.5
    assert float(between_images) < bound
    assert (
        largest_correlation(numbers[:, :-1].flatten()[None], numbers[:, 1:].flatten()[None]) < bound
    )
    assert (
        largest_correlation(numbers[:, 0::2].T[:512], numbers[:, 1::2].T[:512]) < bound
    )  # the pairs of Box–Muller
    for other in (
        normal(keys(), NUMBERS, 1),
        normal(keys(0, 0), NUMBERS, 0),
        normal(keys(1), NUMBERS, 0),
    ):
        assert largest_correlation(numbers, other) < bound


@pytest.mark.parametrize("draw", [uniform, normal])
def test_a_number_depends_on_key_stream_and_index_alone(
    draw: Callable[[torch.Tensor, int, int], torch.Tensor],
) -> None:
    whole = draw(keys(), 101, 2)
    assert torch.equal(draw(keys()[[7, 3]], 101, 2), whole[[7, 3]])
    assert torch.equal(draw(keys(), 50, 2), whole[:, :50])


def test_keys_are_distinct_and_depend_on_every_argument() -> None:
    many = [
        keys(*arguments, count=60_000)
        for arguments in ((0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0))
    ]
    assert len(torch.cat(many).unique()) == 6 * 60_000


def test_keys_belong_to_rows_of_the_data_set() -> None:
    rows = np.array([5, 11, 2])
    np.testing.assert_array_equal(image_keys(rows, 3, 4), image_keys(np.arange(12), 3, 4)[rows])


def test_the_numbers_are_the_same_in_every_version() -> None:
    assert image_keys(np.array([0, 59_999]), 1, 2).tolist() == [
        7120577443783642958,
        4601004164000629452,
    ]
    np.testing.assert_allclose(
        normal(keys(1, 2, count=1), 3, 1)[0].numpy(),
        [-1.704416, 0.08869895, -0.03856941],
        rtol=1e-5,
    )


def test_streams_are_repeatable_and_apart() -> None:
    asked = [
        (0, "batches"),
        (0, "initialization"),
        (1, "batches"),
        (0, "batches", 1),
        (0, "batches", 1, 2),
    ]
    drawn = [torch.rand(8, generator=generator_for(*one)) for one in asked]  # type: ignore[arg-type]
    again = [torch.rand(8, generator=generator_for(*one)) for one in asked]  # type: ignore[arg-type]
    assert all(torch.equal(first, second) for first, second in zip(drawn, again, strict=True))
    assert not any(torch.equal(first, second) for first, second in itertools.combinations(drawn, 2))


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    torch.rand(4, generator=generator_for(3, "dropout"))
    assert torch.equal(torch.rand(4), expected)
