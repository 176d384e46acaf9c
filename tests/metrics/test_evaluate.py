import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio
from torch import nn

from caelab.data.device_images import DeviceImages
from caelab.metrics.evaluate import squared_errors
from caelab.metrics.summary import psnr, summarize_errors
from caelab.models.image_model import ImageModel
from caelab.models.inference import restoring
from caelab.models.targets import RgbTarget

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)


class Shift(nn.Module):
    """Adds a constant that pushes some pixels out of [0, 1]."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + 0.3


def model() -> ImageModel:
    usual = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    return ImageModel(Shift(), target=RgbTarget(**usual), **usual)


def test_errors_are_scikit_images_on_clipped_pixels() -> None:
    pixels = DeviceImages.of(IMAGES, np.arange(30), device=torch.device("cpu"))
    with restoring(model()) as restore:
        errors = squared_errors(restore, pixels, batch_size=7)
    for image, error in zip(IMAGES / 255, errors, strict=True):
        estimate = np.clip(image + 0.3, 0, 1)
        assert error == pytest.approx(mean_squared_error(image, estimate), rel=1e-5)
        assert psnr(error) == pytest.approx(
            peak_signal_noise_ratio(image, estimate, data_range=1), rel=1e-5
        )


def test_the_model_is_left_in_its_mode() -> None:
    shift = model().train()
    with restoring(shift):
        assert not shift.training
    assert shift.training


def test_summary_tells_both_averages_apart() -> None:
    summary = summarize_errors(np.array([0.01, 0.0001]))
    assert summary == pytest.approx(
        {"mse": 0.00505, "psnr": 30.0, "psnr_of_mean": 22.967, "n": 2}, rel=1e-4
    )
    assert summary["psnr"] >= summary["psnr_of_mean"]


def test_a_perfect_image_has_infinite_psnr() -> None:
    assert psnr(np.array([0.0]))[0] == np.inf
    assert summarize_errors(np.zeros(2))["psnr_of_mean"] == np.inf
