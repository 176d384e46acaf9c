"""Budgets of the lab: a few minutes, an hour, or a night."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Amount of training in a lab.

    Attributes:
        name: Name of the budget.
        minutes: Rough duration on two cores, with CIFAR-10; that of the quick one with photos.
        epochs: Epochs of every network except colorizers.
        long_epochs: Epochs of an additional, longer training of the reference network; ``None``
            for no such training.
        limit: Largest number of training images; ``None``: all.
        seeds: Seeds of the reference network, in exercises 1 and 2.
        study_seeds: Seeds of the other networks of exercise 2.
        networks: Labels of exercise 2's networks; ``None``: all.
        color_epochs: Epochs of the colorizers.
        color_seeds: Seeds of exercise 3.
        ideas: Labels of exercise 3's variants; ``None``: all.
    """

    name: str
    minutes: int
    epochs: int = 10
    long_epochs: int | None = None
    limit: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    study_seeds: tuple[int, ...] = (0, 1)
    networks: tuple[str, ...] | None = None
    color_epochs: int = 8
    color_seeds: tuple[int, ...] = (0, 1)
    ideas: tuple[str, ...] | None = None


# Each of the assignment's five choices is varied with a code of 1,024 numbers. The kernel cannot
# change that size; the other four choices are varied with other code sizes, too.
_QUICK = (
    "base",
    "one pooling stage, code 1,024", "three pooling stages",
    "half the channels, code 1,024", "half the channels",
    "1×1 kernels",
    "stride 2 twice, no pooling", "stride 2 three times, no pooling",
    "no padding, code 1,024", "no padding",
    "code of 64", "code of 128", "code of 256", "code of 512", "code of 2,048",
    "16×16×3", "8×8×12", "4×4×48",
)  # fmt: skip

BUDGETS: Mapping[str, Budget] = {
    "quick": Budget(
        name="quick",
        minutes=4,
        limit=6400,
        seeds=(0, 1),
        networks=_QUICK,
        ideas=(
            "best network, RGB", "best network, chroma", "U-Net", "U-Net, flips, shifts and zoom",
        ),
    ),
    "standard": Budget(
        name="standard",
        minutes=35,
        # The U-Net without augmentation is best after two or three epochs.
        color_epochs=4,
        networks=(
            *_QUICK,
            "one convolution more", "three pooling stages, code 1,024", "one pooling stage",
            "twice the channels, code 1,024", "twice the channels",
            "5×5 kernels",
            "stride 4 once, no pooling", "stride 2 once, no pooling",
            "no padding, 5×5 kernels, code 1,024", "no padding in front of the code",
        ),
        ideas=(
            "best network, RGB", "best network, chroma",
            "U-Net", "U-Net, RGB instead of chroma", "U-Net, flips, shifts and zoom",
            "U-Net, all together",
        ),
    ),
    "full": Budget(
        name="full",
        minutes=480,
        long_epochs=40,
        seeds=(0, 1, 2, 3, 4),
        study_seeds=(0, 1, 2),
        color_epochs=20,
        color_seeds=(0, 1, 2),
    ),
}  # fmt: skip
"""Budgets by name. A larger one reuses those runs of a smaller one that both train equally."""


def larger_budget(budget: Budget) -> Budget | None:
    """Return the next larger budget; ``None`` for the largest, and for a custom budget."""
    names = [*BUDGETS]
    following = names[names.index(budget.name) + 1 :] if budget.name in names else []
    return BUDGETS[following[0]] if following else None
