"""Convert texts of degradations, such as ``gray+noise0.1``, to objects and back."""

import difflib
import re
from dataclasses import dataclass
from decimal import Decimal

from caelab.degrade.kinds import DegradationKind
from caelab.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DegradationStep:
    """One step of a degradation, which is one word of its text, such as ``noise0.1``.

    Attributes:
        name: Name of a registered ``DegradationKind``.
        strength: The number after the name; ``None`` if the kind takes no number.
    """

    name: str
    strength: float | None = None

    def __str__(self) -> str:
        if self.strength is None:
            return self.name
        # The shortest digits that are read back as the same number, without an exponent.
        return f"{self.name}{Decimal(repr(self.strength)).normalize():f}"

    @property
    def kind(self) -> DegradationKind:
        """Object of the kind that has this name."""
        return DegradationKind.registry[self.name]()


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """What is done to a clean image to make the network's input.

    ``str(degradation)`` is its canonical text.

    Attributes:
        steps: The steps in the order in which they are done; empty for the degradation ``none``.
    """

    steps: tuple[DegradationStep, ...] = ()

    def __str__(self) -> str:
        return "+".join(map(str, self.steps)) or "none"

    @property
    def random(self) -> bool:
        """True if any step draws random numbers."""
        return any(step.kind.random for step in self.steps)

    @property
    def on_host(self) -> bool:
        """True if any step is computed on the CPU even if the images are on a GPU."""
        return any(step.kind.on_host for step in self.steps)

    @property
    def keeps_luminance(self) -> bool:
        """True if the result has the luma of the clean image, so that only chroma is lost."""
        return all(step.kind.keeps_luminance for step in self.steps)

    @property
    def marks_missing(self) -> bool:
        """True if the last step marks missing pixels, so that the result shows where they are."""
        return bool(self.steps) and self.steps[-1].kind.marks_missing

    def channels(self, channels: int) -> int:
        """Return the number of channels of the result for images of ``channels`` channels.

        >>> parse_degradation("noise0.1+gray").channels(3)
        1
        """
        for step in self.steps:
            channels = step.kind.channels(channels)
        return channels


def parse_degradation(text: str) -> Degradation:
    """Read the text of a degradation: ``none``, or words joined by ``+`` in the order of the steps.

    >>> parse_degradation("gray + noise0.050").steps[1]
    DegradationStep(name='noise', strength=0.05)
    >>> print(parse_degradation("gray + noise0.050"))
    gray+noise0.05

    Raises:
        InputError: A word is unknown or occurs twice, its strength is missing or out of range, or
            ``none`` is joined to another word.
    """
    if text.strip() == "none":
        return Degradation()
    steps: dict[str, DegradationStep] = {}
    for word in re.finditer(r"(?:^|\+)\s*([^+]*)", text):
        try:
            step = _read_step(word[1].rstrip())
            if step.name in steps:
                raise _WordError(f"{step.name} occurs twice", "Each degradation may occur once.")
        except _WordError as error:
            problem, advice = error.args
            raise InputError(
                f"the degradation {_quoted(text)} cannot be read: {problem}, at column"
                f" {word.start(1) + 1}. {advice}"
            ) from error
        steps[step.name] = step
    return Degradation(steps=tuple(steps.values()))


class _WordError(Exception):
    """A word is wrong; the arguments are two texts, the problem and the advice."""


def _read_step(word: str) -> DegradationStep:
    """Read one word; raise ``_WordError`` if it is wrong."""
    if word == "none":
        raise _WordError(
            "none is joined to another degradation", "Write it alone, or leave it out."
        )
    name = re.split("[^a-z]", word, maxsplit=1)[0]
    digits = word.removeprefix(name)
    registry = DegradationKind.registry
    if name not in registry:
        examples = {"none": "none"} | {key: kind.example() for key, kind in registry.items()}
        near = difflib.get_close_matches(name, examples, n=1)
        hint = f"Did you mean {examples[near[0]]}? " if near else ""
        raise _WordError(
            f"there is no degradation {_quoted(word)}" if word else "a word is missing",
            f"{hint}The words are {', '.join(examples.values())}; + joins them.",
        )
    kind = registry[name]
    spec = kind.strength
    if spec is None:
        if digits:
            raise _WordError(
                f"{name} takes no strength, but has {_quoted(digits)}", f"Write {name}."
            )
        return DegradationStep(name=name)
    # A text that is no number becomes −1, which is out of every range.
    strength = float(digits) if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", digits) else -1.0
    if not spec.low <= strength <= spec.high or (spec.whole and strength % 1):
        raise _WordError(
            f"{name} has the strength {_quoted(digits)}"
            if digits
            else f"{name} lacks its strength",
            f"It is a {'whole ' * spec.whole}number from {spec.low:g} to {spec.high:g}"
            f" ({spec.unit}), such as {kind.example()}.",
        )
    return DegradationStep(name=name, strength=strength)


def _quoted(text: str) -> str:
    """Return a text in quotation marks, cut to 60 characters."""
    return repr(text if len(text) <= 60 else text[:59] + "…")
