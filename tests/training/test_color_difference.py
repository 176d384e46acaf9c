import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor

from caelab.training.color_difference import color_difference, fourth_of_pixels, squared_ciede2000


def image_of(colors: np.ndarray) -> Tensor:
    """Return the colors ``(K, 3)`` as one row of pixels, ``float64 (1, 3, 1, K)``."""
    return torch.from_numpy(colors.T[None, :, None].copy())


def pairs(seed: int, count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Return colors of Lab twice, hardly different and very different ones."""
    random = np.random.default_rng(seed)
    first = random.normal((50, 0, 0), (20, 35, 35), (count, 3))
    return first, first + random.normal(size=(count, 3)) * 10 ** random.uniform(-3, 2, (count, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_published_difference(dtype: torch.dtype) -> None:
    first, second = pairs(0)
    found = (
        squared_ciede2000(image_of(first).to(dtype), image_of(second).to(dtype)).clamp(min=0).sqrt()
    )
    np.testing.assert_allclose(
        found.numpy().ravel(), deltaE_ciede2000(first, second), atol=2e-2, rtol=1e-4
    )


@pytest.mark.parametrize("grays", [(True, False), (False, True), (True, True)])
def test_it_is_so_for_gray(grays: tuple[bool, bool]) -> None:
    colors = pairs(1)
    for gray, some in zip(grays, colors, strict=True):
        some[:, 1:] *= not gray
    found = squared_ciede2000(image_of(colors[0]), image_of(colors[1])).clamp(min=0).sqrt()
    np.testing.assert_allclose(found.numpy().ravel(), deltaE_ciede2000(*colors), atol=0.1)


def test_a_difference_counts_absolutely_and_a_small_one_squared() -> None:
    random = np.random.default_rng(2)
    target = torch.from_numpy(random.uniform(0.2, 0.8, (4, 3, 5, 5)))
    for size, power in ((1e-4, 2), (0.2, 1)):
        change = size * torch.from_numpy(random.choice([-1.0, 1.0], target.shape))
        lab = [rgb2lab(some.movedim(1, -1).numpy()) for some in (target + change, target)]
        expected = np.hypot(deltaE_ciede2000(*lab), 1).mean() - 1
        assert float(color_difference(target + change, target)) == pytest.approx(expected, rel=1e-2)
        ratio = color_difference(target + change / 2, target) / color_difference(
            target + change, target
        )
        assert float(ratio) == pytest.approx(2**-power, rel=0.2)


@given(
    st.lists(
        st.tuples(*[st.sampled_from([0.0, 1e-6, 0.5, 0.500001, 1.0])] * 6), min_size=1, max_size=8
    ),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_every_pair_of_colors_has_a_gradient(
    colors: list[tuple[float, ...]], dtype: torch.dtype
) -> None:
    estimate, target = torch.tensor(colors, dtype=dtype).T[None, :, None].split(3, dim=1)
    estimate.requires_grad_()
    (gradient,) = torch.autograd.grad(color_difference(estimate, target), estimate)
    assert gradient.isfinite().all()


def test_descending_ends_at_the_target() -> None:
    target = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    estimate = torch.full_like(target, 0.5).requires_grad_()
    descent = torch.optim.Adam([estimate], lr=0.02)
    for step in range(300):
        descent.param_groups[0]["lr"] = 0.02 * (1 - step / 300)
        descent.zero_grad()
        loss = color_difference(estimate, target)
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step()
    assert float(loss.detach()) < 0.01
    assert float((estimate.detach() - target).abs().max()) < 0.02


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (2, 2)])
def test_four_steps_see_every_pixel_once(height: int, width: int) -> None:
    images = torch.arange(2.0 * 3 * height * width).view(2, 3, height, width)
    seen = torch.cat([fourth_of_pixels(images, step).flatten() for step in range(5, 9)])
    assert torch.equal(seen.sort().values, images.flatten())


def test_an_image_of_one_row_is_seen_too() -> None:
    images = torch.rand(2, 3, 1, 4)
    assert all(
        torch.equal(fourth_of_pixels(images, step), images[..., step % 2 :: 2]) for step in range(4)
    )
