"""The task of a contestant: one line of JSON that travels to its process."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

EPOCH = 48_000
"""Training images of CIFAR-10's default split; seconds per epoch always refer to this number."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A training task, in the same words for every contestant.

    Attributes:
        network: ``"reference"`` or ``"residual"``; caelab takes any text.
        data: A source as in ``caelab train --data``, or ``"synthetic"`` for noise.
        images: Largest number of training images; ``None`` for all.
        size: Side of a synthetic image in pixels.
        batch: Images per step; ``None`` for the contestant's own default.
        epochs: Passes through the training images; the first warms the others up.
        steps: Steps that count as an epoch, if it has more; only caelab can do this.
        learning_rate: Learning rate of Adam; caelab keeps its own.
        seed: Seed of initial weights and batch order.
        threads: CPU threads; ``None`` for the library's own choice.
        target: Test error at which training stops; it is looked at four times an epoch.
        limit: Seconds after which training stops in any case; looked at with the target.
        options: Settings of this contestant only.
        started: ``time.time()`` at the start of the process, filled in by its parent.
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
        """Return the task as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_arguments(cls) -> "Task":
        """Read the task from the command line of a contestant's process."""
        return cls(**json.loads(sys.argv[1]))


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A process to be measured.

    Attributes:
        name: Name, unique within a benchmark.
        label: Name for readers.
        arguments: Arguments of ``python``.
        task: Task, the process's last argument; ``None`` for a plain command, of which only time
            and memory are measured.
        needs: Packages that must be installed.
        environment: Environment variables of the process.
        copies: Number of processes that run at once; their rates are added.
        group: Heading of rows that belong together, such as a network.
        given: Numbers known beforehand for ``Derive``, such as an epoch's arithmetic.
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
