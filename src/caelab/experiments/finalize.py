"""The end of a run: the weights folded and saved, the test part measured once, the pictures
drawn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caelab.baselines.measure import measure_baselines
from caelab.data.device_images import DeviceImages
from caelab.degrade.degradation import Degradation, parse_degradation
from caelab.experiments.config import RunConfig
from caelab.experiments.peak_memory import peak_memory_bytes
from caelab.experiments.run_directory import RunDirectory
from caelab.experiments.run_figures import ErrorCurve, choose_samples, draw_error, draw_samples
from caelab.experiments.setup import Parts, make_card
from caelab.files import replacing
from caelab.metrics.evaluate import estimates, measure_restored
from caelab.metrics.summary import psnr, summarize_errors
from caelab.models.image_model import ImageModel
from caelab.models.inference import restoring
from caelab.models.weights_file import save_model
from caelab.networks import Description
from caelab.networks.build import fold_batchnorm
from caelab.networks.network_module import NetworkModule
from caelab.training.optimizers import peak_learning_rate

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
    assert isinstance(model.network, NetworkModule)
    model.network = fold_batchnorm(model.network.eval())
    card = make_card(config, description, parts)
    save_model(directory.weights, model, card)

    degradation = parse_degradation(card.degradation)
    with restoring(model, precision) as restore:
        measures = measure_restored(restore, parts.test, degradation)
    errors = measures["mse"]
    baselines = measure_baselines(
        parts.train, parts.validation, parts.test, degradation, description
    )
    with replacing(directory.per_image) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {"index": parts.test.rows, "psnr": psnr(errors), **measures}
        np.savez_compressed(file, **arrays)

    footnote = _footnote(parts)
    title = f"{config.network_name}, {len(records)} epochs on {parts.source.name}"
    draw_error(
        ErrorCurve(
            title=title,
            records=records,
            best_epoch=best_epoch,
            test_error=float(errors.mean()),
            baselines={name: float(each["mse"].mean()) for name, each in baselines.items()},
            footnote=footnote,
        ),
        directory.error,
        directory.error.with_suffix(".png"),
    )
    _draw_samples(
        directory, model, parts.test, degradation, errors, precision, title=title, footnote=footnote
    )
    result: dict[str, Any] = {
        "network": description.text,
        "code_size": description.code.size if description.code else None,
        "narrowest_size": description.narrowest.size,
        "skip_around_code": description.skip_around_code,
        "weights": description.weights,
        "multiply_accumulates": description.multiply_accumulates,
        "degradation": card.degradation,
        "target": card.target,
        "test": summarize_errors(**measures),
        "validation_mse": records[best_epoch - 1]["validation_mse"],
        "best_epoch": best_epoch,
        "epochs": len(records),
        "baselines": {name: summarize_errors(**each) for name, each in baselines.items()},
        "images": {name: len(getattr(parts, name)) for name in ("train", "validation", "test")},
        "data": parts.source.name,
        "data_note": parts.source.note,
        "normalization": {"mean": parts.mean, "std": parts.std},
        "peak_learning_rate": peak_learning_rate(config.optimizer, model.network),
        "seconds": sum(record["seconds"] for record in records),
        "seconds_per_epoch": float(np.median([record["seconds"] for record in records])),
        "peak_memory_bytes": peak_memory_bytes(),
    }
    directory.write(directory.result, result)


def _draw_samples(
    directory: RunDirectory,
    model: ImageModel,
    test: DeviceImages,
    degradation: Degradation,
    errors: np.ndarray,
    precision: torch.dtype,
    *,
    title: str,
    footnote: str,
) -> None:
    chosen = choose_samples(errors, min(SAMPLES, len(errors)))
    with restoring(model, precision) as restore:
        (made,) = estimates(
            restore, test.at(chosen.ravel()), degradation=degradation, batch_size=chosen.size
        )

    def blocks(images: Tensor) -> np.ndarray:
        return images.float().cpu().numpy().reshape(*chosen.shape, *images.shape[1:])

    rows = {"original": blocks(made.target), "network": blocks(made.estimate)}
    if degradation.steps:
        rows = {"given": blocks(made.degraded.clamp(0, 1)), **rows}
    draw_samples(
        directory.samples,
        rows=rows,
        errors=errors[chosen],
        labels=("smallest errors of the test images", "median", "largest errors"),
        title=f"{title}: test MSE {errors.mean():.5f}",
        footnote=footnote,
    )


def _footnote(parts: Parts) -> str:
    counts = (
        f"{len(parts.train)} training, {len(parts.validation)} validation, {len(parts.test)} test"
        " images"
    )
    note = f" · {parts.source.note}" if parts.source.note else ""
    return f"{parts.source.name}: {counts}{note}"
