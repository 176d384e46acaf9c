import math

import numpy as np
import pytest
import torch
from torch import Tensor

from caelab.color import SPACES, gray_rgb
from caelab.data.device_images import DeviceImages
from caelab.degrade.degradation import parse_degradation
from caelab.metrics.colorization_shortcomings import (
    SECTORS,
    SHIFTS,
    bleeding,
    colorfulness_kept,
    errors_by_class,
    hue_errors,
    invented_color,
    shifted_errors,
)

GRAY = parse_degradation("gray")


def tinted(luma: Tensor, cb: float, cr: float) -> Tensor:
    chroma = torch.tensor([cb, cr]).view(1, 2, 1, 1).expand(len(luma), 2, *luma.shape[2:])
    return SPACES["ycbcr"].to_rgb(torch.cat([luma, chroma], dim=1))


def pixels(cb: float = 0.05, cr: float = -0.05) -> DeviceImages:
    luma = torch.linspace(0.3, 0.6, 64).view(1, 1, 8, 8).expand(6, 1, 8, 8)
    images = tinted(luma, cb, cr).mul(255).round().byte().numpy()
    return DeviceImages.of(images, np.arange(6), device=torch.device("cpu"))


def test_colorfulness_is_compared_image_by_image_where_there_is_any() -> None:
    kept = colorfulness_kept(np.array([10.0, 10, 30, 1]), np.array([20.0, 40, 40, 0]))
    assert kept.ratio == pytest.approx(51 / 100)
    assert kept.quartiles == pytest.approx((0.375, 0.5, 0.625))
    assert kept.n == 3
    none = colorfulness_kept(np.ones(2), np.zeros(2))
    assert none.n == 0
    assert math.isnan(none.ratio)


def test_classes_are_sorted_by_error_and_those_without_images_left_out() -> None:
    errors, labels = np.array([1.0, 3, 10, 12, 11]), np.array([0, 0, 2, 2, 2])
    worst, best = errors_by_class(errors, labels, ("cat", "dog", "frog"))
    assert (worst.name, worst.error.estimate, worst.error.n) == ("frog", 11, 3)
    assert (best.name, best.error.estimate, best.error.n) == ("cat", 2, 2)
    assert worst.error.low < 11 < worst.error.high


def test_the_gray_copy_leaves_all_of_its_own_error_whatever_the_brightness() -> None:
    found = shifted_errors(gray_rgb, pixels(), GRAY)
    assert [(each.scale, each.offset) for each in found] == list(SHIFTS)
    assert [each.relative for each in found] == pytest.approx([1] * len(SHIFTS), abs=1e-5)
    usual, darker, *_ = found
    assert usual.chroma_mse == pytest.approx(0.05**2, rel=0.05)
    assert darker.chroma_mse == pytest.approx(0.8**2 * usual.chroma_mse, rel=1e-4)


def test_one_who_knows_the_color_errs_only_where_the_chroma_changed() -> None:
    found = {
        (each.scale, each.offset): each.relative
        for each in shifted_errors(lambda luma: tinted(luma, 0.05, -0.05), pixels(), GRAY)
    }
    assert found[1.0, 0.0] == pytest.approx(0, abs=2e-3)  # bytes are rounded
    assert found[1.0, 0.1] == pytest.approx(0, abs=2e-3)
    assert found[0.8, 0.0] == pytest.approx(0.25**2, rel=0.1)  # 0.2 of 0.8 too much
    assert found[1.2, 0.0] == pytest.approx((0.2 / 1.2) ** 2, rel=0.1)


def test_images_without_color_have_no_relative_error() -> None:
    gray = DeviceImages.of(
        np.full((2, 3, 4, 4), 128, np.uint8), np.arange(2), device=torch.device("cpu")
    )
    assert all(
        math.isnan(each.relative) or each.relative >= 0
        for each in shifted_errors(gray_rgb, gray, GRAY)
    )


def test_invented_color_is_that_of_images_that_had_none() -> None:
    luma = torch.full((4, 1, 4, 4), 0.5)
    target = torch.cat([gray_rgb(luma[:2]), tinted(luma[:2], 0.1, 0.1)])
    estimate = torch.cat([tinted(luma[:1], 0.04, 0.04), gray_rgb(luma[:1]), gray_rgb(luma[:2])])
    found = invented_color(estimate, target)
    assert (found.n, found.of) == (2, 4)
    assert found.chroma == pytest.approx(0.02, abs=1e-5)
    assert found.colorfulness_share == pytest.approx(0.02 / 0.05, rel=1e-4)
    assert invented_color(estimate[2:], target[2:]).n == 0


# Hues


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


# Bleeding


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
