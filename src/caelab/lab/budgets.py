"""Budgets of the lab: a few minutes, an hour, or a night."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Amount of training in a lab.

    Attributes:
        name: Name of the budget.
        minutes: Rough duration of the lab on two cores, in minutes. The quick budget uses the
            built-in photos, the others CIFAR-10.
        epochs: Epochs of every network except colorizers.
        long_epochs: Epochs of an additional, longer training of the reference network; ``None``
            for no such training.
        limit: Largest number of training images; ``None`` for all.
        seeds: Seeds of the reference network, in exercises 1 and 2.
        study_seeds: Seeds of the other networks of exercise 2.
        networks: Labels of the networks of exercise 2; ``None`` for all.
        color_epochs: Epochs of the colorizers.
        color_seeds: Seeds of the colorizers.
        ideas: Labels of the colorizers of exercise 3; ``None`` for all.
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


# Exercise 2 varies layers, channels, kernel size, stride and padding. For each of them there are
# networks with a code of 1,024 numbers, like that of the reference network. For all but the kernel
# size, which does not change the code, there are also networks with other code sizes.
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
        # Without augmentation, the validation error of the U-Net is lowest after 2 or 3 epochs.
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
"""Budgets by name. A run that occurs in two budgets is trained only once."""


def larger_budget(budget: Budget) -> Budget | None:
    """Return the next larger budget; ``None`` for the largest, and for a custom budget."""
    names = [*BUDGETS]
    following = names[names.index(budget.name) + 1 :] if budget.name in names else []
    return BUDGETS[following[0]] if following else None
