"""``caelab report``: write a report on runs and studies."""

import shlex
import sys
from pathlib import Path

import click

from caelab.commands.help import documented_command
from caelab.commands.output import PATH
from caelab.commands.report_output import report_options, show_report


@documented_command(
    "report", "caelab report runs/a runs/study-architectures", "caelab report 'U-Net=runs/c' --open"
)
@click.argument("folders", nargs=-1, required=True, metavar="[NAME=]DIR...")
@click.option(
    "--out",
    type=PATH,
    default=Path("report"),
    show_default=True,
    help="Folder for the report.",
)
@click.option(
    "--runs",
    type=PATH,
    help="Folder of the run directories of studies.  [default: each study's parent folder]",
)
@click.option("--data", help="Source of the images.  [default: the source of the runs]")
@click.option(
    "--images/--no-images",
    default=True,
    show_default=True,
    help="Show images of the data. Use --no-images if you may not publish them.",
)
@report_options
def command(
    folders: tuple[str, ...],
    out: Path,
    runs: Path | None,
    data: str | None,
    images: bool,
    language: str,
    open_report: bool,
    pdf: bool,
) -> None:
    """Write a report on each DIR: a run directory, a folder of a study, or a folder of the lab.

    NAME is what tables and pictures call a run that colors or restores. By default it is made from
    the network and the options.

    The report consists of report.html, which needs no other file, report.md with its pictures,
    and results.json with every number. The report names runs that are missing or damaged.

    \f

    Args:
        folders: Run directories and folders of studies, each as ``DIR`` or ``NAME=DIR``.
        out: Folder of the report.
        runs: Folder of the run directories of studies.
        data: Source of the images; ``None`` for the source of the runs.
        images: Show images, for which the data are loaded.
        language: Language of the report, ``en`` or ``de``.
        open_report: Open the report in a browser.
        pdf: Print the report to a file.
    """
    from caelab.report.report import write_report

    named = [_named(folder) for folder in folders]
    report, lines = write_report(
        [folder for _, folder in named],
        out=out,
        names={folder.absolute().name: name for name, folder in named if name},
        runs=runs,
        data=data,
        command=shlex.join(["caelab", *sys.argv[1:]]),
        bitmaps=images,
        language=language,
    )
    show_report(report, lines, open_report=open_report, pdf=pdf)


def _named(folder: str) -> tuple[str, Path]:
    """Return the name before ``=``, which is empty if there is none, and the folder."""
    name, equals, rest = folder.partition("=")
    # If there is a folder with this whole name, its "=" does not separate a name.
    if Path(folder).exists() or not (equals and name and rest):
        return "", Path(folder)
    return name, Path(rest)
