"""The end of a run: the weights folded and saved, the test part measured once, the pictures drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from caelab.experiments.baselines import linear_code_errors
from caelab.experiments.config import RunConfig
from caelab.experiments.environment import peak_memory_bytes
from caelab.experiments.materials import Parts, peak_learning_rate
from caelab.experiments.pictures import ErrorCurve, choose_samples, draw_error, draw_samples
from caelab.experiments.rundir import RunDirectory
from caelab.experiments.weights import ModelCard, save_model
from caelab.files import replacing
from caelab.measuring.metrics import estimates, psnr, reconstruction_errors, summarize_errors
from caelab.networks import Description
from caelab.networks.build import Built, fold_batchnorm
from caelab.training.compose import ImageModel
from caelab.training.pixels import Pixels

SAMPLES = 8
"""Images in each block of ``samples.png``."""


def conclude(
    directory: RunDirectory,
    config: RunConfig,
    description: Description,
    model: ImageModel,
    parts: Parts,
    records: Sequence[dict[str, float]],
    best_epoch: int,
    precision: torch.dtype,
) -> None:
    """Write everything that a finished run leaves; ``result.json`` last.

    Args:
        directory: Where to.
        config: The run.
        description: Of its network.
        model: With the best weights by validation, batch normalisation not yet folded.
        parts: The data.
        records: The rows of ``epochs.csv``.
        best_epoch: The epoch that the weights are from.
        precision: What convolutions compute in.
    """
    assert isinstance(model.network, Built)
    model.network = fold_batchnorm(model.network.eval())
    save_model(directory.weights, model, _card(model, description, parts))

    errors = reconstruction_errors(model, parts.test, precision=precision)
    linear = linear_code_errors(parts, parts.test, description, config)
    with replacing(directory.per_image) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, index=parts.test.rows, mse=errors, psnr=psnr(errors))

    footnote = _footnote(parts)
    title = f"{config.network}, {len(records)} epochs on {parts.source.name}"
    draw_error(
        ErrorCurve(
            title=title,
            records=records,
            best_epoch=best_epoch,
            test_error=float(errors.mean()),
            linear={f"PCA, {size} numbers": float(error.mean()) for size, error in linear.items()},
            footnote=footnote,
        ),
        directory.error,
        directory.error.with_suffix(".png"),
    )
    _draw_samples(directory, model, parts.test, errors, precision, title=title, footnote=footnote)
    result: dict[str, Any] = {
        "network": description.text,
        "code_size": description.code.size if description.code else None,
        "narrowest_size": description.narrowest.size,
        "skip_around_code": description.skip_around_code,
        "weights": description.weights,
        "multiply_accumulates": description.multiply_accumulates,
        "test": summarize_errors(errors),
        "validation_mse": records[best_epoch - 1]["validation_mse"],
        "best_epoch": best_epoch,
        "epochs": len(records),
        "baselines": {f"pca-{size}": summarize_errors(error) for size, error in linear.items()},
        "images": {name: len(getattr(parts, name)) for name in ("train", "validation", "test")},
        "data": parts.source.name,
        "data_note": parts.source.note,
        "normalisation": {"mean": parts.mean, "std": parts.std},
        "peak_learning_rate": peak_learning_rate(config, model.network),
        "seconds": sum(record["seconds"] for record in records),
        "seconds_per_epoch": float(np.median([record["seconds"] for record in records])),
        "peak_memory_bytes": peak_memory_bytes(),
    }
    directory.write(directory.result, result)


def _card(model: ImageModel, description: Description, parts: Parts) -> ModelCard:
    return ModelCard(
        network=description.text,
        channels=parts.train.shape[0],
        size=parts.train.shape[1],
        mean=parts.mean,
        std=parts.std,
        logits=model.logits,
        data=parts.source.name,
    )


def _draw_samples(
    directory: RunDirectory,
    model: ImageModel,
    test: Pixels,
    errors: np.ndarray,
    precision: torch.dtype,
    *,
    title: str,
    footnote: str,
) -> None:
    chosen = choose_samples(errors, min(SAMPLES, len(errors)))
    pairs = list(estimates(model, test.at(chosen.ravel()), batch=chosen.size, precision=precision))
    estimate, original = (part.float().cpu().numpy().reshape(*chosen.shape, *test.shape) for part in pairs[0])
    draw_samples(
        directory.samples,
        originals=original,
        estimates=estimate,
        errors=errors[chosen],
        labels=("smallest errors of the test images", "median", "largest errors"),
        title=f"{title}: test MSE {errors.mean():.5f}",
        footnote=footnote,
    )


def _footnote(parts: Parts) -> str:
    counts = f"{len(parts.train)} training, {len(parts.validation)} validation, {len(parts.test)} test images"
    note = f" · {parts.source.note}" if parts.source.note else ""
    return f"{parts.source.name}: {counts}{note}"
