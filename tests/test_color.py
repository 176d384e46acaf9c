import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.color import rgb2gray, rgb2lab, rgb2ycbcr
from torch import Tensor

from caelab.color import SPACES, ColorSpace, desaturate, gray_rgb, luminance, merge

WHITE = {"ycbcr": 1.0, "lab": 100.0, "oklab": 1.0}
"""Lightness of white; black has 0."""

EVERY_SPACE = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def column(*colors: tuple[float, ...]) -> Tensor:
    """Return colors as an image ``float64 (1, 3, K, 1)``."""
    return torch.tensor(colors, dtype=torch.float64).T[None, :, :, None]


CORNERS = column(*itertools.product((0.0, 1.0), repeat=3))
GRID = column(
    *itertools.product((0.0, 1e-4, 0.002, 0.04045, 0.1, 0.33, 0.5, 0.77, 0.9, 1.0), repeat=3)
)

unit = st.floats(0, 1)
chromas = st.floats(-0.5, 0.5)
colors = st.tuples(unit, unit, unit)


@EVERY_SPACE
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 2e-6), (torch.float32, 2e-5)])
def test_back_and_forth_is_the_identity(
    space: ColorSpace, dtype: torch.dtype, tolerance: float
) -> None:
    rgb = GRID.to(dtype)
    converted = space.from_rgb(rgb)
    assert converted.dtype == dtype
    assert (space.to_rgb(converted) - rgb).abs().max() < tolerance


@EVERY_SPACE
def test_gray_has_no_chroma_and_all_the_lightness(space: ColorSpace) -> None:
    ramp = torch.linspace(0, 1, 101, dtype=torch.float64).view(1, 1, -1, 1)
    converted = space.from_rgb(gray_rgb(ramp))
    assert converted[:, 1:].abs().max() < 1e-3 * space.chroma_scale
    lightness = converted[0, 0, :, 0]
    assert (lightness.diff() > 0).all()
    assert lightness[0] == pytest.approx(0, abs=1e-9)
    assert lightness[-1] == pytest.approx(WHITE[space.name], rel=1e-5)


