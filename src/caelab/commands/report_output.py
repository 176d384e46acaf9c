"""Options of commands that write a report; print, open and convert the finished report."""

import os
import shutil
import subprocess
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

import click

from caelab.commands.output import echo
from caelab.errors import InputError
from caelab.files import temporary_folder, write_bytes

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
"""Commands or paths of browsers that can print to a file without opening a window."""


def report_options(command: Any) -> Any:
    """Add ``--language``, ``--open`` and ``--pdf`` to a command."""
    options = (
        click.option(
            "--language",
            default="en",
            show_default=True,
            help="Language of the report: en or de.",
        ),
        click.option("--open", "open_report", is_flag=True, help="Open the report in the browser."),
        click.option(
            "--pdf", is_flag=True, help="Print the report to report.pdf, with Chromium or Chrome."
        ),
    )
    # Click shows options in the order of decorators, and the last decorator is applied first.
    for option in reversed(options):
        command = option(command)
    return command


def show_report(report: Path, lines: str, *, open_report: bool, pdf: bool) -> None:
    """Print the answers of a report; open the report and convert it to PDF if the options say so.

    Args:
        report: HTML file of the report.
        lines: Answers of the report, and its path.
        open_report: Open the report in the browser.
        pdf: Print the report to a PDF file next to it.

    Raises:
        InputError: The PDF file cannot be made.
    """
    echo(lines)
    # The report is opened first, because making a PDF takes seconds and may fail.
    if open_report:
        webbrowser.open(report.absolute().as_uri())
    if pdf:
        echo(f"printed: {print_pdf(report)}")


def print_pdf(report: Path, *, seconds: float = 120.0) -> Path:
    """Print an HTML file to a PDF file next to it, and return the path of the PDF file.

    Args:
        report: The HTML file.
        seconds: Longest time that the browser may take, in seconds.

    Raises:
        InputError: There is neither Chromium nor Chrome, or the browser fails.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise InputError(
            f"`pdf`: there is neither Chromium nor Chrome on this machine. Install one of them, or"
            f" open {report} in another browser and print it to a file."
        )
    file = report.with_suffix(".pdf")
    # If printing fails, the PDF file of an earlier report must not look like the new one.
    file.unlink(missing_ok=True)
    # If a window uses the user's profile, nothing is printed. So the browser gets a new profile.
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        printed = folder / file.name
        words = [browser, "--headless", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
        # Chromium's sandbox does not work for root, the usual user in containers. It is not needed,
        # because caelab made the page.
        words += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        words += ["--no-pdf-header-footer", f"--print-to-pdf={printed}"]
        try:
            done = subprocess.run(
                [*words, report.absolute().as_uri()],
                capture_output=True,
                check=False,
                text=True,
                timeout=seconds,
            )
            message = done.stderr.strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            message = str(error)
        # Browsers may report errors although they print, so only the file is checked.
        if printed.is_file():
            write_bytes(file, printed.read_bytes())
    if not file.is_file():
        last = message.splitlines()[-1] if message else "it says nothing"
        raise InputError(f"`pdf`: {browser} could not print {report}: {last}")
    return file
