"""A run goes on with the threads, the precision and the compiled functions that it began with."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from caelab.device import threads
from caelab.experiments.environment import describe_environment
from caelab.experiments.run_directory import RunDirectory
from caelab.kernels.compiler import without_kernels

COMPARABLE = ("torch", "processor", "threads", "device", "lanes", "precision")
"""Parts of the environment on which the bits of a resumed run depend."""

MAX_THREADS = 4096

_WORDS = {"lanes": "lanes of the compiled functions", "torch": "PyTorch", "threads": "CPU threads"}

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def as_begun(
    directory: RunDirectory, device: torch.device, precision: torch.dtype
) -> Iterator[torch.dtype]:
    """Compute, while the block runs, as an interrupted run did when it began.

    If this machine cannot do something as it was done before, a warning is logged.

    Args:
        directory: The run directory.
        device: Device on which the run goes on.
        precision: Precision of a run that begins now.

    Yields:
        The precision of the run.

    Raises:
        InputError: The run's ``environment.json`` is missing or damaged.
    """
    if directory.finished or not directory.checkpoint.is_file():
        yield precision
        return
    before = directory.read(directory.environment)
    with contextlib.ExitStack() as stack:
        now = describe_environment(device, precision)
        if before.get("device") == now["device"]:
            # Not on another device: there the numbers differ anyway, and speed counts.
            precision = _PRECISIONS.get(str(before.get("precision")), precision)
        count = begun_with(before) or now["threads"]
        if count != now["threads"]:
            stack.enter_context(threads(count))
            _log.warning(
                "the run goes on with %d CPU threads, with which it began, so that its numbers are"
                " those of a run that was not interrupted.",
                count,
            )
        if "lanes" in before and before["lanes"] is None:
            stack.enter_context(without_kernels())
        if changed := differences(before, describe_environment(device, precision)):
            words = ", ".join(
                f"{_WORDS.get(name, name)} {now} instead of {then}"
                for name, (then, now) in changed.items()
            )
            _log.warning(
                "the run goes on with %s, with which it began: its last digits will not be those of"
                " a run that was not interrupted.",
                words,
            )
        yield precision


def begun_with(environment: Mapping[str, Any]) -> int | None:
    """Return the CPU threads that an environment states, if it states a sensible number."""
    count = environment.get("threads")
    return count if type(count) is int and 1 <= count <= MAX_THREADS else None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs of two environments in parts on which bits depend, by name."""
    return {
        name: (before.get(name), now[name]) for name in COMPARABLE if before.get(name) != now[name]
    }
