"""``caelab report``: runs and studies in one HTML file."""

import shlex
import webbrowser
from pathlib import Path

import click


@click.command("report")
@click.argument("folders", nargs=-1, required=True, metavar="[NAME=]DIR...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="The report's folder.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    help="Where the runs of studies are.  [default: beside the study]",
)
@click.option("--data", help="Where the images are.  [default: where the runs had them]")
@click.option(
    "--images/--no-images",
    default=True,
    show_default=True,
    help="Show images of the data. Without, the report may be passed on where they may not.",
)
@click.option("--open", "open_report", is_flag=True, help="Show the report in the browser.")
def command(
    folders: tuple[str, ...],
    out: Path,
    runs: Path | None,
    data: str | None,
    images: bool,
    open_report: bool,
) -> None:
    """Write a report of DIR..., run directories, studies' folders or labs' folders.

    NAME is what a colorizing or restoring run is called in tables and pictures, instead of by its
    network and options.

    It leaves report.html, which needs nothing else, report.md with its pictures, and results.json
    with every number. What is missing or damaged is named in the report, and the rest is reported.
    """
    from caelab.report.report import write_report

    named = [_named(folder) for folder in folders]
    words = ["caelab", "report", *folders]
    words += ["--runs", str(runs)] if runs else []
    words += ["--data", data] if data else []
    words += [] if images else ["--no-images"]
    report = write_report(
        [folder for _, folder in named],
        out=out,
        names={folder.absolute().name: name for name, folder in named if name},
        runs=runs,
        data=data,
        command=shlex.join(words),
        images=images,
    )
    click.echo(f"report: {report}")
    if open_report:
        webbrowser.open(report.absolute().as_uri())


def _named(folder: str) -> tuple[str, Path]:
    """Return the name before ``=``, empty where there is none, and the folder."""
    name, equals, rest = folder.partition("=")
    if Path(folder).exists() or not (equals and name and rest):
        return "", Path(folder)
    return name, Path(rest)
