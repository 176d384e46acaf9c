"""Options of every command that writes a report, and what happens when it is written."""

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
"""Browsers that print to a file without a window, by command or path."""


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
    """Print what the report answers, open it and make it a PDF file, as the options say.

    Args:
        report: The HTML file.
        lines: The answers, and where the report is.
        open_report: Open it in the browser.
        pdf: Print it to a PDF file next to it.

    Raises:
        InputError: It cannot be printed.
    """
    echo(lines)
    # Opened before it is printed, as that takes seconds and may fail.
    if open_report:
        webbrowser.open(report.absolute().as_uri())
    if pdf:
        echo(f"printed: {print_pdf(report)}")


def print_pdf(report: Path, *, seconds: float = 120.0) -> Path:
    """Print an HTML file to a PDF file next to it, and return that.

    Args:
        report: The HTML file.
        seconds: Longest time that the browser may take.

    Raises:
        InputError: There is no browser for it, or it fails.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise InputError(
            f"`pdf`: there is neither Chromium nor Chrome on this machine. Install one of them, or"
            f" open {report} in another browser and print it to a file."
        )
    file = report.with_suffix(".pdf")
    # The file of an earlier report must not pass for this one.
    file.unlink(missing_ok=True)
    # A profile of its own: the user's may be in use, and then nothing would be printed.
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        printed = folder / file.name
        words = [browser, "--headless", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
        # Chromium's sandbox refuses to run for root, as in a container; the page is our own.
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
        # Browsers complain and print all the same; only the file counts.
        if printed.is_file():
            write_bytes(file, printed.read_bytes())
    if not file.is_file():
        last = message.splitlines()[-1] if message else "it says nothing"
        raise InputError(f"`pdf`: {browser} could not print {report}: {last}")
    return file
