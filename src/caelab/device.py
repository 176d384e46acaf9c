"""Where and how to compute: device, precision and threads."""

import contextlib
import logging
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal, TypeVar

import torch

from caelab.errors import InputError
from caelab.processors import available_cores, default_threads

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]

_log = logging.getLogger(__name__)

_WITHOUT_BFLOAT16 = (
    "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI",
)  # fmt: skip
"""Values of ``ONEDNN_MAX_CPU_ISA`` with which oneDNN multiplies no numbers in bfloat16."""


def choose_device(choice: DeviceChoice) -> torch.device:
    """Return the device to compute on: for ``"auto"`` CUDA, or else Apple's MPS, or else the CPU.

    A warning names the device if ``"auto"`` finds a GPU. The function also calls
    :func:`limit_threads`.

    Raises:
        InputError: PyTorch finds no such device.
    """
    limit_threads()
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice == "auto":
        device = torch.device(next(name for name, present in available.items() if present))
        if device.type != "cpu":
            _log.warning(
                "`device` auto is %s here; small networks may be faster with `device` cpu.", device
            )
        return device
    if not available[choice]:
        present = ", ".join(name for name, here in available.items() if here)
        raise InputError(
            f"`device` {choice}: there is no such device here; PyTorch finds {present}. Use"
            " `device` auto."
        )
    return torch.device(choice)


def choose_precision(choice: PrecisionChoice, device: torch.device) -> torch.dtype:
    """Return the type that convolutions compute in; weights and losses are always float32.

    ``"auto"`` is bfloat16 on CUDA devices that support it, and float32 elsewhere. On a CPU, small
    networks lose more time by conversions than bfloat16 saves (``docs/benchmarks/tried.md``). If a
    CPU has no instructions for bfloat16, ``"bfloat16"`` becomes float32, with a logged warning.

    >>> choose_precision("auto", choose_device("cpu"))
    torch.float32
    """
    if choice == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if choice == "float32":
        return torch.float32
    if device.type == "cpu" and not has_bfloat16():
        _log.warning(
            "this processor has no bfloat16 instructions: convolutions are computed in float32."
        )
        return torch.float32
    return torch.bfloat16


def has_bfloat16() -> bool:
    """Return whether the CPU has instructions that multiply numbers in bfloat16.

    A CPU with these instructions trains wide networks two to three times as fast as in float32. For
    other CPUs PyTorch emulates bfloat16, which takes from 1.5 to some hundred times as long
    (``docs/benchmarks/tried.md``). The environment variable ``ONEDNN_MAX_CPU_ISA`` can forbid these
    instructions to oneDNN, the library that computes the convolutions.
    """
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if allowed in _WITHOUT_BFLOAT16:
        return False
    if platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(
    device: torch.device, precision: torch.dtype
) -> contextlib.AbstractContextManager[None]:
    """Return the context in which convolutions compute in ``precision``."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)


@cache
def limit_threads() -> None:
    """Limit PyTorch to ``OMP_NUM_THREADS`` threads, or else to one per core that it may use.

    PyTorch itself counts all cores of the machine. It would start 64 threads in a container that
    may use two of 64 cores. Only the first call has an effect, so that a later one does not change
    the number that somebody has chosen since.
    """
    # The number is set only if it is too large, because PyTorch starts threads when it is set.
    if torch.get_num_threads() > default_threads():
        torch.set_num_threads(default_threads())


def set_threads(count: int | None) -> None:
    """Let PyTorch use ``count`` threads; ``None`` only calls :func:`limit_threads`."""
    limit_threads()
    if count is not None:
        torch.set_num_threads(count)


ResultT = TypeVar("ResultT")


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch use ``count`` threads for operations of the calling thread in this block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_shares(
    function: Callable[..., ResultT], shares: Sequence[tuple[Any, ...]], threads_each: int = 1
) -> list[ResultT]:
    """Call a function for several shares of work at the same time; return the results in order.

    Args:
        function: Function that is called for each share.
        shares: Arguments of each call.
        threads_each: Number of threads that PyTorch uses in each call. A single share keeps the
            number of the calling thread.
    """
    if len(shares) <= 1:
        return [function(*share) for share in shares]

    def call(share: tuple[Any, ...]) -> ResultT:
        if torch.get_num_threads() != threads_each:  # PyTorch keeps this number per thread
            torch.set_num_threads(threads_each)
        return function(*share)

    with threads(threads_each):
        return in_parallel(call, [(share,) for share in shares])


def in_parallel(
    function: Callable[..., ResultT], shares: Sequence[tuple[Any, ...]]
) -> list[ResultT]:
    """Call a function for several shares of work at the same time; return the results in order.

    The first share runs in the calling thread. Calls may be nested: ``function`` may call
    ``in_parallel``.

    Args:
        function: Function that is called for each share.
        shares: Arguments of each call, at least one.
    """
    others = [_pool().submit(function, *share) for share in shares[1:]]
    results = [function(*shares[0])]
    for other, share in zip(others, shares[1:], strict=True):
        # A share that no thread has begun is computed here. Otherwise nested calls could wait
        # forever: each thread would wait for a share that needs a free thread.
        results.append(function(*share) if other.cancel() else other.result())
    return results


# One pool for the whole process, because each pool keeps one thread per core alive.
@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_cores(), "caelab")
