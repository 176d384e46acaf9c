"""The three exercises as studies, with the networks of a budget."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from caelab.device import has_bfloat16
from caelab.experiments.config import RunConfig, nest
from caelab.experiments.recipes import recipe_file
from caelab.experiments.setup import describe_run
from caelab.experiments.study import BASE, Study, Variant, read_study
from caelab.lab.budgets import Budget

BEST_NETWORK = {"best network, RGB": "rgb", "best network, chroma": "chroma"}
"""Labels and prediction targets with which exercise 3 trains the best network of exercise 2."""

UNET = "U-Net"
"""Label that the base of ``recipes/colorize-ideas.toml`` gets in exercise 3."""


def reconstruction_study(budget: Budget, base: RunConfig) -> Study:
    """Return exercise 1: the reference network with several seeds.

    If the budget has ``long_epochs``, the network is also trained for this number of epochs.

    Args:
        budget: Amount of training.
        base: Configuration with the data and the device.
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


def architecture_study(budget: Budget, base: RunConfig) -> Study:
    """Return exercise 2: the networks of ``recipes/architectures.toml`` that the budget names.

    Args:
        budget: Amount of training.
        base: Configuration with the data and the device.

    Raises:
        InputError: The recipe is missing, or its networks do not fit the images.
    """
    study = _read("architectures", base, epochs=budget.epochs, train_size=budget.limit)
    return dataclasses.replace(
        study,
        name="exercise-2",
        seeds=budget.study_seeds,
        # Every network is compared with the base, so the base has more seeds. Its runs are those
        # of exercise 1, so they are not trained again.
        base_seeds=budget.seeds,
        variants=_chosen(study.variants, budget.networks),
    )


def colorization_study(budget: Budget, base: RunConfig, best: str) -> Study:
    """Return exercise 3: the best network and variants of a U-Net, which color gray images.

    Args:
        budget: Amount of training.
        base: Configuration with the data and the device.
        best: Text of the network that had the lowest validation error in exercise 2.

    Raises:
        InputError: ``recipes/colorize-ideas.toml`` is missing, or its networks do not fit the
            images.
    """
    precision = "bfloat16" if has_bfloat16() else "auto"
    amount = {"epochs": budget.color_epochs, "train_size": budget.limit}
    gray = base.replace(**amount, network=best, degradation="gray")
    simple = [
        _variant(label, gray.replace(target=target)) for label, target in BEST_NETWORK.items()
    ]
    recipe = _read("colorize-ideas", base, **amount, precision=precision)
    ideas = [
        dataclasses.replace(idea, label=UNET if idea.label == BASE else f"{UNET}, {idea.label}")
        for idea in recipe.variants
    ]
    return Study(
        name="exercise-3",
        question="Which colors do gray images get, and what helps?",
        seeds=budget.color_seeds,
        variants=_chosen([*simple, *ideas], budget.ideas),
    )


def without_other_classes(study: Study, classes: int) -> Study:
    """Return a study without the networks whose number of classes is not that of the images.

    Args:
        study: Study with all networks.
        classes: Number of classes of the images.
    """
    fitting = (
        variant
        for variant in study.variants
        if all(count == classes for count in variant.description.classifiers)
    )
    return dataclasses.replace(study, variants=tuple(fitting))


def _chosen(variants: Iterable[Variant], labels: tuple[str, ...] | None) -> tuple[Variant, ...]:
    """Keep the variants with these labels; keep all if ``labels`` is ``None``."""
    return tuple(each for each in variants if labels is None or each.label in labels)


def _read(recipe: str, base: RunConfig, **options: Any) -> Study:
    """Read a study from a recipe.

    Args:
        recipe: Name of the recipe.
        base: Configuration with the data and the device, which replace those of the recipe.
        options: Parameters that replace those of the recipe; ``None`` keeps a parameter.
    """
    shared = {
        name: value
        for name, value in base.changes().items()
        if name not in ("network", "epochs", "train_size", "seed")
    }
    changed = {name: value for name, value in options.items() if value is not None}
    return read_study(recipe_file(recipe), options=nest({**shared, **changed}))


def _variant(label: str, config: RunConfig) -> Variant:
    return Variant(
        label=label, factor="", level="", config=config, description=describe_run(config)
    )
