"""How much the lab trains: a look around, an hour, or a night."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a lab trains.

    Attributes:
        name: What it is called.
        takes: How long, in words.
        epochs: Of every network, but for colorizers.
        long_epochs: Of one more, longer training of the reference network; ``None`` for none.
        limit: Training images at most; ``None`` for all.
        seeds: Of exercise 1.
        study_seeds: Of exercise 2.
        networks: Labels of exercise 2's networks; ``None`` for all whose cost is allowed.
        most_cost: Multiply-accumulates that such a network may have, in multiples of the base's.
        color_epochs: Of the colorizers.
        color_seeds: Of exercise 3.
        ideas: Labels of exercise 3's variants; ``None`` for all.
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
            "one pooling stage (code 1,024)", "code 128", "code 2048", "16×16×3", "8×8×12", "4×4×48",
        ),
        color_epochs=4,
        ideas=("best network, RGB", "best network, chroma", "U-Net", "U-Net, flips, shifts and zoom"),
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
"""By name. A larger budget uses what a smaller one trained, where both train it alike."""


def cuts(budget: Budget) -> list[str]:
    """Say what a budget leaves out, a sentence each."""
    said = []
    if budget.limit is not None:
        said.append(f"Networks are trained on {budget.limit:,} images at most.")
    if budget.epochs < BUDGETS["standard"].epochs:
        said.append(
            f"Networks are trained for {budget.epochs} epochs, colorizers for"
            f" {budget.color_epochs}."
        )
    if budget.networks is not None:
        said.append(f"Of exercise 2's networks {len(budget.networks)} are trained.")
    elif budget.most_cost < float("inf"):
        said.append(
            f"Networks of more than {budget.most_cost:g} times the reference network's cost are"
            " left out."
        )
    if len(budget.study_seeds) == 1:
        said.append(
            "Exercises 2 and 3 have one seed, so that effects have no intervals over seeds."
        )
    if budget.ideas is not None:
        said.append(f"Of exercise 3's variants {len(budget.ideas)} are trained.")
    return said
