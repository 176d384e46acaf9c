import numpy as np
import pytest
import torch

from caelab.color import SPACES, luminance
from caelab.errors import InputError
from caelab.models.color_bins import NEIGHBORS, ColorBins, in_cells
from caelab.models.image_model import ImageModel
from caelab.models.targets import BinsTarget, ChromaTarget, RgbTarget

CLEAN = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_rgb_output_undoes_the_normalisation() -> None:
    prediction = RgbTarget(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    raw = (CLEAN - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / torch.tensor(
        [0.5, 0.6, 0.7]
    ).view(1, 3, 1, 1)
    torch.testing.assert_close(prediction.output(raw), CLEAN)
    assert prediction.channels == 3


def test_the_true_chroma_of_ycbcr_on_the_true_luma_is_the_image() -> None:
    prediction = ChromaTarget("ycbcr")
    target = prediction.target(CLEAN)
    assert target.shape == (4, 2, 8, 8)
    torch.testing.assert_close(prediction.image(target, luminance(CLEAN)), CLEAN, rtol=0, atol=1e-5)
    torch.testing.assert_close(prediction.image(target, CLEAN), CLEAN, rtol=0, atol=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_whatever_chroma_is_predicted_the_luma_is_kept(space: str) -> None:
    luma = luminance(CLEAN)
    wild = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 5
    image = ChromaTarget(space).image(wild, luma)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    torch.testing.assert_close(luminance(image), luma, rtol=0, atol=1e-5)


CELLS = tuple((row, column) for row in range(-4, 5) for column in range(-4, 5))


def bins_prediction(space: str = "ycbcr", temperature: float = 0.38) -> BinsTarget:
    near_gray = np.exp(-np.square(CELLS).sum(1) / 8)
    frequencies = tuple((near_gray / near_gray.sum()).tolist())
    return BinsTarget(
        color_space=space,
        bins=ColorBins(
            cells=CELLS, frequencies=frequencies, rebalance=0.5, temperature=temperature
        ),
    )


@pytest.mark.parametrize("space", SPACES)
def test_the_logits_that_fit_best_are_decoded_to_the_color_and_the_given_luma(space: str) -> None:
    prediction = bins_prediction(space, temperature=1.0)
    # Little chroma, with bins all around it: a color beyond the outermost bins is pulled inwards.
    clean = luminance(CLEAN) * 0.5 + 0.25 + (CLEAN - 0.5) * 0.1
    target = prediction.target(clean)
    assert target.shape == (4, 2 * NEIGHBORS, 8, 8)
    classes, shares = target.chunk(2, dim=1)
    logits = torch.full((4, len(CELLS), 8, 8), 1e-9).scatter_(1, classes.long(), shares).log()
    image = prediction.image(logits, clean)
    planes, expected = (
        in_cells(prediction.space.chroma(each), prediction.space) for each in (image, clean)
    )
    assert (planes - expected).abs().mean() < 0.1
    torch.testing.assert_close(luminance(image), luminance(clean), rtol=0, atol=1e-5)


def test_shares_are_weighted_by_the_nearest_bins_rarity() -> None:
    prediction = bins_prediction()
    classes, shares = prediction.target(CLEAN).chunk(2, dim=1)
    torch.testing.assert_close(shares.sum(1), prediction.weights[classes[:, 0].long()])


def test_the_annealed_mean_goes_from_the_mean_to_the_mode() -> None:
    logits = torch.randn(2, len(CELLS), 5, 5, generator=torch.Generator().manual_seed(2))
    for temperature in (1.0, 0.38, 1e-4):
        prediction = bins_prediction(temperature=temperature)
        sharpened = (
            logits.softmax(1) ** (1 / temperature)
            if temperature > 0.1
            else logits == logits.amax(1, True)
        )
        sharpened = sharpened / sharpened.sum(1, keepdim=True)
        expected = torch.einsum("nqhw,qc->nchw", sharpened, prediction.centers)
        torch.testing.assert_close(
            in_cells(prediction.answer(logits), prediction.space), expected, rtol=1e-4, atol=1e-4
        )


def test_variants_of_certain_logits_are_the_answer_and_of_uncertain_ones_differ() -> None:
    prediction = bins_prediction()
    network = torch.nn.Conv2d(1, len(CELLS), 1)
    model = ImageModel(network, mean=(0.0,), std=(1.0,), target=prediction)
    luma = luminance(CLEAN)
    drawn = model.variants(luma, 3, seed=4, temperature=1.0)
    assert drawn.shape == (4, 3, 3, 8, 8)
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    for variant in drawn.unbind(1):
        torch.testing.assert_close(luminance(variant), luma, rtol=0, atol=1e-5)
    assert (drawn[:, 0] - drawn[:, 1]).abs().mean() > 0.02
    certain = prediction.centers.square().sum(1).argmin()
    with torch.no_grad():
        network.bias.fill_(-1e4)[certain] = 1e4  # type: ignore[index]
    planes = in_cells(
        prediction.space.chroma(model.variants(luma, 2).flatten(0, 1)), prediction.space
    )
    assert planes.abs().max() < 0.5 + 1e-4


def test_variants_depend_on_the_seed_and_the_image_alone() -> None:
    model = ImageModel(
        torch.nn.Conv2d(1, len(CELLS), 1), mean=(0.0,), std=(1.0,), target=bins_prediction()
    )
    luma, rows = luminance(CLEAN), np.array([5, 2, 9, 4])
    whole = model.variants(luma, 3, seed=4, rows=rows)
    assert torch.equal(model.variants(luma, 3, seed=4, rows=rows), whole)
    torch.testing.assert_close(model.variants(luma[2:], 2, seed=4, rows=rows[2:]), whole[2:, :2])
    assert not torch.allclose(model.variants(luma, 3, seed=5, rows=rows), whole)


def test_variants_by_a_uniform_model_come_as_often_as_colors_of_the_training_images() -> None:
    prediction = bins_prediction()
    # What minimizes the weighted loss where nothing is known: frequency times weight.
    classes, shares = prediction.target(CLEAN).chunk(2, dim=1)
    logits = (
        torch.zeros(len(CELLS))
        .index_add_(0, classes.long().flatten(), shares.flatten())
        .clamp(min=1e-9)
        .log()
    )
    plain = shares / shares.sum(1, keepdim=True)
    expected = (
        torch.zeros(len(CELLS)).index_add_(0, classes.long().flatten(), plain.flatten())
        / classes[:, 0].numel()
    )
    found = (logits - prediction.weights.log()).softmax(0)
    uncorrected = logits.softmax(0)
    # A pixel's weight is its nearest bin's, and so not quite the others'.
    assert (found - expected).abs().sum() < 0.3 * (uncorrected - expected).abs().sum()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_variants_of_no_temperature_are_said(temperature: float) -> None:
    model = ImageModel(
        torch.nn.Conv2d(1, len(CELLS), 1), mean=(0.0,), std=(1.0,), target=bins_prediction()
    )
    with pytest.raises(InputError, match="must be above 0"):
        model.variants(luminance(CLEAN), 2, temperature=temperature)
