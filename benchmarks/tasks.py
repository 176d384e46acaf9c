"""What is asked of a contestant: one line of JSON that travels to its process."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

EPOCH = 48_000
"""Training images of CIFAR-10's default split; seconds per epoch are always of so many."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A training task, the same words for every contestant.

    Attributes:
        network: ``"reference"`` or ``"residual"``; caelab takes any text.
        data: As ``caelab train --data`` has it, or ``"synthetic"``: noise.
        images: Take only so many training images; all where ``None``.
        size: Pixels of a synthetic image's side.
        batch: Images a step; the contestant's own default where ``None``.
        epochs: Passes through the training images; the first one is the warm-up of the others.
        steps: Take so many steps for an epoch, where it has more; only caelab can.
        learning_rate: Of Adam; caelab keeps its own.
        seed: Of initial weights and batch order.
        threads: CPU threads; the library's own choice where ``None``.
        target: Stop as soon as the test error is no higher; it is then looked at four times an
            epoch.
        limit: Stop after so many seconds in any case; looked at with the target.
        options: What only this contestant understands.
        started: ``time.time()`` when the process was started; filled in by whoever starts it.
    """

    network: str = "reference"
    data: str = "cifar10"
    images: int | None = None
    size: int = 32
    batch: int | None = None
    epochs: int = 2
    steps: int | None = None
    learning_rate: float = 1e-3
    seed: int = 0
    threads: int | None = None
    target: float | None = None
    limit: float = 3600.0
    options: Mapping[str, Any] = field(default_factory=dict)
    started: float = 0.0

    def as_json(self) -> str:
        """Return the task as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_arguments(cls) -> "Task":
        """Read the task from the command line of a contestant's process."""
        return cls(**json.loads(sys.argv[1]))


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """Who is measured, in which process.

    Attributes:
        name: Unique within a benchmark.
        label: For people.
        arguments: What follows ``python`` on the command line.
        task: Given to the process as its last argument; ``None`` for a plain command, of which only
            time and memory are measured.
        needs: Packages that must be there.
        environment: Variables to set for the process.
        copies: Run so many at once and add up their rates.
        group: Heading of the rows that belong together, such as a network.
        given: Numbers known beforehand, for ``Derive``, such as an epoch's arithmetic.
    """

    name: str
    label: str
    arguments: tuple[str, ...]
    task: Task | None = None
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    copies: int = 1
    group: str = ""
    given: Mapping[str, float] = field(default_factory=dict)


def contestant_module(name: str) -> tuple[str, ...]:
    """Return the arguments that run a module of ``benchmarks.contestants``."""
    return ("-m", f"benchmarks.contestants.{name}")
