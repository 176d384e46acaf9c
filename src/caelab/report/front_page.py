"""The report's first part: which images these are, where it ran, how long it took, and how to
repeat it.
"""

from collections.abc import Sequence
from typing import Any

from caelab.report.document import Block, Code, Column, Note, Paragraph, Section, Table
from caelab.report.run_reader import FinishedRun

ENVIRONMENT = (
    "caelab",
    "commit",
    "python",
    "torch",
    "numpy",
    "platform",
    "processor",
    "cores",
    "threads",
    "device",
)
"""What is told of the environment, in order."""


def data_section(
    runs: Sequence[FinishedRun],
    main: FinishedRun,
    lab: dict[str, Any],
    command: str,
    problems: Sequence[str],
) -> Section:
    """Return the data, the environment, the time and the command.

    Args:
        runs: All of the report, at least one.
        main: Whose images and environment are told.
        lab: What the lab says of itself; empty without one.
        command: That repeats the report, where no lab says it.
        problems: What is missing.
    """
    blocks: list[Block] = []
    source = main.source
    note = str(lab.get("data", {}).get("note") or source.get("note") or "")
    if source["name"] != "cifar10":
        blocks.append(Note(_not_cifar10(source, note), "warning"))
    elif note:
        blocks.append(Note(note, "warning"))
    others = sorted({run.source["name"] for run in runs if run.images != main.images})
    if others:
        blocks.append(
            Note(
                "Some runs have other test images, so that their errors cannot be compared with"
                f" the rest: {', '.join(others)}.",
                "warning",
            )
        )
    if lab.get("cuts"):
        blocks.append(
            Note(f"Budget: {lab.get('budget')}. {' '.join(map(str, lab['cuts']))}", "warning")
        )
    if problems:
        count = len(problems)
        blocks.append(
            Note(
                f"{count} thing{'s are' if count > 1 else ' is'} missing or damaged; see the last"
                " section.",
                "missing",
            )
        )
    blocks += [_images(runs, main), *_environment(runs, main)]
    said = str(lab.get("command") or command)
    if said:
        blocks += [Paragraph("The command that repeats this:"), Code(said)]
    return Section(title="Data, environment, command", blocks=blocks)


def _not_cifar10(source: dict[str, str], note: str) -> str:
    what = {
        "photos": "the built-in photos, crops of photographs that scikit-image carries",
        "folder": "own pictures",
    }
    end = f" {note[0].upper()}{note[1:]}{'' if note.endswith('.') else '.'}" if note else ""
    return (
        f"This is not CIFAR-10. The images are {what.get(source['name'], source['name'])}"
        f" ({source['where']}). Every number in this report is of these images and cannot be"
        f" compared with published ones.{end}"
    )


def _images(runs: Sequence[FinishedRun], main: FinishedRun) -> Table:
    normalisation = main.result["normalisation"]
    size = main.config.data.size
    mean, std = (
        " ".join(f"{value:.4f}" for value in normalisation[name]) for name in ("mean", "std")
    )
    split = (
        "official test images kept apart"
        if main.config.data.split == "official"
        else "80 / 10 / 10"
    )
    rows = [
        ("images", f"{main.source['name']}, {size}×{size} pixels, RGB"),
        ("training images", _counts(runs, main, "train")),
        ("validation images", _counts(runs, main, "validation")),
        ("test images", _counts(runs, main, "test")),
        (
            "split",
            f"{split}, seed {main.config.data.split_seed}; stratified where there are classes",
        ),
        ("mean of R, G, B", f"{mean} (training images; subtracted before the network)"),
        ("deviation of R, G, B", f"{std} (divided by; undone before any error is measured)"),
        ("fingerprint", main.source["fingerprint"]),
    ]
    if main.config.data.normalize == "none":
        rows[5:7] = [("normalisation", "none: pixels stay in [0, 1]")]
    columns = (Column("data", align="left"), Column("", align="left"))
    return Table(
        columns=columns,
        rows=rows,
        caption="The images, their split, and the training part's statistics.",
    )


def _counts(runs: Sequence[FinishedRun], main: FinishedRun, part: str) -> str:
    """Return how many images a part has; the smallest and the largest number where runs of the same
    test differ.
    """
    counts = sorted({run.result["images"][part] for run in runs if run.images == main.images})
    return (
        f"{counts[0]:,}"
        if len(counts) == 1
        else f"{counts[0]:,} to {counts[-1]:,}, not the same for all networks"
    )


def _environment(runs: Sequence[FinishedRun], main: FinishedRun) -> list[Block]:
    environment = main.environment
    rows: list[tuple[str, str]] = [
        (name, str(environment[name])) for name in ENVIRONMENT if environment.get(name) is not None
    ]
    seconds = sum(float(run.result.get("seconds") or 0) for run in runs)
    minutes = f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"
    rows.append(
        (
            "training time",
            f"{minutes} for {len(runs)} runs together, without validation and drawing",
        )
    )
    columns = (Column("environment", align="left"), Column("", align="left"))
    blocks: list[Block] = [
        Table(columns=columns, rows=rows, caption=f"Where {main.name} was trained.")
    ]
    differing = sorted(
        name
        for name in ("caelab", "torch", "processor", "threads", "device")
        if len({str(run.environment.get(name)) for run in runs}) > 1
    )
    if differing:
        blocks.append(
            Note(
                f"Not all runs had the same {', '.join(differing)}: their times are not"
                " comparable.",
                "warning",
            )
        )
    return blocks
