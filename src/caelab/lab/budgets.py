"""Budgets of the lab: a few minutes, an hour, or a night."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Amount that a lab trains.

    Attributes:
        name: Name of the budget.
        takes: Duration in words.
        epochs: Epochs of every network except colorizers.
        long_epochs: Epochs of one more, longer training of the reference network; ``None``: none.
        limit: Largest number of training images; ``None``: all.
        seeds: Seeds of exercise 1.
        study_seeds: Seeds of exercise 2.
        networks: Labels of exercise 2's networks; ``None``: all whose cost is allowed.
        most_cost: Largest number of multiply-accumulates of such a network, as a multiple of the
            base's.
        color_epochs: Epochs of the colorizers.
        color_seeds: Seeds of exercise 3.
        ideas: Labels of exercise 3's variants; ``None``: all.
    """

    name: str
    takes: str
    epochs: int = 10
    long_epochs: int | None = None
    limit: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    study_seeds: tuple[int, ...] = (0,)
    networks: tuple[str, ...] | None = None
    most_cost: float = 5.0
    color_epochs: int = 10
    color_seeds: tuple[int, ...] = (0,)
    ideas: tuple[str, ...] | None = None


BUDGETS: Mapping[str, Budget] = {
    "quick": Budget(
        name="quick",
        takes="up to 4 minutes on two cores",
        epochs=6,
        limit=6400,
        seeds=(0, 1),
        networks=(
            "base", "kernel 1", "downsampling strided", "code activation none",
            "one pooling stage (code 1,024)", "code 128", "code 2048", "16×16×3", "8×8×12",
            "4×4×48",
        ),
        color_epochs=4,
        ideas=(
            "best network, RGB", "best network, chroma", "U-Net", "U-Net, flips, shifts and zoom",
        ),
    ),
    "standard": Budget(
        name="standard",
        takes="about an hour on two cores with CIFAR-10",
        ideas=(
            "best network, RGB", "best network, chroma",
            "U-Net", "U-Net, flips, shifts and zoom", "U-Net, all together",
        ),
    ),
    "full": Budget(
        name="full",
        takes="a night on two cores with CIFAR-10, or some hours on a GPU",
        long_epochs=40,
        seeds=(0, 1, 2, 3, 4),
        study_seeds=(0, 1, 2),
        most_cost=float("inf"),
        color_epochs=20,
        color_seeds=(0, 1, 2),
    ),
}  # fmt: skip
"""Budgets by name. A larger one reuses the runs of a smaller one, where both train them alike."""


def cuts(budget: Budget) -> list[str]:
    """Return what a budget leaves out, a sentence each."""
    sentences = {
        f"Networks are trained on {budget.limit or 0:,} images at most.": budget.limit is not None,
        f"Networks are trained for {budget.epochs} epochs, colorizers for {budget.color_epochs}.": (
            budget.epochs < BUDGETS["standard"].epochs
        ),
        f"Exercise 2 trains {len(budget.networks or ())} networks.": budget.networks is not None,
        f"Networks over {budget.most_cost:g} times the reference network's cost are left out.": (
            budget.networks is None and budget.most_cost < float("inf")
        ),
        "Exercises 2 and 3 have one seed, so that effects have no intervals over seeds.": (
            len(budget.study_seeds) == 1
        ),
        f"Exercise 3 trains {len(budget.ideas or ())} variants.": budget.ideas is not None,
    }
    return [sentence for sentence, holds in sentences.items() if holds]
