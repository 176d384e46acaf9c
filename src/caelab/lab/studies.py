"""The three exercises as studies: which networks, for a budget."""

import dataclasses
from importlib.resources import files
from pathlib import Path
from typing import Any

from caelab.device import has_bfloat16
from caelab.errors import InputError
from caelab.experiments.config import RunConfig, nest
from caelab.experiments.setup import describe_run
from caelab.experiments.study import BASE, Study, Variant, read_study
from caelab.lab.budgets import Budget

BEST_NETWORK: dict[str, dict[str, Any]] = {
    "best network, RGB": {"target": "rgb"},
    "best network, chroma": {"target": "chroma"},
}
"""What the best network of exercise 2 is asked for in exercise 3, by label."""

UNET = "U-Net"
"""What the base of ``recipes/colorize-ideas.toml`` is called beside other networks."""


def first(budget: Budget, base: RunConfig) -> Study:
    """Return exercise 1: the reference network over seeds, and once longer.

    Args:
        budget: How much.
        base: The data, and where to compute.
    """
    reference = base.replace(epochs=budget.epochs, train_size=budget.limit)
    variants = [_variant(BASE, reference)]
    if budget.long_epochs is not None:
        longer = reference.replace(epochs=budget.long_epochs)
        variants.append(_variant(f"{budget.long_epochs} epochs", longer))
    return Study(
        name="exercise-1",
        question="How well does the reference network reconstruct?",
        seeds=budget.seeds,
        variants=tuple(variants),
    )


def second(budget: Budget, base: RunConfig) -> Study:
    """Return exercise 2: the architectures of ``recipes/architectures.toml`` that the budget
    allows.

    Raises:
        InputError: The recipe is missing, or its networks do not fit the images.
    """
    study = _read("architectures.toml", base, epochs=budget.epochs, train_size=budget.limit)
    allowed = budget.most_cost * study.variants[0].description.multiply_accumulates
    chosen = [
        variant
        for variant in study.variants
        if variant.label == BASE
        or (
            variant.description.multiply_accumulates <= allowed
            and (budget.networks is None or variant.label in budget.networks)
        )
    ]
    return dataclasses.replace(
        study, name="exercise-2", seeds=budget.study_seeds, variants=tuple(chosen)
    )


def third(budget: Budget, base: RunConfig, best: str) -> Study:
    """Return exercise 3: gray images in, color out; the best network of exercise 2, and the ideas
    on a U-Net.

    Args:
        budget: How much.
        base: The data, and where to compute.
        best: The network that exercise 2 found best by validation.

    Raises:
        InputError: ``recipes/colorize-ideas.toml`` is missing, or its networks do not fit the
            images.
    """
    precision = "bfloat16" if has_bfloat16() else "auto"
    told = {"epochs": budget.color_epochs, "train_size": budget.limit}
    ideas = _read("colorize-ideas.toml", base, **told, precision=precision)
    variants = [
        _variant(label, base.replace(**options, **told, network=best, degradation="gray"))
        for label, options in BEST_NETWORK.items()
    ]
    for idea in ideas.variants:
        label = UNET if idea.label == BASE else f"{UNET}, {idea.label}"
        variants.append(dataclasses.replace(idea, label=label))
    chosen = [
        variant for variant in variants if budget.ideas is None or variant.label in budget.ideas
    ]
    return Study(
        name="exercise-3",
        question="Which colors do gray images get, and what helps?",
        seeds=budget.color_seeds,
        variants=tuple(chosen),
    )


def possible(study: Study, classes: int) -> Study:
    """Return the study without the networks that are to tell classes which the images, of so many,
    have not.
    """
    fitting = [
        variant
        for variant in study.variants
        if all(told == classes for told in variant.description.classifiers)
    ]
    return dataclasses.replace(study, variants=tuple(fitting))


def _read(recipe: str, base: RunConfig, **options: Any) -> Study:
    """Read a study with these options, and what ``base`` says of data and device, before those of
    its file.
    """
    given = {
        name: value
        for name, value in base.changes().items()
        if name not in ("network", "epochs", "train_size", "seed")
    }
    told = {name: value for name, value in options.items() if value is not None}
    return read_study(_recipe(recipe), options=nest({**given, **told}))


def _variant(label: str, config: RunConfig) -> Variant:
    return Variant(
        label=label, factor="", level="", config=config, description=describe_run(config)
    )


def _recipe(name: str) -> Path:
    """Return a recipe: of the installed package, or of the repository that it is run from.

    Raises:
        InputError: It is in neither.
    """
    places = [
        Path(str(files("caelab"))) / "recipes" / name,
        Path(__file__).parents[3] / "recipes" / name,
    ]
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"the recipe {name} is not at {places[0]}. Install caelab again.")
