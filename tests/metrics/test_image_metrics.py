import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from caelab.color import SPACES
from caelab.metrics.image_metrics import (
    METRICS,
    chroma_squared_error,
    ciede2000,
    color_accuracy,
    colorfulness,
    measure,
)


def pair(channels: int = 3, size: tuple[int, int] = (16, 13)) -> tuple[Tensor, Tensor]:
    """Return estimates from nearly right to wild, and their targets."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(6, channels, *size, generator=generator)
    noise = (
        torch.randn(target.shape, generator=generator)
        * torch.tensor([0.01, 0.05, 0.1, 0.2, 0.4, 1])[:, None, None, None]
    )
    return (target + noise).clamp(0, 1), target


@pytest.mark.parametrize("channels", [1, 3])
def test_errors_are_scikit_images(channels: int) -> None:
    estimate, target = pair(channels)
    given = measure(estimate, target)
    for index, images in enumerate(
        zip(target.double().numpy(), estimate.double().numpy(), strict=True)
    ):
        assert given["mse"][index] == pytest.approx(mean_squared_error(*images), rel=1e-5)
        assert given["psnr"][index] == pytest.approx(
            peak_signal_noise_ratio(*images, data_range=1), rel=1e-5
        )
        assert given["mae"][index] == pytest.approx(
            100 * np.abs(images[0] - images[1]).mean(), rel=1e-5
        )
        expected = structural_similarity(
            *images,
            channel_axis=0,
            data_range=1,
            gaussian_weights=True,
            use_sample_covariance=False,
        )
        assert given["ssim"][index] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_contract_one_value_an_image_whatever_the_batch(name: str) -> None:
    estimate, target = pair()
    whole = measure(estimate, target, [name])[name]
    assert whole.shape == (6,)
    assert whole.dtype == np.float64
    for index in (0, 5):
        alone = measure(estimate[index : index + 1], target[index : index + 1], [name])[name]
        assert alone[0] == pytest.approx(whole[index], rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_contract_the_truth_is_best_and_more_noise_is_worse(name: str) -> None:
    estimate, target = pair()
    values = np.append(
        measure(target, target, [name])[name][0], measure(estimate, target, [name])[name]
    )
    better = METRICS[name].better
    if better == "nearer":
        assert abs(values[1] - values[0]) < abs(values[-1] - values[0])
    else:
        np.testing.assert_array_equal(values, sorted(values, reverse=better == "higher"))


def test_the_truth_has_the_values_of_no_error() -> None:
    _, target = pair()
    values = {
        name: value[0] for name, value in measure(target, target).items() if name != "colorfulness"
    }
    assert values == pytest.approx(
        {
            "mse": 0,
            "psnr": np.inf,
            "ssim": 1,
            "mae": 0,
            "chroma_mse": 0,
            "ciede2000": 0,
            "accuracy2": 100,
            "accuracy5": 100,
        }
    )


def test_images_of_one_channel_have_no_metrics_of_color() -> None:
    assert list(measure(*pair(channels=1))) == ["mse", "psnr", "ssim", "mae"]


def test_similarity_of_images_smaller_than_its_window_is_not_a_number() -> None:
    assert np.isnan(measure(*pair(size=(16, 10)))["ssim"]).all()
    assert np.isfinite(measure(*pair(size=(11, 11)))["ssim"]).all()


def test_measuring_computes_no_gradient() -> None:
    estimate, target = pair()
    assert measure(estimate.requires_grad_(), target, ["mse", "ciede2000"])["mse"].shape == (6,)


# Color


SHARMA = (  # of the 34 pairs of Sharma, Wu and Dalal 2005, those that tell implementations apart
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.9257, -0.5406, -0.9208), (88.6381, -0.8985, -0.7239), 1.5381),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
)


def pictures(seed: int, count: int = 5) -> Tensor:
    return torch.rand(count, 3, 8, 6, generator=torch.Generator().manual_seed(seed))


def of_one_color(*colors: tuple[float, float, float]) -> Tensor:
    """Return images of 2 × 2 equal pixels, ``float64 (N, 3, 2, 2)``."""
    return torch.tensor(colors, dtype=torch.float64)[:, :, None, None].expand(-1, -1, 2, 2)


def test_ciede2000_is_that_of_the_published_pairs() -> None:
    first, second, stated = zip(*SHARMA, strict=True)
    differences = ciede2000(of_one_color(*first), of_one_color(*second))
    torch.testing.assert_close(
        differences, torch.tensor(stated, dtype=torch.float64), rtol=0, atol=1e-4
    )


def test_accuracy_is_that_of_its_definition_pixel_by_pixel() -> None:
    images = pictures(0)
    near = (
        images + 0.05 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    ).clamp(0, 1)
    lab = [SPACES["lab"].from_rgb(each.double()) for each in (near, images)]
    for tolerance in (2, 5):
        given = color_accuracy(*lab, tolerance=tolerance)
        for result, *pair in zip(given, near.double(), images.double(), strict=True):
            first, second = (np.rint(rgb2lab(each.movedim(0, -1).numpy())) for each in pair)
            counted = [
                abs(a[0] - b[0]) <= tolerance and max(abs(a[1:] - b[1:])) <= 2.2 * tolerance
                for a, b in zip(first.reshape(-1, 3), second.reshape(-1, 3), strict=True)
            ]
            assert 0 < sum(counted) < 48
            assert float(result) == pytest.approx(100 * sum(counted) / 48)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ((5.4, 0, 0), True),
        ((5.6, 0, 0), False),
        ((0, 11.4, 0), True),
        ((0, 11.6, 0), False),
        ((0, 0, -11.6), False),
    ],
)
def test_accuracy_rounds_first_and_gives_lightness_and_chroma_limits_of_their_own(
    change: tuple[float, float, float], counts: bool
) -> None:
    accuracy = color_accuracy(of_one_color(change), of_one_color((0, 0, 0)), tolerance=5)
    assert accuracy.tolist() == [100.0 if counts else 0.0]


def test_colorfulness_is_that_of_the_paper() -> None:
    images = pictures(2)
    for image, given in zip(255 * images.double().numpy(), colorfulness(images), strict=True):
        red, green, blue = image
        rg, yb = red - green, 0.5 * (red + green) - blue
        expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
        assert float(given) == pytest.approx(expected, rel=1e-5)


def test_gray_has_no_colorfulness_and_one_color_only_that_of_its_mean() -> None:
    assert colorfulness(of_one_color((0.3, 0.3, 0.3), (1, 0, 0))).tolist() == pytest.approx(
        [0, 0.3 * 255 * 1.25**0.5], abs=1e-9
    )


def test_the_chroma_error_of_a_gray_copy_is_the_mean_square_of_the_chroma() -> None:
    ycbcr = SPACES["ycbcr"].from_rgb(pictures(3))
    gray = ycbcr * torch.tensor([0.2, 0, 0]).view(1, 3, 1, 1)  # the luma does not matter
    torch.testing.assert_close(
        chroma_squared_error(gray, ycbcr), ycbcr[:, 1:].square().mean((1, 2, 3))
    )
