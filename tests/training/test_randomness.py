import itertools

import torch

from caelab.training.randomness import generator_for


def test_streams_are_repeatable_and_apart() -> None:
    asked = [
        (0, "batches"),
        (0, "initialisation"),
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
