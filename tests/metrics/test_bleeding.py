import math

import pytest
import torch
from torch import Tensor

from caelab.color import SPACES
from caelab.metrics.colorization_shortcomings import bleeding


def halves(left: tuple[float, float, float], right: tuple[float, float, float]) -> Tensor:
    """Return an image of 4×6 with one color in YCbCr to the left, another to the right."""
    planes = torch.empty(1, 3, 4, 6)
    for side, color in ((slice(0, 3), left), (slice(3, 6), right)):
        planes[:, :, :, side] = torch.tensor(color).view(1, 3, 1, 1)
    return SPACES["ycbcr"].to_rgb(planes)


TARGET = halves((0.3, 0.1, 0.0), (0.6, -0.1, 0.1))


def test_the_truth_keeps_every_edge() -> None:
    found = bleeding(TARGET, TARGET)
    assert found.edges.kept == pytest.approx(1, abs=1e-5)
    assert found.edges.chroma_mse == pytest.approx(0, abs=1e-10)
    assert found.edges.share == pytest.approx(
        4 / (4 * 5 + 3 * 6)
    )  # one of five pairs a row, none a column
    assert found.edges.share + found.flat.share == pytest.approx(1)


@pytest.mark.parametrize("kept", [0.0, 0.5, 1.5])
def test_what_is_kept_is_the_share_of_the_difference(kept: float) -> None:
    found = bleeding(
        halves((0.3, 0.1 * kept, 0.05 - 0.05 * kept), (0.6, -0.1 * kept, 0.05 + 0.05 * kept)),
        TARGET,
    )
    assert found.edges.kept == pytest.approx(kept, abs=1e-5)
    assert found.edges.chroma_mse == pytest.approx(
        (0.1**2 + 0.05**2) * (1 - kept) ** 2 / 2, abs=1e-8
    )


def test_color_that_runs_over_an_edge_is_an_error_at_the_edge() -> None:
    estimate = TARGET.clone()
    planes = SPACES["ycbcr"].from_rgb(estimate)
    planes[:, 1:, :, 3] = planes[:, 1:, :, 2]  # the left color runs one pixel too far
    found = bleeding(SPACES["ycbcr"].to_rgb(planes), TARGET)
    assert found.edges.kept == pytest.approx(0, abs=1e-5)
    assert found.edges.chroma_mse > found.flat.chroma_mse > 0


def test_without_edges_there_is_nothing_to_say() -> None:
    gray = torch.full((2, 3, 4, 4), 0.5)
    found = bleeding(gray, gray)
    assert (found.edges.share, found.flat.share) == (0, 1)
    assert math.isnan(found.edges.chroma_mse)
    assert math.isnan(found.edges.kept)
    assert math.isnan(found.flat.kept)
    assert found.flat.chroma_mse == 0
