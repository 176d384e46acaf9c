"""The view "Runs": a folder of runs, live while they train; comparison; start and stop."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from caelab.app.pages import render
from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run_directory import RunDirectory, read_config


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A finished run in the folder of runs.

    Attributes:
        path: Its run directory.
        config: Its configuration.
    """

    path: Path
    config: RunConfig


def finished_runs(runs: Path) -> Iterator[FoundRun]:
    """Yield the finished runs of a folder, sorted by name; damaged ones are left out."""
    for path in sorted(runs.iterdir()) if runs.is_dir() else ():
        try:
            if RunDirectory(path).finished:
                yield FoundRun(path=path, config=read_config(path))
        except (InputError, OSError):
            continue


async def _show(request: Request) -> Response:
    return render(request, "runs.html.j2")


ROUTES = [Route("/runs", _show)]
