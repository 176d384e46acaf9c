"""The web application: its views and its error page."""

import contextlib
from collections.abc import AsyncIterator, Collection
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from caelab.app import code_view, restore_view, runs_view, understand_view
from caelab.app.guard import Guard
from caelab.app.jobs import Jobs
from caelab.app.pages import FOLDER, render
from caelab.errors import InputError, printable


def make_app(
    *, runs: Path, folder: Path, hosts: Collection[str] = ("*",), origins: Collection[str] = ()
) -> Starlette:
    """Return the web application.

    Args:
        runs: Folder whose run directories the page shows, and in which it starts runs.
        folder: Empty folder for uploaded and computed files.
        hosts: Names of this server, with ports, that requests may use; ``*`` allows any name.
        origins: Addresses of other sites whose pages may send requests.
    """
    jobs = Jobs(folder)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        jobs.close()

    routes: list[BaseRoute] = [
        Route("/", _home),
        *restore_view.ROUTES,
        *understand_view.ROUTES,
        *code_view.ROUTES,
        *runs_view.ROUTES,
        Mount("/static", StaticFiles(directory=FOLDER / "static")),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _http_error,
            InputError: _input_error,
            Exception: _mistake,
        },
        middleware=[Middleware(Guard, hosts=hosts, origins=origins, refuse=_refuse)],
    )
    app.state.jobs = jobs
    app.state.runs = runs
    return app


async def _home(_: Request) -> Response:
    return RedirectResponse("/restore")


def _refuse(request: Request, status: int, reason: str) -> Response:
    return render(request, "error.html.j2", status=status, message=reason)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # If no view has given a detail, Starlette uses the name of the status.
    unknown = error.detail == HTTPStatus.NOT_FOUND.phrase
    return _refuse(
        request, error.status_code, "there is no such page." if unknown else error.detail
    )


async def _input_error(request: Request, error: Exception) -> Response:
    return _refuse(request, 400, str(error))


async def _mistake(request: Request, error: Exception) -> Response:
    """Show the page of an error in caelab, which is no fault of the user; the server continues."""
    name = f"{type(error).__name__}: {printable(str(error))}"
    return _refuse(request, 500, f"this is an error in caelab, please report it ({name}).")
