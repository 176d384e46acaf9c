"""``caelab app``: serve a page for the browser, with pictures, networks, codes and runs."""

import contextlib
import os
import socket
import tempfile
import webbrowser
from pathlib import Path

import click

from caelab.commands.help import documented_command
from caelab.commands.output import echo, runs_option
from caelab.errors import InputError, missing_extra
from caelab.files import temporary_folder

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Addresses by which a browser on this machine reaches it."""

MAX_HEADER = 2**18
"""Bytes of a request before its body: an address may hold a network's text, each letter as nine."""


@documented_command("app", "caelab app --open", "caelab app --port 8080 --runs runs")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="Port of the page; 0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address of this machine that serves the page. With 0.0.0.0, which means all addresses,"
    " other machines can open the page, too.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Address of a public server that passes requests on to this page. Repeat the option for"
    " several servers.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@runs_option
def command(port: int, host: str, origins: tuple[str, ...], open_page: bool, runs: Path) -> None:
    """Open a page in the browser: restore pictures, understand networks, look into codes, train.

    Only this machine can open the page, unless --host is another address. The page loads nothing
    from the internet. Ctrl-C stops the command.

    \f

    Args:
        port: Port of the page; 0 takes a free one.
        host: Address that the page listens on.
        origins: Addresses of servers that pass requests on to this page.
        open_page: Open the page in the browser.
        runs: Folder of the run directories.
    """
    try:
        import uvicorn

        from caelab.app.server import make_app
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("caelab"):
            raise
        raise missing_extra("the page needs more packages", "app") from error

    listening = _listen(host, port)
    port = listening.getsockname()[1]
    names = {f"{name}:{port}" for name in (*LOOPBACK, host)}
    names |= {origin.split("://")[-1].rstrip("/") for origin in origins}
    everywhere = host in ("0.0.0.0", "::")
    jobs = None
    try:
        with contextlib.closing(listening), temporary_folder(Path(tempfile.gettempdir())) as folder:
            app = make_app(
                runs=runs, folder=folder, hosts={"*"} if everywhere else names, origins=origins
            )
            jobs = app.state.jobs
            url = f"http://{'127.0.0.1' if everywhere else host}:{port}"
            echo(f"caelab is at {url} (Ctrl-C stops it)")
            if open_page:
                webbrowser.open(url)
            uvicorn.Server(
                uvicorn.Config(
                    app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1,
                    h11_max_incomplete_event_size=MAX_HEADER,
                )
            ).run(sockets=[listening])  # fmt: skip
    finally:
        # Python would wait until the picture is done that a thread computes, which takes minutes.
        if jobs is not None and jobs.busy:
            echo("interrupted", err=True)
            os._exit(130)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: Name or IP address of this machine.
        port: Port; 0 takes a free one.

    Raises:
        InputError: The port is taken, or this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be used: {error.strerror}. Choose another port: --port 0 takes"
            " a free one."
        ) from error
