"""Seconds until the test error equals the best public result for the reference network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.processes import Answer
from benchmarks.rounds import main
from benchmarks.tasks import Contestant, Task, contestant_module

TARGET = 0.0052
PATIENCE = 2
"""Multiple of its published epochs after which a public solution counts as never arriving."""

SHORT_BATCH = 64
"""Batch size of caelab's shortest schedule: more updates in its single epoch, by the end of which
the learning rate has fallen to zero."""

BASIS = "script-32"


def contestants(options: Options) -> Sequence[Contestant]:
    """Return two public solutions with their published settings, and caelab; a round is a seed."""
    task = Task(
        data=options.data,
        images=options.images,
        target=1.0 if options.quick else TARGET,
        limit=900.0,
    )
    if options.quick:
        task = replace(task, images=options.images or 2_000)
    script, caelab = contestant_module("script"), contestant_module("caelab_fit")
    return [
        Contestant(
            name=BASIS,
            label="public solution 1: Adam 1e-4, batch 32",
            arguments=script,
            task=replace(task, learning_rate=1e-4, batch=32, epochs=PATIENCE * 10),
        ),
        Contestant(
            name="script-1024",
            label="public solution 2: Adam 1e-3, batch 1024",
            arguments=script,
            task=replace(task, learning_rate=1e-3, batch=1024, epochs=PATIENCE * 20),
        ),
        Contestant(
            name="caelab",
            label="**caelab**, its defaults",
            arguments=caelab,
            task=replace(task, epochs=10),
        ),
        Contestant(
            name="caelab-short",
            label="**caelab**, --epochs 1",
            arguments=caelab,
            task=replace(task, epochs=1),
        ),
        Contestant(
            name="caelab-short-batch",
            label=f"**caelab**, --epochs 1 --batch-size {SHORT_BATCH}",
            arguments=caelab,
            task=replace(task, epochs=1, batch=SHORT_BATCH),
        ),
    ]


def derive(answers: Mapping[str, Answer], _contestants: Sequence[Contestant]) -> None:
    """Add how many times sooner than public solution 1 each contestant reached the target.

    If solution 1 never did, its last look at the error is the reference.
    """
    basis = answers.get(BASIS, {})
    reference = basis.get("to_target", basis.get("looked_until"))
    for answer in answers.values():
        if reference and "to_target" in answer:
            answer["speedup"] = reference / answer["to_target"]


QUALITY = Benchmark(
    name="quality",
    title=f"Time to quality: seconds until the test MSE of the reference network is ≤ {TARGET}",
    about=(
        "The time begins with the process and includes imports, reading CIFAR-10 from disk, and"
        " training. The test error is measured four times an epoch; this time is subtracted."
        " Every round has another seed. Public solutions are the usual script with the published"
        " settings, and may take up to twice the published epochs. If a cell is empty, at least one"
        " seed did not reach the error, and 'lowest' says how near it came."
    ),
    rounds=3,
    contestants=contestants,
    columns=(
        Column("seconds", "to_target", writing.seconds, spread=True),
        Column("× public solution 1", "speedup", writing.ratio),
        Column("lowest test MSE", "best", writing.error, spread=True),
        Column("looked until, s", "looked_until", writing.seconds),
        Column("peak MB", "peak_memory", writing.megabytes),
    ),
    derive=derive,
)

if __name__ == "__main__":
    main((QUALITY,), __doc__)
