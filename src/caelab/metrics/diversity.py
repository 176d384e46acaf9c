"""Several answers to one input: how much they differ, and how good the best of them is.

Differences are squared and averaged over pixels and channels of [0, 1], as in the MSE. Answers
drawn from the truth's own distribution differ from each other as much as from the truth, and both
differences are on average twice the MSE of the answers' mean. Less diversity than error means that
a model is more certain than it should be.
"""

from math import comb, nan

import numpy as np
import torch
from torch import Tensor

from caelab.data.device_images import DeviceImages
from caelab.degrade.degradation import Degradation
from caelab.metrics.evaluate import EVALUATION_SEED, estimates, join_batches
from caelab.metrics.image_metrics import colorfulness, squared_error
from caelab.models.image_model import ImageModel
from caelab.models.inference import restoring


def pairwise_difference(variants: Tensor) -> Tensor:
    """Return the mean squared difference over all pairs of an image's variants.

    Args:
        variants: Images ``(N, K, C, H, W)`` in [0, 1].

    Returns:
        Differences ``(N,)``; NaN if K is 1.

    >>> pairwise_difference(torch.tensor([0.0, 0.5]).view(1, 2, 1, 1, 1))
    tensor([0.2500])
    """
    if variants.shape[1] < 2:
        return variants.new_full((len(variants),), nan)
    # The mean over the K(K − 1)/2 pairs is twice the unbiased variance: no loop over pairs.
    return 2 * variants.var(dim=1).flatten(1).mean(1)


def variant_errors(variants: Tensor, target: Tensor) -> Tensor:
    """Return each variant's mean squared error.

    Args:
        variants: Images ``(N, K, C, H, W)`` in [0, 1].
        target: The true images, ``(N, C, H, W)``.

    Returns:
        Errors ``(N, K)``.
    """
    return (variants - target.unsqueeze(1)).square().flatten(2).mean(2)


def best_of(errors: Tensor) -> Tensor:
    """Return the expected error of the best of 1, 2, … K variants drawn from K.

    Args:
        errors: Errors of the variants, ``float64 (N, K)``.

    Returns:
        Expected errors ``float64 (N, K)``; the first column is the mean error.

    >>> best_of(torch.tensor([[3.0, 1.0]]))
    tensor([[2., 1.]])
    """
    count = errors.shape[1]
    # The mean over all choices of k of the K variants, without bias and without listing them: the
    # j-th smallest error is the best of C(K − j, k − 1) of the C(K, k) choices.
    shares = [
        [comb(count - rank, chosen - 1) / comb(count, chosen) for chosen in range(1, count + 1)]
        for rank in range(1, count + 1)
    ]
    return errors.sort(dim=1).values @ torch.tensor(shares).to(errors)


def measure_variants(
    model: ImageModel,
    pixels: DeviceImages,
    degradation: Degradation,
    *,
    count: int,
    temperature: float,
    seed: int = EVALUATION_SEED,
    batch_size: int = 128,
) -> dict[str, np.ndarray]:
    """Return the metrics of a model's variants of each image.

    Args:
        model: A model that predicts a distribution over color bins.
        pixels: Clean images ``(N, C, H, W)``.
        degradation: Degradation of the images before the model restores them.
        count: Number of variants of each image.
        temperature: Temperature of the draws; see ``ImageModel.variants``.
        seed: Seed of the draws.
        batch_size: Images at a time; the result does not depend on it.

    Returns:
        ``float64 (N,)`` by name: ``mse`` of the model's single answer, ``mean_mse`` of the
        variants' mean, ``diversity`` (see :func:`pairwise_difference`), ``colorfulness``, the
        variants' mean, and ``best_of_1_mse`` to ``best_of_{count}_mse`` (see :func:`best_of`).

    Raises:
        InputError: The model predicts no distribution, or the temperature is not positive.
    """
    batches = []
    with restoring(model) as restore:
        restored = estimates(restore, pixels, degradation=degradation, batch_size=batch_size)
        for rows, each in zip(pixels.batches(batch_size), restored, strict=True):
            variants = model.variants(
                each.degraded, count, seed=seed, temperature=temperature, rows=pixels.rows[rows]
            )
            best = best_of(variant_errors(variants, each.target).double())
            values = {
                "mse": squared_error(each.estimate, each.target),
                "mean_mse": squared_error(variants.mean(1), each.target),
                "diversity": pairwise_difference(variants),
                "colorfulness": colorfulness(variants.flatten(0, 1)).view(-1, count).mean(1),
                **{f"best_of_{k + 1}_mse": best[:, k] for k in range(count)},
            }
            batches.append({name: each.double().cpu().numpy() for name, each in values.items()})
    return join_batches(batches)
