"""A trained model on other images than it was made with."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from caelab.baselines.measure import measure_baselines
from caelab.degrade.degradation import parse_degradation
from caelab.device import choose_device, choose_precision
from caelab.errors import InputError
from caelab.experiments.config import make_config, merge, nest
from caelab.experiments.run_directory import RunDirectory, read_config
from caelab.experiments.setup import load_data, place
from caelab.files import finite
from caelab.metrics.evaluate import measure_restored
from caelab.metrics.summary import summarize_errors
from caelab.models.inference import restoring
from caelab.models.weights_file import load_model
from caelab.networks.describe import describe, require_enlargeable, require_image_output
from caelab.networks.parser import parse


def evaluate(
    target: Path, *, part: str = "test", fit: str | None = None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a model's errors on one part of some data, with the baselines of its task beside.

    Args:
        target: A run directory or a weights file.
        part: ``"train"``, ``"validation"``, ``"test"`` or ``"all"``.
        fit: Data on whose training and validation parts the baselines are fitted, if not those of
            the same data.
        options: Fields of the run's configuration that say which data and where to compute; and
            over what answers are averaged, if not as in training.

    Raises:
        InputError: There is no model, the images do not fit it, or ``fit`` is given for all parts
            at once.
    """
    if fit is not None and part == "all":
        raise InputError(
            "baselines are fitted on other data for one part of the images, and `part` all is"
            " three. Choose one."
        )
    directory = RunDirectory(target)
    beneath: dict[str, Any] = {}
    file = target
    if target.is_dir():
        file = directory.weights
        if not directory.finished:
            raise InputError(
                f"{target} is not a finished run: it has no {directory.result.name}. Train it"
                " first."
            )
        config = read_config(target)
        beneath = {"data": config.data.model_dump()}
    # The model's own text and normalisation are in the weights; the batch only has to fit into any
    # data.
    settings = merge(beneath, options, nest({"normalize": "none", "batch_size": 1}))
    device = choose_device(make_config(settings).device)
    model, card = load_model(file, device)
    model.tta = replace(card.tta, **options.get("test_time", {}))
    degradation = parse_degradation(card.degradation)
    config = make_config(merge(settings, {"degradation": card.degradation}))
    precision = choose_precision(config.precision, device)
    images, split = load_data(config)
    height, width = images.images.shape[2:]
    description = describe(
        parse(card.network), channels=degradation.channels(card.channels), size=(height, width)
    )
    require_image_output(description, channels=model.target.channels)
    if model.tta.scale:
        require_enlargeable(description, channels=model.target.channels)

    parts = place(images, split, config, device)
    chosen = (
        [parts.train, parts.validation, parts.test] if part == "all" else [getattr(parts, part)]
    )
    with restoring(model, precision) as restore:
        each = [measure_restored(restore, pixels, degradation) for pixels in chosen]
    measures = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    baselines = {}
    if fit is not None:
        fitted = config.replace(data=fit)
        others = place(*load_data(fitted), fitted, device)
        baselines = measure_baselines(
            others.train, others.validation, chosen[0], degradation, description
        )
    elif part in ("validation", "test"):  # what was not fitted on
        baselines = measure_baselines(
            parts.train, parts.validation, chosen[0], degradation, description
        )
    result: dict[str, Any] = finite(
        {
            "model": str(file),
            "network": card.network,
            "degradation": card.degradation,
            "target": card.target,
            "test_time": asdict(model.tta),
            "trained_on": card.data,
            "data": parts.source.name,
            "data_where": parts.source.where,
            "data_note": parts.source.note,
            "part": part,
            "errors": summarize_errors(**measures),
            "baselines": {name: summarize_errors(**one) for name, one in baselines.items()},
        }
    )
    return result
