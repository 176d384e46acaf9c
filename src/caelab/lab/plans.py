"""The three exercises as studies: which networks, for a budget."""

import dataclasses
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.materials import describe_run
from caelab.experiments.study import BASE, Study, Variant, read_study
from caelab.lab.budgets import Budget

BEST = "best"
"""In ``IDEAS``: stands for the best network of exercise 2."""

_AUGMENTED: dict[str, Any] = {"flip": True, "shift": 4}

IDEAS: dict[str, dict[str, Any]] = {
    "best network, RGB": {"network": BEST},
    "best network, chroma": {"network": BEST, "predict": "chroma"},
    "U-Net, chroma": {"network": "unet-small", "predict": "chroma"},
    "U-Net, flips and shifts": {"network": "unet-small", "predict": "chroma", **_AUGMENTED},
    "U-Net, all": {
        "network": "unet-small", "predict": "chroma", **_AUGMENTED, "ema": 0.999, "average_flips": True
    },
    "U-Net, RGB": {"network": "unet-small"},
    "U-Net, averaged over flips": {"network": "unet-small", "predict": "chroma", "average_flips": True},
    "U-Net, mean of weights": {"network": "unet-small", "predict": "chroma", "ema": 0.999},
    "U-Net, weight decay": {"network": "unet-small", "predict": "chroma", "weight_decay": 0.1},
    "U-Net, Lab": {"network": "unet-small", "predict": "chroma", "space": "lab"},
    "U-Net, OkLab": {"network": "unet-small", "predict": "chroma", "space": "oklab"},
    "U-Net, L1": {"network": "unet-small", "predict": "chroma", "loss": "l1"},
    "U-Net, Huber": {"network": "unet-small", "predict": "chroma", "loss": "huber"},
    "U-Net, bins": {"network": "unet-small", "predict": "bins", "space": "lab", "loss": "cross_entropy"},
    "large U-Net, all": {
        "network": "unet-color", "predict": "chroma", **_AUGMENTED, "ema": 0.999, "average_flips": True
    },
}  # fmt: skip
"""Exercise 3's variants, gray images in: label → options of a run."""


def first(budget: Budget, base: RunConfig) -> Study:
    """Return exercise 1: the reference network over seeds, and once longer.

    Args:
        budget: How much.
        base: The data, and where to compute.
    """
    reference = _changed(base, epochs=budget.epochs, limit=budget.limit)
    variants = [_variant(BASE, reference)]
    if budget.long_epochs is not None:
        longer = _changed(reference, epochs=budget.long_epochs)
        variants.append(_variant(f"{budget.long_epochs} epochs", longer))
    return Study(
        name="exercise-1",
        question="How well does the reference network reconstruct?",
        seeds=budget.seeds,
        variants=tuple(variants),
    )


def second(budget: Budget, base: RunConfig) -> Study:
    """Return exercise 2: the architectures of ``recipes/architectures.toml`` that the budget allows.

    Raises:
        InputError: The recipe is missing, or its networks do not fit the images.
    """
    told = {"epochs": budget.epochs, "limit": budget.limit}
    options = base.model_dump(exclude={"network", "epochs", "limit", "seed"}, exclude_defaults=True)
    given = {**options, **{name: value for name, value in told.items() if value is not None}}
    study = read_study(_recipe("architectures.toml"), options=given)
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
    return dataclasses.replace(study, name="exercise-2", seeds=budget.study_seeds, variants=tuple(chosen))


def third(budget: Budget, base: RunConfig, best: str) -> Study:
    """Return exercise 3: gray images in, color out.

    Args:
        budget: How much.
        base: The data, and where to compute.
        best: The network that exercise 2 found best by validation.
    """
    variants = []
    for label, options in IDEAS.items():
        if budget.ideas is None or label in budget.ideas:
            network = best if options["network"] == BEST else options["network"]
            config = _changed(
                base, **{**options, "network": network}, impair="gray", epochs=budget.color_epochs, limit=budget.limit
            )
            if network.startswith("unet") and _bfloat16_is_fast():
                config = _changed(config, precision="bfloat16")
            variants.append(_variant(label, config))
    return Study(
        name="exercise-3",
        question="Which colors do gray images get, and what helps?",
        seeds=budget.color_seeds,
        variants=tuple(variants),
    )


def _changed(config: RunConfig, **changes: Any) -> RunConfig:
    return RunConfig.model_validate({**config.model_dump(), **changes})


def _variant(label: str, config: RunConfig) -> Variant:
    return Variant(label=label, factor="", level="", config=config, description=describe_run(config))


def _bfloat16_is_fast() -> bool:
    """Whether this machine's CPU multiplies in bfloat16, which makes wide networks two to three times as fast."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _recipe(name: str) -> Path:
    """Return a recipe: of the installed package, or of the repository that it is run from.

    Raises:
        InputError: It is in neither.
    """
    places = [Path(str(files("caelab"))) / "recipes" / name, Path(__file__).parents[3] / "recipes" / name]
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"the recipe {name} is not at {places[0]}. Install caelab again.")
