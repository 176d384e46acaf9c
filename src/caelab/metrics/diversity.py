"""Several answers to one question: how much they differ, and how good the best of them is.

Differences are squared, over pixels and channels of [0, 1], as in the MSE. Answers that are drawn
from the truth's own distribution differ from each other as much as from the truth, and on average
both are twice the MSE of their mean: less diversity than error means that a model is surer than it
ought to be.
"""

from math import comb, nan

import numpy as np
import torch
from torch import Tensor

from caelab.data.pixels import Pixels
from caelab.degrade.degradation import Degradation
from caelab.device import autocast
from caelab.metrics.color_difference import colorfulness
from caelab.metrics.image_errors import EVALUATION_SEED, estimates, restoring, squared_error
from caelab.models.image_model import ImageModel


def pairwise_difference(variants: Tensor) -> Tensor:
    """Return the mean squared difference over all pairs of an image's variants, ``(N, K, C, H, W)``
    → ``(N,)``.

    Of K variants there are K(K − 1)/2 pairs; their mean is 2K/(K − 1) times the variants' variance
    about their mean. NaN where there is one variant only.
    """
    if variants.shape[1] < 2:
        return variants.new_full((len(variants),), nan)
    return 2 * variants.var(dim=1).flatten(1).mean(1)


def variant_errors(variants: Tensor, target: Tensor) -> Tensor:
    """Return each variant's mean squared error: ``(N, K, C, H, W)`` and ``(N, C, H, W)`` → ``(N,
    K)``.
    """
    return (variants - target.unsqueeze(1)).square().flatten(2).mean(2)


def best_of(errors: Tensor) -> Tensor:
    """Return the error to be expected of the best of 1, 2, … K variants, ``float64 (N, K)`` → the
    same.

    The mean over all choices of k among the K: the j-th smallest is the best of C(K − j, k − 1) of
    the C(K, k) choices.
    """
    count = errors.shape[1]
    shares = [
        [comb(count - place, chosen - 1) / comb(count, chosen) for chosen in range(1, count + 1)]
        for place in range(1, count + 1)
    ]
    return errors.sort(dim=1).values @ torch.tensor(shares).to(errors)


def measure_variants(
    model: ImageModel,
    pixels: Pixels,
    degradation: Degradation,
    *,
    count: int,
    temperature: float,
    seed: int = EVALUATION_SEED,
    batch: int = 128,
    precision: torch.dtype = torch.float32,
) -> dict[str, np.ndarray]:
    """Return what a model's variants of each image are worth, ``float64 (N,)`` by name.

    ``mse`` is the error of the model's one answer, beside which the others stand; ``mean_mse`` that
    of the variants' mean; ``best_of_1_mse`` the mean of the variants' errors, and ``best_of_2_mse``
    and so on up to ``count`` see :func:`best_of`; ``diversity`` see :func:`pairwise_difference`;
    ``colorfulness`` is the variants' mean.

    Args:
        model: With ``--predict bins``.
        pixels: The images to be measured.
        degradation: What is done to them.
        count: Variants of each.
        temperature: See ``ImageModel.variants``.
        seed: Of the variants.
        batch: Images at a time; the result does not depend on it.
        precision: What convolutions compute in.

    Raises:
        InputError: The model's prediction is no distribution, or the temperature is not above 0.
    """
    measured: list[Tensor] = []
    with restoring(model, precision) as restore:
        made = estimates(restore, pixels, degradation=degradation, batch=batch)
        for chosen, each in zip(pixels.batches(batch), made, strict=True):
            with autocast(each.given.device, precision):
                variants = model.variants(
                    each.given, count, seed=seed, temperature=temperature, rows=pixels.rows[chosen]
                )
            columns = [
                squared_error(each.estimate, each.target).unsqueeze(1),
                squared_error(variants.mean(1), each.target).unsqueeze(1),
                pairwise_difference(variants).unsqueeze(1),
                colorfulness(variants.flatten(0, 1)).view(-1, count).mean(1, keepdim=True),
                best_of(variant_errors(variants, each.target).double()),
            ]
            measured.append(torch.cat(columns, dim=1).double().cpu())
    names = [
        "mse",
        "mean_mse",
        "diversity",
        "colorfulness",
        *(f"best_of_{k}_mse" for k in range(1, count + 1)),
    ]
    return dict(zip(names, torch.cat(measured).numpy().T, strict=True))
