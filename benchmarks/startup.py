"""Seconds until the first output: help, a description, the first epoch."""

from collections.abc import Mapping, Sequence

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.processes import Answer
from benchmarks.rounds import main
from benchmarks.tasks import Contestant, Task, contestant_module


def contestants(options: Options) -> Sequence[Contestant]:
    """Return two commands, and the start of the first epoch of caelab and the usual script."""
    task = Task(data=options.data, images=1_280, batch=128, epochs=1)
    return [
        Contestant(name="help", label="`caelab --help`", arguments=("-m", "caelab", "--help")),
        Contestant(
            name="describe",
            label="`caelab describe reference`",
            arguments=("-m", "caelab", "describe", "reference"),
        ),
        Contestant(
            name="script",
            label="usual script, first epoch begun",
            arguments=contestant_module("script"),
            task=task,
        ),
        Contestant(
            name="caelab",
            label="caelab, first epoch begun",
            arguments=contestant_module("caelab_fit"),
            task=task,
        ),
    ]


def derive(answers: Mapping[str, Answer], contestants: Sequence[Contestant]) -> None:
    """Take a command's time from its process, and training's from the start of its first epoch."""
    for each in contestants:
        answer = answers[each.name]
        told = answer.get("begun" if each.task else "wall")
        if told is not None:
            answer["ready"] = told


STARTUP = Benchmark(
    name="startup",
    title="Start-up",
    about=(
        "The time begins with the process. Before training, all of CIFAR-10 is read from disk."
        " Files are in the system's cache."
    ),
    rounds=7,
    contestants=contestants,
    columns=(Column("seconds", "ready", writing.seconds, spread=True),),
    derive=derive,
)

if __name__ == "__main__":
    main((STARTUP,), __doc__)
