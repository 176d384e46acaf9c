import math

import pytest
import torch
from torch import Tensor

from caelab.color import SPACES
from caelab.metrics.colorization_shortcomings import SECTORS, hue_errors

PRIMARIES = {
    "red": (1.0, 0.0, 0.0),
    "yellow": (1.0, 1.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "magenta": (1.0, 0.0, 1.0),
}


def flat(*colors: tuple[float, float, float]) -> Tensor:
    """Return an image of 4×4 for each color."""
    return torch.tensor(colors).view(-1, 3, 1, 1).expand(-1, 3, 4, 4).contiguous()


def toward_gray(images: Tensor, share: float) -> Tensor:
    planes = SPACES["ycbcr"].from_rgb(images)
    planes[:, 1:] *= share
    return SPACES["ycbcr"].to_rgb(planes)


@pytest.mark.parametrize("name", PRIMARIES)
def test_primaries_lie_in_a_sector_of_their_name_or_beside_it(name: str) -> None:
    target = flat(PRIMARIES[name])
    (found,) = [hue.name for hue in hue_errors(target, target) if hue.share == 1]
    beside = {"green": "yellow-green", "blue": "violet"}  # CIELAB: 136° and 306°
    assert found in (name, beside.get(name))


def test_what_is_kept_and_the_error_are_those_of_the_pixels_of_a_hue() -> None:
    target = flat((0.7, 0.3, 0.3), (0.3, 0.3, 0.7), (0.5, 0.5, 0.5), (0.51, 0.5, 0.5))
    estimate = torch.cat(
        [toward_gray(target[:1], 0.25), toward_gray(target[1:2], -0.5), target[2:]]
    )
    found = {hue.name: hue for hue in hue_errors(estimate, target) if hue.share > 0}
    assert sum(hue.share for hue in found.values()) == 0.5  # two images are gray, or nearly
    red, blue = found["red"], found["violet"]
    assert (red.share, blue.share) == (0.25, 0.25)
    assert red.kept == pytest.approx(0.25, abs=1e-5)
    assert blue.kept == pytest.approx(-0.5, abs=1e-5)
    chroma = SPACES["ycbcr"].chroma(target)[:, :, 0, 0].square().mean(1)
    assert red.chroma_mse == pytest.approx(float(chroma[0]) * 0.75**2, rel=1e-4)
    assert blue.chroma_mse == pytest.approx(float(chroma[1]) * 1.5**2, rel=1e-4)


def test_a_hue_that_no_pixel_has_has_no_error() -> None:
    gray = flat((0.5, 0.5, 0.5))
    found = hue_errors(gray, gray)
    assert [hue.name for hue in found] == list(SECTORS)
    assert all(
        hue.share == 0 and math.isnan(hue.chroma_mse) and math.isnan(hue.kept) for hue in found
    )
