import itertools
from math import isnan

import numpy as np
import pytest
import torch

from caelab.data.device_images import DeviceImages
from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError
from caelab.metrics.diversity import best_of, measure_variants, pairwise_difference, variant_errors
from caelab.metrics.evaluate import squared_errors
from caelab.metrics.image_metrics import colorfulness
from caelab.models.color_bins import ColorBins
from caelab.models.image_model import ImageModel
from caelab.models.inference import restoring
from caelab.models.targets import BinsTarget, ChromaTarget, PredictionTarget
from caelab.networks.build import build
from caelab.networks.parser import parse

VARIANTS = torch.rand(
    3, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64
)
TARGET = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
GRAY = parse_degradation("gray")
PIXELS = DeviceImages.of(
    np.random.default_rng(0).integers(0, 256, (10, 3, 8, 8), dtype=np.uint8),
    np.array([7, 3, 1, 9, 0, 2]),
    device=torch.device("cpu"),
)


def model(prediction: PredictionTarget) -> ImageModel:
    network = build(
        parse(f"conv4 dropout0.5 conv{prediction.channels}"),
        channels=1,
        generator=torch.Generator().manual_seed(2),
    )
    return ImageModel(network, mean=(0.5,), std=(0.2,), target=prediction)


@pytest.fixture
def painter() -> ImageModel:
    cells = tuple((row, column) for row in range(-2, 3) for column in range(-2, 3))
    return model(
        BinsTarget(
            color_space="ycbcr",
            bins=ColorBins(
                cells=cells, frequencies=(1 / 25,) * 25, rebalance=0.5, temperature=0.38
            ),
        )
    )


def test_the_difference_is_the_mean_over_all_pairs() -> None:
    pairs = itertools.combinations(range(5), 2)
    expected = np.mean(
        [(VARIANTS[:, i] - VARIANTS[:, j]).square().mean((1, 2, 3)).numpy() for i, j in pairs],
        axis=0,
    )
    np.testing.assert_allclose(pairwise_difference(VARIANTS), expected)
    assert pairwise_difference(VARIANTS[:, :1].expand(-1, 4, -1, -1, -1)).abs().max() == 0
    assert isnan(pairwise_difference(VARIANTS[:, :1])[0])


def test_the_best_of_some_is_the_mean_over_all_choices() -> None:
    errors = variant_errors(VARIANTS, TARGET)
    np.testing.assert_allclose(
        errors[1, 3], np.mean((VARIANTS[1, 3].numpy() - TARGET[1].numpy()) ** 2)
    )
    best = best_of(errors)
    for chosen in range(1, 6):
        choices = [
            errors[:, list(some)].amin(1) for some in itertools.combinations(range(5), chosen)
        ]
        np.testing.assert_allclose(best[:, chosen - 1], torch.stack(choices).mean(0))


def test_draws_from_the_truths_distribution_differ_as_much_as_they_err() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.randn(400, 3, 8, 8, generator=generator)
    draws = torch.randn(400, 6, 3, 8, 8, generator=generator)
    assert pairwise_difference(draws).mean() == pytest.approx(2, rel=0.01)
    assert variant_errors(draws, truth).mean() == pytest.approx(2, rel=0.01)


def test_what_is_measured_is_what_the_model_gives(painter: ImageModel) -> None:
    painter.train()
    measured = measure_variants(painter, PIXELS, GRAY, count=3, temperature=0.8, seed=5)
    assert painter.training
    with restoring(painter) as restore:
        np.testing.assert_allclose(
            measured["mse"], squared_errors(restore, PIXELS, degradation=GRAY)
        )
    painter.eval()
    target = PIXELS.batch(slice(0, 6))
    given = 0.299 * target[:, :1] + 0.587 * target[:, 1:2] + 0.114 * target[:, 2:]
    variants = painter.variants(given, 3, seed=5, temperature=0.8, rows=PIXELS.rows)
    errors = variant_errors(variants, target).double()
    np.testing.assert_allclose(measured["diversity"], pairwise_difference(variants), rtol=1e-4)
    np.testing.assert_allclose(measured["best_of_1_mse"], errors.mean(1), rtol=1e-4)
    np.testing.assert_allclose(measured["best_of_3_mse"], errors.amin(1), rtol=1e-4)
    colorful = [colorfulness(variants[:, number]) for number in range(3)]
    np.testing.assert_allclose(measured["colorfulness"], torch.stack(colorful).mean(0), rtol=1e-4)
    best = {f"best_of_{count}_mse" for count in (1, 2, 3)}
    assert set(measured) == {"mse", "mean_mse", "diversity", "colorfulness"} | best


def test_the_result_does_not_depend_on_the_batch(painter: ImageModel) -> None:
    whole = measure_variants(painter, PIXELS, GRAY, count=2, temperature=1.0)
    parts = measure_variants(painter, PIXELS, GRAY, count=2, temperature=1.0, batch_size=4)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, rtol=1e-4, err_msg=name)


def test_a_model_with_one_answer_is_said() -> None:
    with pytest.raises(InputError, match="variants need a model with the target bins"):
        measure_variants(model(ChromaTarget("lab")), PIXELS, GRAY, count=2, temperature=1.0)
