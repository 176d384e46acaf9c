"""Measure the errors of a trained model on a part of a data set."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caelab.baselines.measure import measure_baselines
from caelab.degrade.degradation import parse_degradation
from caelab.device import choose_device, choose_precision
from caelab.errors import InputError
from caelab.experiments.config import make_config, merge
from caelab.experiments.run_directory import RunDirectory, read_config
from caelab.experiments.setup import load_data, prepare_data
from caelab.files import finite
from caelab.metrics.evaluate import join_batches, measure_restored
from caelab.metrics.summary import summarize_errors
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.models.inference import restoring
from caelab.models.weights_file import load_model
from caelab.networks.describe import describe, require_enlargeable, require_image_output
from caelab.networks.description import Description
from caelab.networks.parser import parse

_log = logging.getLogger(__name__)


def evaluate(
    target: Path, *, part: str = "test", fit: str | None = None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Measure a model and its baselines on a part of a data set, and return their errors.

    Args:
        target: Run directory or weights file of the model.
        part: Part to measure: ``"train"``, ``"validation"``, ``"test"`` or ``"all"``.
        fit: Data, as in ``data.source``, to whose training and validation images the baselines are
            fitted; by default, the measured data. Without ``fit``, the parts ``"train"`` and
            ``"all"`` have no baselines.
        options: Parts of a configuration: the tables ``data`` and ``test_time``, and the values
            ``device`` and ``precision``. By default, a run directory is measured on its own data,
            and test-time augmentation is that of the model.

    Returns:
        The document that ``caelab evaluate --json`` prints.

    Raises:
        InputError: There is no model, the images do not fit the model, or ``fit`` is given with
            the part ``"all"``.
    """
    if fit is not None and part == "all":
        raise InputError(
            "`baseline_data` needs one part of the images, but `part` is all. Choose train,"
            " validation or test."
        )
    file, options = _weights_and_options(target, options)
    config = make_config(options)
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    model, card = load_model(file, device)
    model.tta = card.tta.model_copy(update=options.get("test_time"))
    degradation = parse_degradation(card.degradation)
    # Images are read with the channels that the model was trained on.
    config = config.replace(channels=card.channels)
    images, split = load_data(config.data)
    description = _describe_fitting(model, card, images.images.shape[2:])
    splits = prepare_data(images, split, device)
    chosen = ["train", "validation", "test"] if part == "all" else [part]
    with restoring(model, precision) as restore:
        measured = [getattr(splits, name) for name in chosen]
        metrics = join_batches(
            (measure_restored(restore, each, degradation) for each in measured),
            sum(map(len, measured)),
        )
    baselines: Mapping[str, Mapping[str, Any]] = {}
    if fit is not None or part in ("validation", "test"):
        fitted = splits
        if fit is not None:
            fitted = prepare_data(*load_data(config.replace(data=fit).data), device)
        baselines = measure_baselines(
            fitted.train, fitted.validation, getattr(splits, part), degradation, description
        )
    else:
        _log.warning(
            "baselines are fitted to the training images, so none are measured with `part` %s."
            " Choose test or validation.",
            part,
        )
    result = {
        "model": str(file),
        "network": card.network,
        "degradation": card.degradation,
        "target": card.target,
        "test_time": model.tta.model_dump(),
        "trained_on": card.data,
        "data": splits.source.name,
        "data_where": splits.source.where,
        "data_note": splits.source.note,
        "part": part,
        "errors": summarize_errors(**metrics),
        "baselines": {name: summarize_errors(**each) for name, each in baselines.items()},
    }
    return {name: finite(value) for name, value in result.items()}


def _describe_fitting(model: ImageModel, card: ModelCard, size: tuple[int, int]) -> Description:
    """Describe the network for images of ``size`` (height, width); raise if they do not fit."""
    channels = parse_degradation(card.degradation).channels(card.channels)
    description = describe(parse(card.network), channels=channels, size=size)
    require_image_output(description, channels=model.target.channels)
    if model.tta.scale:
        require_enlargeable(description, channels=model.target.channels)
    return description


def _weights_and_options(
    target: Path, options: Mapping[str, Any]
) -> tuple[Path, Mapping[str, Any]]:
    """Return the weights file of ``target``, and ``options`` with its run's data as default."""
    if not target.is_dir():
        return target, options
    directory = RunDirectory(target)
    directory.require_finished()
    # With the split of the run, no training image of the run is among the test images.
    own = {"data": read_config(target).data.model_dump()}
    return directory.weights, merge(own, options)
