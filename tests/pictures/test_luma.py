import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caelab import color
from caelab.pictures.luma import chroma, luma, merge

UNIT = st.floats(0, 1, width=32)


def test_it_is_the_luma_and_chroma_that_networks_are_trained_with() -> None:
    rgb = np.random.default_rng(0).random((5, 7, 3), np.float32)
    expected = color.rgb_to_ycbcr(torch.from_numpy(rgb).permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(np.stack([luma(rgb), *chroma(rgb)]), expected, atol=2e-7)
    assert (luma(rgb[..., :1]) == rgb[..., 0]).all()


@given(hnp.arrays(np.float32, (4, 4, 3), elements=UNIT))
def test_a_color_comes_back_from_its_luma_and_chroma(rgb: np.ndarray) -> None:
    np.testing.assert_allclose(merge(luma(rgb), chroma(rgb)), rgb, atol=2e-6)


@given(
    hnp.arrays(np.float32, (3, 3), elements=UNIT),
    hnp.arrays(np.float32, (2, 3, 3), elements=st.floats(-1, 1, width=32)),
)
def test_any_chroma_whatever_gives_a_color_of_this_luma(
    gray: np.ndarray, planes: np.ndarray
) -> None:
    rgb = merge(gray, planes)
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    np.testing.assert_allclose(luma(rgb), gray, atol=2e-6)


def test_outside_the_cube_saturation_gives_way_and_no_more_than_it_must() -> None:
    rng = np.random.default_rng(1)
    gray = rng.random((40, 40), np.float32)
    planes = rng.uniform(-0.6, 0.6, (2, 40, 40)).astype(np.float32)
    rgb = merge(gray, planes)
    space = color.SPACES["ycbcr"]
    expected = color.merge(
        torch.from_numpy(gray)[None, None],
        torch.from_numpy(planes)[None],
        space,
        gamut="desaturate",
    )
    np.testing.assert_allclose(rgb, expected[0].permute(1, 2, 0).numpy(), atol=1e-5)
    outside = np.abs(chroma(rgb) - planes).max(0) > 1e-4
    assert 0.3 < outside.mean() < 1
    on_surface = np.minimum(rgb, 1 - rgb).min(-1) < 1e-5
    assert on_surface[outside].all()
