"""Finish a run: save the model, measure it on the test images once, and draw the pictures."""

from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from caelab.baselines.measure import measure_baselines
from caelab.experiments.environment import peak_memory_bytes
from caelab.experiments.run_directory import BestCheckpoint, RunDirectory
from caelab.experiments.run_figures import choose_samples, draw_error, draw_samples
from caelab.experiments.setup import RunContext
from caelab.files import replacing
from caelab.metrics.evaluate import estimates, measure_restored
from caelab.metrics.summary import psnr, summarize_errors
from caelab.models.image_model import ImageModel
from caelab.models.inference import restoring
from caelab.models.weights_file import save_model
from caelab.networks.build import fold_batchnorm
from caelab.networks.network_module import NetworkModule
from caelab.training.optimizers import peak_learning_rate

Errors = dict[str, np.ndarray]
"""Value of each metric for every test image, ``(N,)``, by the metric's name."""

SAMPLES = 8
"""Number of images in each block of ``samples.png``."""


def finalize(
    directory: RunDirectory, context: RunContext, model: ImageModel, best: BestCheckpoint
) -> None:
    """Write the files of a finished run: weights, errors and pictures, and ``result.json`` last.

    Args:
        directory: The run directory.
        context: Configuration, network and data of the run.
        model: Model with the weights of the best epoch. Batch normalization is folded here.
        best: Errors of all epochs, and which epoch was the best.
    """
    config, splits = context.config, context.splits
    assert isinstance(model.network, NetworkModule)
    # Folded before the test images are measured, so that the errors are those of the saved weights.
    model.network = fold_batchnorm(model.network.eval())
    save_model(directory.weights, model, context.card)
    baselines = measure_baselines(
        splits.train, splits.validation, splits.test, config.degradation, context.description
    )
    title = f"{config.network_name}, {len(best.records)} epochs on {splits.source.name}"
    parts = ", ".join(f"{count} {name}" for name, count in splits.counts.items())
    notes = (f"{splits.source.name}: {parts} images", splits.source.note)
    footnote = " · ".join(filter(None, notes))
    with restoring(model, context.precision) as restore:
        metrics = measure_restored(restore, splits.test, config.degradation)
        shown = choose_samples(metrics["mse"], SAMPLES)
        samples = estimates(
            restore,
            splits.test.at(shown.ravel()),
            degradation=config.degradation,
            batch_size=shown.shape[1],
        )
        draw_samples(
            directory.samples,
            samples,
            show_input=bool(config.degradation.steps),
            title=f"{title}: test MSE {metrics['mse'].mean():.5f}",
            footnote=footnote,
        )
    with replacing(directory.per_image) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {"index": splits.test.rows, "psnr": psnr(metrics["mse"])}
        np.savez_compressed(file, **(arrays | metrics))
    result = _result(context, model, best, metrics, baselines)
    draw_error(
        directory.error,
        directory.error.with_suffix(".png"),
        title=title,
        records=best.records,
        result=result,
        footnote=footnote,
    )
    # Written last: its existence means that all other files are complete.
    directory.write(directory.result, result)


def _result(
    context: RunContext,
    model: ImageModel,
    best: BestCheckpoint,
    metrics: Errors,
    baselines: Mapping[str, Errors],
) -> dict[str, Any]:
    """Return the content of ``result.json``."""
    description, card, splits = context.description, context.card, context.splits
    # The median, because the first epoch also compiles programs and fills caches.
    seconds = [record["seconds"] for record in best.records]
    return {
        "network": description.text,
        "code_size": description.code_size,
        "narrowest_size": description.narrowest.size,
        "skip_around_code": description.skip_around_code,
        "weights": description.weights,
        "multiply_accumulates": description.multiply_accumulates,
        "degradation": card.degradation,
        "target": card.target,
        "test": summarize_errors(**metrics),
        "validation_mse": best.error,
        "best_epoch": best.epoch,
        "epochs": len(best.records),
        "baselines": {name: summarize_errors(**each) for name, each in baselines.items()},
        "images": splits.counts,
        "data": splits.source.name,
        "data_note": splits.source.note,
        "normalization": {"mean": card.output_mean, "std": card.output_std},
        "peak_learning_rate": peak_learning_rate(context.config.optimizer, model.network),
        "seconds": sum(seconds),
        "seconds_per_epoch": median(seconds),
        "peak_memory_bytes": peak_memory_bytes(),
    }
