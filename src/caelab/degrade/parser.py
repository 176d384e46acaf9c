"""The words of impairments: text ↔ frozen description, without torch."""

import difflib
import re
from dataclasses import dataclass

import numpy as np

from caelab.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What an impairment's word means, and the strength it allows.

    Attributes:
        does: What it does, in a line.
        strength: What the number counts; ``None`` where the word takes none.
        low: The smallest strength.
        high: The largest.
        whole: Whether the strength is a whole number.
        example: The word with a usual strength.
        random: Whether it draws random numbers.
        on_host: Whether the CPU does it, wherever the images are.
    """

    does: str
    example: str
    strength: str | None = None
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    random: bool = False
    on_host: bool = False


MISSING = -0.5
"""What ``mask`` puts where a pixel was taken away: no color, so that a network sees where; black
when clipped."""

IMPAIRMENTS = {
    "gray": Kind(does="the BT.601 luma, one channel", example="gray"),
    "noise": Kind(
        does="adds Gaussian noise, not clipped",
        strength="standard deviation, on [0, 1]",
        low=0.001,
        high=1,
        example="noise0.1",
        random=True,
    ),
    "blur": Kind(
        does="blurs by a Gaussian, the image mirrored at its border",
        strength="standard deviation in pixels",
        low=0.1,
        high=32,
        example="blur1.5",
    ),
    "mask": Kind(
        does="takes pixels away, all channels of each, and puts −0.5 in their place",
        strength="probability",
        low=0.01,
        high=0.99,
        example="mask0.25",
        random=True,
    ),
    "downscale": Kind(
        does=(
            "averages squares of pixels, and brings the image back to its size by bicubic"
            " interpolation"
        ),
        strength="factor",
        low=2,
        high=32,
        whole=True,
        example="downscale2",
    ),
    "jpeg": Kind(
        does="writes the image as a JPEG and reads it back",
        strength="quality of libjpeg",
        low=1,
        high=100,
        whole=True,
        example="jpeg20",
        on_host=True,
    ),
}
"""The impairments, by word; ``none`` is the empty one."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One word: a name in ``IMPAIRMENTS``, and its strength, ``None`` where it takes none."""

    name: str
    strength: float | None = None

    def __str__(self) -> str:
        return self.name + (
            "" if self.strength is None else np.format_float_positional(self.strength, trim="-")
        )


@dataclass(frozen=True, kw_only=True)
class Impairment:
    """What is done to a clean image, step after step; no step at all is ``none``."""

    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """Return the canonical text, which :func:`parse_impairment` reads back."""
        return "+".join(map(str, self.steps)) or "none"

    @property
    def random(self) -> bool:
        """Whether it differs from image to image and epoch to epoch."""
        return any(IMPAIRMENTS[step.name].random for step in self.steps)

    @property
    def on_host(self) -> bool:
        """Whether the CPU does a part of it, wherever the images are."""
        return any(IMPAIRMENTS[step.name].on_host for step in self.steps)

    @property
    def keeps_luminance(self) -> bool:
        """Whether the luma of what comes out is that of the clean image, so that only chroma is to
        be found.
        """
        return all(step.name == "gray" for step in self.steps)

    @property
    def marks_missing(self) -> bool:
        """Whether missing pixels are the last that was done, so that what comes out says where they
        are.
        """
        return bool(self.steps) and self.steps[-1].name == "mask"

    def channels(self, channels: int) -> int:
        """Return how many channels come out where ``channels`` go in."""
        return 1 if any(step.name == "gray" for step in self.steps) else channels


def parse_impairment(text: str) -> Impairment:
    """Read ``none``, or words joined by ``+``, done from left to right: ``gray+noise0.05``.

    Raises:
        InputError: A word is unknown, lacks its strength or has one out of range, or stands there
            twice; ``none`` stands beside another.
    """
    if text.strip() == "none":
        return Impairment()
    steps: list[Step] = []
    column = 1
    for part in text.split("+"):
        place = column + len(part) - len(part.lstrip())
        step = _read_step(text, part.strip(), place)
        if step.name in (earlier.name for earlier in steps):
            raise _error(
                text, f"{step.name} is there twice", place, "Each impairment may be there once."
            )
        steps.append(step)
        column += len(part) + 1
    return Impairment(steps=tuple(steps))


def _read_step(text: str, word: str, column: int) -> Step:
    match = re.match(r"[a-z]*", word)
    assert match
    name, strength = match[0], word[match.end() :]
    kind = IMPAIRMENTS.get(name)
    if word == "none":
        raise _error(
            text,
            "none stands beside another impairment",
            column,
            "It stands alone, or is left out.",
        )
    if kind is None:
        near = difflib.get_close_matches(name, [*IMPAIRMENTS, "none"], n=1)
        hint = (
            f"Did you mean {IMPAIRMENTS[near[0]].example if near[0] in IMPAIRMENTS else near[0]}? "
            if near
            else ""
        )
        there = ", ".join(each.example for each in IMPAIRMENTS.values())
        problem = f"there is no impairment {_shown(word)}" if word else "a word is missing"
        raise _error(text, problem, column, f"{hint}The words are none, {there}; + joins them.")
    if kind.strength is None:
        if strength:
            raise _error(
                text,
                f"{name} takes no strength, but has {_shown(strength)}",
                column,
                f"Write {name}.",
            )
        return Step(name=name)
    number = float(strength) if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", strength) else None
    if (
        number is None
        or not kind.low <= number <= kind.high
        or (kind.whole and number != int(number))
    ):
        what = (
            f"{name} has the strength {_shown(strength)}"
            if strength
            else f"{name} lacks its strength"
        )
        wanted = f"a {'whole ' if kind.whole else ''}number from {kind.low:g} to {kind.high:g}"
        raise _error(
            text, what, column, f"It is {wanted} ({kind.strength}), such as {kind.example}."
        )
    return Step(name=name, strength=number)


def _error(text: str, problem: str, column: int, advice: str) -> InputError:
    return InputError(
        f"the impairment {_shown(text)} cannot be read: {problem}, at column {column}. {advice}"
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
