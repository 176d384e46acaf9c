"""Where fresh worker processes come from. This module needs no torch, so that the server can start
before it is here.

On Linux a server imports what a run needs, once, and forks itself for every worker; elsewhere
forking is unsafe or unknown, and each worker is a new interpreter that imports it all again.
"""

import multiprocessing
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

PRELOADED = "caelab.experiments.run"
"""What a run needs. Nothing is computed at its import, so no thread is lost when the server
forks."""

FORKS = sys.platform == "linux"


def context() -> "ForkServerContext | SpawnContext":
    """Return what makes workers, in :mod:`multiprocessing`'s terms."""
    if not FORKS:
        return multiprocessing.get_context("spawn")
    get_ready()
    return multiprocessing.get_context("forkserver")


def get_ready() -> None:
    """Let the server import what it needs while this process does something else.

    Ctrl-C, which a terminal sends to all processes, is for this one alone: the server and its
    workers do not get it.
    """
    if not FORKS:
        return
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # the server would start it, and it lets Ctrl-C through again
    forkserver.set_forkserver_preload([PRELOADED])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
