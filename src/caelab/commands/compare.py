"""``caelab compare``: runs in pairs on the same test images."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caelab.experiments.run_directory import finite

if TYPE_CHECKING:
    from caelab.report.comparison import Comparison


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="RUN RUN …", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    default="mse",
    show_default=True,
    metavar="NAME",
    help="What to compare: mse, psnr, or another that the runs were measured by.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the test images on which the runs differ most, as PNG or SVG.",
)
@click.option(
    "--data",
    metavar="TEXT",
    help="Where the images of the picture are.  [default: where the runs had them]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    runs: tuple[Path, ...], metric: str, picture: Path | None, data: str | None, as_json: bool
) -> None:
    """Compare finished runs, every two of them, image by image on their test images.

    The difference of two means comes with its 95% interval over images (bootstrap) and a p-value
    (sign flips) that is corrected for the number of pairs (Holm).
    """
    from caelab.errors import InputError
    from caelab.metrics.image_metrics import METRICS
    from caelab.report.comparison import compare_runs, draw_differences

    if metric not in METRICS:
        raise InputError(
            f"--metric {metric}: there is no such metric. There are: {', '.join(METRICS)}."
        )
    comparison = compare_runs(runs, metric=metric)
    if picture is not None:
        draw_differences(comparison, picture, data=data)
    if as_json:
        click.echo(json.dumps(finite(_document(comparison)), indent=2, ensure_ascii=False))
        return
    click.echo("\n".join([*_means(comparison), "", *_differences(comparison)]))
    for note in comparison.notes:
        click.echo(f"note: {note}", err=True)
    if picture is not None:
        click.echo(f"picture: {picture}")


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
                "mean": float(comparison.values[name].mean()),
                "n": len(comparison.values[name]),
            }
            for name, run in comparison.runs.items()
        },
        "pairs": [
            {**dataclasses.asdict(pair.comparison), "better": pair.better}
            for pair in comparison.pairs
        ],
        "notes": list(comparison.notes),
    }


def _means(comparison: "Comparison") -> list[str]:
    unit = f", {comparison.unit}" if comparison.unit else ""
    heading = f"mean {comparison.metric}{unit}"
    width = max(map(len, comparison.runs))
    count = len(next(iter(comparison.values.values())))
    lines = [
        (
            f"{'':<{width}}  {heading:>14}   network  ({count:,} test images, {comparison.better} is"
            " better)"
        )
    ]
    return lines + [
        f"{name:<{width}}  {comparison.values[name].mean():>14.6f}   {run.description.text}, seed"
        f" {run.config.seed}"
        for name, run in comparison.runs.items()
    ]


def _differences(comparison: "Comparison") -> list[str]:
    names = [f"{pair.comparison.first} − {pair.comparison.second}" for pair in comparison.pairs]
    width = max(map(len, names))
    lines = [f"{'':<{width}}  {'difference':>11}  {'95% interval':>23}  {'p (Holm)':>8}  better"]
    for name, pair in zip(names, comparison.pairs, strict=True):
        difference = pair.comparison.difference
        interval = (
            "too few images"
            if difference.undetermined
            else f"{difference.low:+.6f} to {difference.high:+.6f}"
        )
        lines.append(
            f"{name:<{width}}  {difference.estimate:>+11.6f}  {interval:>23} "
            f" {pair.comparison.corrected:>8.4f}  {pair.better or 'undetermined'}"
        )
    return lines