@EVERY_SPACE
def test_gradients_are_those_of_finite_differences(space: ColorSpace) -> None:
    rgb = (
        torch.rand(1, 3, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        * 0.8
        + 0.1
    )
    torch.autograd.gradcheck(space.from_rgb, rgb.requires_grad_())
    torch.autograd.gradcheck(space.to_rgb, space.from_rgb(rgb).detach().requires_grad_())


@EVERY_SPACE
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_are_finite_at_black_white_and_every_corner(
    space: ColorSpace, dtype: torch.dtype
) -> None:
    rgb = CORNERS.to(dtype).clone().requires_grad_()
    converted = space.from_rgb(rgb)
    (slope,) = torch.autograd.grad(converted.sum(), rgb)
    assert slope.isfinite().all()
    outside = (converted.detach() * 1.5).requires_grad_()
    (slope,) = torch.autograd.grad(space.to_rgb(outside).sum(), outside)
    assert slope.isfinite().all()


def test_ycbcr_and_lab_are_scikit_images() -> None:
    rgb = GRID[0].movedim(0, -1).numpy()
    studio = SPACES["ycbcr"].from_rgb(GRID)[0].movedim(0, -1).numpy() * [219, 224, 224] + [
        16,
        128,
        128,
    ]
    np.testing.assert_allclose(studio, rgb2ycbcr(rgb), atol=2e-3)
    np.testing.assert_allclose(
        SPACES["lab"].from_rgb(GRID)[0].movedim(0, -1).numpy(), rgb2lab(rgb), atol=1e-4
    )


def test_chroma_of_ycbcr_fills_its_range() -> None:
    chroma = SPACES["ycbcr"].chroma(CORNERS)
    assert [float(chroma.amin()), float(chroma.amax())] == pytest.approx([-0.5, 0.5])


def test_oklab_is_that_of_css_color_4() -> None:
    primaries = column((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1))
    stated = column(
        (0.62796, 0.22486, 0.12585),
        (0.86644, -0.23389, 0.17950),
        (0.45201, -0.03246, -0.31153),
        (1, 0, 0),
    )
    assert (SPACES["oklab"].from_rgb(primaries) - stated).abs().max() < 1e-5


def test_luminance_is_of_bt601_and_not_of_bt709() -> None:
    assert luminance(column((1, 0, 0), (0, 1, 0), (0, 0, 1))).flatten().tolist() == [
        0.299,
        0.587,
        0.114,
    ]
    assert (
        abs(luminance(GRID)[0, 0].numpy() - rgb2gray(GRID[0].movedim(0, -1).numpy())).max() > 0.05
    )


@EVERY_SPACE
@pytest.mark.parametrize("gamut", ["clip", "desaturate"])
def test_no_chroma_gives_the_gray_image(space: ColorSpace, gamut: str) -> None:
    luma = torch.linspace(0, 1, 11, dtype=torch.float64).view(1, 1, -1, 1)
    merged = merge(luma, luma.new_zeros(1, 2, 11, 1), space, gamut=gamut)
    assert (merged - gray_rgb(luma)).abs().max() < 1e-4


@pytest.mark.parametrize("gamut", ["clip", "desaturate"])
def test_the_chroma_of_a_picture_on_its_own_luma_is_the_picture(gamut: str) -> None:
    ycbcr = SPACES["ycbcr"]
    assert (
        merge(luminance(GRID), ycbcr.chroma(GRID), ycbcr, gamut=gamut) - GRID
    ).abs().max() < 1e-12


@EVERY_SPACE
@given(luma=unit, cb=st.floats(-8, 8), cr=st.floats(-8, 8))
def test_desaturation_keeps_the_luma_to_rounding(
    space: ColorSpace, luma: float, cb: float, cr: float
) -> None:
    plane = torch.full((1, 1, 1, 1), luma)
    chroma = torch.tensor([cb, cr]).view(1, 2, 1, 1) * space.chroma_scale
    merged = merge(plane, chroma, space, gamut="desaturate")
    assert 0 <= merged.min() <= merged.max() <= 1
    assert float(luminance(merged)) == pytest.approx(luma, abs=3e-7)


@given(luma=unit, rgb=st.tuples(*[st.floats(-3, 3)] * 3))
def test_desaturation_is_no_stronger_than_it_must_be(
    luma: float, rgb: tuple[float, float, float]
) -> None:
    ycbcr, color, plane = (
        SPACES["ycbcr"],
        column(rgb),
        torch.full((1, 1, 1, 1), luma, dtype=torch.float64),
    )
    result, wanted = desaturate(color, plane), ycbcr.chroma(color)
    exact = ycbcr.to_rgb(torch.cat([plane, wanted], 1))
    if 0 <= exact.min() <= exact.max() <= 1:
        assert (result - exact).abs().max() < 1e-12
    else:  # on the surface of the cube, and of the same hue
        assert min(float(result.min()), float((1 - result).min())) < 1e-12
        (cb, cr), (want_cb, want_cr) = ycbcr.chroma(result).flatten(), wanted.flatten()
        assert float(cb * want_cr - cr * want_cb) == pytest.approx(0, abs=1e-9)
        assert cb * want_cb + cr * want_cr > -1e-12


def test_desaturation_has_finite_gradients_everywhere() -> None:
    rgb = (CORNERS * 3 - 1).requires_grad_()
    for luma in (0.0, 0.5, 1.0):
        (slope,) = torch.autograd.grad(
            desaturate(rgb, torch.full_like(rgb[:, :1], luma)).sum(), rgb
        )
        assert slope.isfinite().all()


def test_less_than_a_quarter_of_the_box_of_ycbcr_is_a_color() -> None:
    box = torch.rand(1, 3, 400, 500, generator=torch.Generator().manual_seed(0))
    rgb = SPACES["ycbcr"].to_rgb(torch.cat([box[:, :1], box[:, 1:] - 0.5], 1))
    inside = ((rgb >= 0) & (rgb <= 1)).all(1).double().mean()
    assert float(inside) == pytest.approx(
        0.587 / (1.772 * 1.402), abs=0.003
    )  # the determinant of the matrix


@given(luma=unit, cb=chromas, cr=chromas)
def test_clipping_moves_the_luma_by_less_than_a_third(luma: float, cb: float, cr: float) -> None:
    plane = torch.full((1, 1, 1, 1), luma, dtype=torch.float64)
    merged = merge(plane, torch.tensor([[[[cb]], [[cr]]]], dtype=torch.float64), SPACES["ycbcr"])
    assert abs(float(luminance(merged)) - luma) <= 0.3107


@pytest.mark.parametrize(("luma", "chroma"), [(0.0, 0.5), (1.0, -0.5)])
def test_clipping_moves_the_luma_most_at_black_and_white(luma: float, chroma: float) -> None:
    merged = merge(
        torch.full((1, 1, 1, 1), luma), torch.full((1, 2, 1, 1), chroma), SPACES["ycbcr"]
    )
    assert abs(float(luminance(merged)) - luma) == pytest.approx(
        0.299 * 0.701 + 0.114 * 0.886, abs=1e-6
    )


@given(truth=colors, estimate=st.tuples(*[st.floats(-3, 3)] * 3))
def test_clipping_never_moves_away_from_the_truth(
    truth: tuple[float, ...], estimate: tuple[float, ...]
) -> None:
    ycbcr, wild = SPACES["ycbcr"], column(estimate)
    luma = luminance(column(truth))
    unclipped = ycbcr.to_rgb(torch.cat([luma, ycbcr.chroma(wild)], 1))
    merged = merge(luma, ycbcr.chroma(wild), ycbcr)
    assert (merged - column(truth)).square().sum() <= (
        unclipped - column(truth)
    ).square().sum() + 1e-12


@EVERY_SPACE
@pytest.mark.parametrize("gamut", ["clip", "desaturate"])
def test_arrays_and_tensors_give_the_same_numbers(space: ColorSpace, gamut: str) -> None:
    generator = torch.Generator().manual_seed(3)
    rgb = torch.rand(2, 3, 20, 30, generator=generator, dtype=torch.float64)
    wild = torch.randn(2, 2, 20, 30, generator=generator, dtype=torch.float64) * space.chroma_scale
    luma = luminance(rgb)
    pairs = [
        (luminance(rgb.numpy()), luma),
        (space.from_rgb(rgb.numpy()), space.from_rgb(rgb)),
        (
            merge(luma.numpy(), 3 * wild.numpy(), space, gamut=gamut),
            merge(luma, 3 * wild, space, gamut=gamut),
        ),
    ]
    for array, tensor in pairs:
        assert isinstance(array, np.ndarray)
        assert isinstance(tensor, Tensor)
        np.testing.assert_allclose(array, tensor.numpy(), atol=1e-12 * WHITE[space.name])


def test_single_images_and_gray_images_are_taken() -> None:
    rgb = np.random.default_rng(0).random((3, 4, 5), np.float32)
    assert luminance(rgb).shape == (1, 4, 5)
    assert luminance(rgb).dtype == np.float32
    np.testing.assert_array_equal(luminance(rgb[:1]), rgb[:1])
    np.testing.assert_allclose(
        SPACES["lab"].from_rgb(rgb[None])[0], SPACES["lab"].from_rgb(rgb), atol=1e-5
    )


@given(
    hnp.arrays(np.float32, (1, 3, 3), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.float32, (2, 3, 3), elements=st.floats(-1, 1, width=32)),
)
def test_any_chroma_on_an_array_gives_a_color_of_this_luma(
    luma: np.ndarray, chroma: np.ndarray
) -> None:
    rgb = merge(luma, chroma, SPACES["ycbcr"], gamut="desaturate")
    assert rgb.dtype == np.float32
    assert 0 <= rgb.min() <= rgb.max() <= 1
    np.testing.assert_allclose(luminance(rgb), luma, atol=2e-6)
