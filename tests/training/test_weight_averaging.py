import pytest
import torch

from caelab.training.weight_averaging import running_mean


@pytest.mark.parametrize(("count", "kept"), [(1, 2 / 11), (80, 0.9), (100, 0.9)])
def test_the_mean_reaches_back_over_a_ninth_and_no_farther_than_its_decay(
    count: int, kept: float
) -> None:
    for told in (count, torch.tensor(count)):
        means = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]
        running_mean(0.9)(means, [torch.tensor([2.0, 2.0]), torch.tensor([[5.0]])], told)
        torch.testing.assert_close(means[0], torch.tensor([2 - kept, 2.0]))
        torch.testing.assert_close(means[1], torch.tensor([[5 - 2 * kept]]))
