import pytest
import torch

from caelab.color import SPACES, luminance
from caelab.training.predictions import ChromaPrediction, RgbPrediction

CLEAN = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_rgb_output_undoes_the_normalisation() -> None:
    prediction = RgbPrediction(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    raw = (CLEAN - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / torch.tensor([0.5, 0.6, 0.7]).view(1, 3, 1, 1)
    torch.testing.assert_close(prediction.output(raw), CLEAN)
    assert prediction.channels == 3


def test_the_true_chroma_of_ycbcr_on_the_true_luma_is_the_image() -> None:
    prediction = ChromaPrediction(space="ycbcr")
    target = prediction.target(CLEAN)
    assert target.shape == (4, 2, 8, 8)
    torch.testing.assert_close(prediction.image(target, luminance(CLEAN)), CLEAN, rtol=0, atol=1e-5)
    torch.testing.assert_close(prediction.image(target, CLEAN), CLEAN, rtol=0, atol=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_whatever_chroma_is_predicted_the_luma_is_kept(space: str) -> None:
    luma = luminance(CLEAN)
    wild = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 5
    image = ChromaPrediction(space=space).image(wild, luma)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    torch.testing.assert_close(luminance(image), luma, rtol=0, atol=1e-5)
