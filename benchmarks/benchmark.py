"""The parts of a benchmark: its contestants, its table and what is derived from answers."""

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
        quick: Only check, in a minute or two, that everything works; the numbers mean nothing.
        rounds: Turns of every contestant; ``None`` for the benchmark's own number.
        images: Largest number of training images; ``None`` for the benchmark's own number.
        data: A source as in ``caelab train --data``, or ``"synthetic"``.
        only: Names of contestants, or parts of them; empty for all.
    """

    quick: bool = False
    rounds: int | None = None
    images: int | None = None
    data: str = "cifar10"
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of the table: the value in it, and how it is written."""

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
        name: Name of the module and of the results' file.
        title: Title of the table.
        about: Description of the method; printed under the table.
        rounds: Default number of turns of every contestant.
        contestants: The contestants, in the order of the table.
        columns: The columns of the table.
        derive: Function that adds derived numbers to answers; see ``Derive``.
    """

    name: str
    title: str
    about: str
    rounds: int
    contestants: Callable[[Options], Sequence[Contestant]]
    columns: Sequence[Column]
    derive: Derive = lambda _round, _contestants: None


def summarize(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Return median, lowest and highest value of every number in the answers, and their count.

    Numbers that some answer lacks are left out.
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
    """Return a contestant's row of the results: its success, the summary and every answer."""
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
