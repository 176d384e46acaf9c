"""What a benchmark is: who takes part, what is shown, what is derived."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import Answer
from benchmarks.tasks import Contestant


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much is measured.

    Attributes:
        quick: A check that everything works, in a minute or two; the numbers are not to be shown.
        rounds: How often every contestant has its turn; each benchmark has its own default.
        images: Training images at most; each benchmark has its own default.
        data: As ``caelab train --data`` has it, or ``"synthetic"``.
        only: Names of contestants, or parts of them; all where empty.
    """

    quick: bool = False
    rounds: int | None = None
    images: int | None = None
    data: str = "cifar10"
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of the table: which value, and how it is written."""

    heading: str
    key: str
    write: Callable[[float], str]
    spread: bool = False


Derive = Callable[[Mapping[str, Answer], Sequence[Contestant]], None]
"""Adds to one round's answers, by contestant, what follows from several of them, such as ratios."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: Of the module and of the file of results.
        title: Of the table.
        about: How it is measured; stands under the table.
        rounds: Turns of every contestant by default.
        contestants: Who takes part, in the order of the table.
        columns: What is shown.
        derive: See ``Derive``.
    """

    name: str
    title: str
    about: str
    rounds: int
    contestants: Callable[[Options], Sequence[Contestant]]
    columns: Sequence[Column]
    derive: Derive = lambda _round, _contestants: None


def summarize(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Return median, lowest and highest of every number that all the answers have, and how many
    there are.
    """
    numbers = [
        {
            key: value
            for key, value in answer.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for answer in answers
    ]
    keys = [key for key in numbers[0] if all(key in each for each in numbers)] if numbers else []
    return {
        key: {
            "median": statistics.median(values := [each[key] for each in numbers]),
            "low": min(values),
            "high": max(values),
            "n": len(values),
        }
        for key in keys
    }


def row(contestant: Contestant, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return a contestant's row of the results: whether it was measured, the summary, and every
    answer.
    """
    failed = next((answer["failed"] for answer in answers if "failed" in answer), None)
    missing = next((answer["missing"] for answer in answers if "missing" in answer), None)
    state = f"missing: {missing}" if missing else f"failed: {failed}" if failed else "measured"
    return {
        "name": contestant.name,
        "label": contestant.label,
        "group": contestant.group,
        "state": state,
        "values": summarize(answers) if state == "measured" else {},
        "answers": list(answers),
    }
