import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from caelab.metrics.image_metrics import METRICS, measure


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
