"""Resume a run with the threads, the precision and the SIMD kernels that it began with."""

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
"""Keys of ``environment.json`` on which the last digits of a run's numbers depend."""

MAX_THREADS = 4096
"""Largest number of CPU threads that is accepted from a file."""

_WORDS = {"lanes": "lanes of the SIMD kernels", "torch": "PyTorch", "threads": "CPU threads"}

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def as_begun(
    directory: RunDirectory, device: torch.device, precision: torch.dtype
) -> Iterator[torch.dtype]:
    """Let the block compute with the settings that an interrupted run began with.

    These are the CPU threads, the precision, and whether SIMD kernels are used. A warning is logged
    if the threads change, or if something still differs. For a new run, nothing is changed.

    Args:
        directory: The run directory.
        device: Device that trains the run now.
        precision: Number format of convolutions for a new run, or for a run on another device.

    Yields:
        The number format in which the run's convolutions compute.

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
            # On another device the numbers differ anyway, so there the given precision is kept.
            precision = _PRECISIONS.get(str(before.get("precision")), precision)
        count = begun_with(before) or now["threads"]
        if count != now["threads"]:
            stack.enter_context(threads(count))
            _log.warning(
                "the run resumes with the %d CPU threads that it began with, so that it ends with"
                " the same numbers as an uninterrupted run.",
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
                "the run resumes with another environment than it began with (%s), so the last"
                " digits of its numbers will differ from those of an uninterrupted run.",
                words,
            )
        yield precision


def begun_with(environment: Mapping[str, Any]) -> int | None:
    """Return the CPU threads that a stored environment or plan states, or ``None``.

    ``None`` stands for a number that is missing or not from 1 to ``MAX_THREADS``.
    """
    count = environment.get("threads")
    return count if type(count) is int and 1 <= count <= MAX_THREADS else None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return (old value, new value) by key for each key of ``COMPARABLE`` whose value changed."""
    return {
        name: (before.get(name), now[name]) for name in COMPARABLE if before.get(name) != now[name]
    }
