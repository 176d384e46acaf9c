"""Time and memory against images, image size, batch size, threads, processes and seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.processes import Answer
from benchmarks.rounds import main
from benchmarks.tasks import Contestant, Task, contestant_module
from caelab.processors import available_cores

STEPS = 150
"""Steps of 128 images that are measured: the rate matters, not the rest of a million images."""


def contestants(options: Options) -> Sequence[Contestant]:
    """Return one axis after the other; the first row of an axis is its reference."""
    cores = available_cores()
    quick = options.quick
    counts = (2_000, 8_000) if quick else (6_000, 48_000, 200_000, 1_000_000)
    sizes = (32, 64) if quick else (32, 64, 128, 256)
    batches = (128, 512) if quick else (128, 256, 512, 1024, 4096)
    threads = sorted(
        {1, cores}
        if quick
        else {1, *(2**power for power in range(1, 6) if 2**power <= cores), cores}
    )
    processes = (1, 2) if quick else (1, 2, 3, 4)
    return [
        *(_enter("images", f"{count:,} images", images=count) for count in counts),
        *(
            _enter("size", f"{size}×{size} pixels", images=_few(size), size=size, batch=32)
            for size in sizes
        ),
        *(_enter("batch", f"batch {batch}", images=24_000, batch=batch) for batch in batches),
        *(
            _enter("threads", f"{count} thread{'s' * (count > 1)}", images=12_000, threads=count)
            for count in threads
        ),
        *(
            _enter(
                "processes",
                f"{count} at once",
                copies=count,
                images=12_000,
                threads=max(1, cores // count),
            )
            for count in processes
        ),
        *(_study(count, options) for count in (1, 2, 3)),
    ]


def _few(size: int) -> int:
    """Return how many images make 150 steps of 32 at 32×32 pixels.

    For larger images it is fewer, but 10 steps at least.
    """
    return max(320, STEPS * 32 * 32**2 // size**2)


def _enter(axis: str, label: str, *, copies: int = 1, **task: Any) -> Contestant:
    batch = task.get("batch", 128)
    steps = max(10, STEPS * 128 // max(128, batch))
    return Contestant(
        name=f"{axis}-{label.split()[1 if axis == 'batch' else 0]}",
        label=label,
        group=axis,
        arguments=contestant_module("caelab_fit"),
        task=Task(
            data="synthetic",
            steps=steps,
            epochs=1 + math.ceil(steps * batch / task["images"]),
            **task,
        ),
        copies=copies,
    )


def _study(seeds: int, options: Options) -> Contestant:
    """Return the whole command: CIFAR-10 is read, errors are measured and figures drawn."""
    task = Task(
        data=options.data,
        images=options.images or (2_000 if options.quick else None),
        epochs=1 if options.quick else 10,
        options={"seeds": seeds},
    )
    return Contestant(
        name=f"study-{seeds}",
        label=(
            f"`caelab study`, {seeds} seed{'s' * (seeds > 1)}, {task.epochs}"
            f" epoch{'s' * (task.epochs > 1)} each"
        ),
        group="study",
        arguments=contestant_module("study"),
        task=task,
    )


def derive(answers: Mapping[str, Answer], contestants: Sequence[Contestant]) -> None:
    """Add the rate in pixels per second, and its ratio to that of the axis's first contestant."""
    first: dict[str, float] = {}
    for each in contestants:
        answer = answers[each.name]
        if "command" in answer:
            answer["together"] = answer["command"] / first.setdefault(each.group, answer["command"])
        if each.task and "images_per_second" in answer:
            answer["pixels_per_second"] = answer["images_per_second"] * each.task.size**2
            basis = first.setdefault(each.group, answer["pixels_per_second"])
            answer["relative"] = answer["pixels_per_second"] / basis
            if each.group == "processes":
                answer["together"] = each.copies / answer["relative"]


SCALE = Benchmark(
    name="scale",
    title="Scale: the reference network on noise",
    about=(
        "caelab has its default options (except a batch of 32 when the image size varies). Rates"
        " are from about 150 steps of 128 images after a warm-up. 'Relative' is pixels per second,"
        " divided by those of the first row of the group; with 1 or more, the time grows no faster"
        " than the work. The time before the first epoch has imports, making the noise, split and"
        " copying. The memory includes the images twice, because they are copied. Processes share"
        " the cores; if there are several, each has one thread. Their rates are added, and"
        " 'together' is their time divided by that of one process with all threads. A study is the"
        " whole command, from its start to the table of results, on CIFAR-10, whose PCA is already"
        " in the cache."
    ),
    rounds=3,
    contestants=contestants,
    columns=(
        Column("images/s", "images_per_second", writing.thousands, spread=True),
        Column("relative", "relative", writing.ratio),
        Column("together, × one", "together", writing.ratio),
        Column("whole command, s", "command", writing.seconds, spread=True),
        Column("before the first epoch, s", "begun", writing.seconds),
        Column("peak MB", "peak_memory", writing.megabytes),
        Column("cores used", "cores", writing.one_decimal),
    ),
    derive=derive,
)

if __name__ == "__main__":
    main((SCALE,), __doc__)
