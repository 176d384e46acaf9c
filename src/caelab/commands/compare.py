"""``caelab compare``: compare the errors of runs on the same test images."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caelab.commands.help import documented_command
from caelab.commands.output import PATH, echo, json_option, print_json, table

if TYPE_CHECKING:
    from caelab.report.comparison import Comparison

# Readers may think that the intervals also hold for other trainings, so this note is always shown.
CAUTION = (
    "the intervals and p-values hold for other images; another seed of the training may differ more"
)


@documented_command(
    "compare", "caelab compare runs/a runs/b --metric psnr --picture differences.png"
)
@click.argument("runs", nargs=-1, metavar="RUN RUN …", type=PATH)
@click.option(
    "--metric",
    default="mse",
    show_default=True,
    metavar="NAME",
    help="Metric to compare: mse, psnr, or another metric that the runs were measured by.",
)
@click.option(
    "--picture",
    type=PATH,
    metavar="FILE",
    help="Draw the test images on which the runs differ most to this file, PNG or SVG.",
)
@click.option(
    "--data",
    metavar="TEXT",
    help="Source of the images for --picture.  [default: the source of the runs]",
)
@json_option
def command(
    runs: tuple[Path, ...], metric: str, picture: Path | None, data: str | None, as_json: bool
) -> None:
    """Compare every two of the finished runs RUN by their errors on each test image.

    For each pair, the command prints the mean difference, its 95% confidence interval over images
    (bootstrap), and a p-value (sign-flip test) that is corrected for the number of pairs (Holm).

    \f

    Args:
        runs: Run directories, two or more.
        metric: Name of the metric to compare.
        picture: File for a picture of the test images on which the runs differ most.
        data: Source of the images in the picture; ``None`` for the source of the runs.
        as_json: Print JSON.
    """
    from caelab.report.comparison import compare_runs, draw_differences

    comparison = compare_runs(runs, metric=metric)
    if picture is not None:
        draw_differences(comparison, picture, data=data)
    notes = [CAUTION]
    if len(comparison.degradations) > 1:
        # A colorizer and a denoiser may be compared on the same test images, but few users want it.
        undone = ", ".join(comparison.degradations)
        notes.append(f"the networks undo different degradations: {undone}")
    if as_json:
        print_json({**_document(comparison), "notes": notes})
        return
    echo(f"{_means(comparison)}\n\n{_differences(comparison)}")
    for note in notes:
        echo(f"note: {note}", err=True)
    if picture is not None:
        echo(f"picture: {picture}")


def _document(comparison: "Comparison") -> dict[str, object]:
    return {
        "metric": comparison.metric,
        "unit": comparison.unit,
        "better": comparison.better,
        "runs": {
            name: {
                "path": str(run.directory.path),
                "network": run.description.text,
                "seed": run.config.seed,
                # The JSON encoder refuses NumPy's numbers.
                "mean": float(comparison.values[name].mean()),
                "n": len(comparison.values[name]),
            }
            for name, run in comparison.runs.items()
        },
        "pairs": [
            {**dataclasses.asdict(pair), "better": comparison.winner(pair)}
            for pair in comparison.pairs
        ],
    }


def _means(comparison: "Comparison") -> str:
    unit = f", {comparison.unit}" if comparison.unit else ""
    count = len(next(iter(comparison.values.values())))
    columns = {
        "": "{3}",
        "run": "{0}",
        f"mean {comparison.metric}{unit}": "{1:.6f}",
        f"network  ({count:,} test images, {comparison.better} is better)": (
            "{2.description.text}, seed {2.config.seed}"
        ),
    }
    numbers = _numbers(comparison)
    rows = [
        (name, comparison.values[name].mean(), run, numbers[name])
        for name, run in comparison.runs.items()
    ]
    return table(rows, columns)


def _numbers(comparison: "Comparison") -> dict[str, str]:
    """Return short names of the runs, #1, #2, …, because names of folders make rows too long."""
    return {name: f"#{number}" for number, name in enumerate(comparison.runs, 1)}


def _differences(comparison: "Comparison") -> str:
    rows, numbers = [], _numbers(comparison)
    for pair in comparison.pairs:
        low, high = pair.difference.low, pair.difference.high
        # A few images say too little about other images for an interval.
        few = pair.difference.undetermined
        interval = "too few images" if few else f"{low:+.6f} to {high:+.6f}"
        winner = comparison.winner(pair)
        better = numbers[winner] if winner else "undetermined"
        rows.append((pair, interval, better, numbers[pair.first], numbers[pair.second]))
    columns = {
        "": "{3} − {4}",
        "difference": "{0.difference.estimate:+.6f}",
        "95% interval": "{1:}",
        "p (Holm)": "{0.corrected:.4f}",
        "better": "{2}",
    }
    return table(rows, columns)
