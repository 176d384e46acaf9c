"""Where the arithmetic happens, and in which precision."""

import contextlib
import logging
import platform
from typing import Literal

import torch

from caelab.errors import InputError

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]

_log = logging.getLogger(__name__)


def choose_device(choice: DeviceChoice) -> torch.device:
    """Return the device: for ``"auto"`` CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: The device that was asked for is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice == "auto":
        return torch.device(next(name for name, present in available.items() if present))
    if not available[choice]:
        present = ", ".join(name for name, here in available.items() if here)
        raise InputError(
            f"`device` {choice}: there is no such device here; PyTorch finds {present}. Use"
            " `device` auto."
        )
    return torch.device(choice)


def choose_precision(choice: PrecisionChoice, device: torch.device) -> torch.dtype:
    """Return the type that convolutions compute in; weights and losses are always float32.

    ``"auto"`` is bfloat16 on CUDA devices that have it and float32 elsewhere: on the CPU, small
    networks spend more on converting than bfloat16 products save (``benchmarks/NOTES.md``).
    ``"bfloat16"`` is float32, with a logged warning, on a CPU that would have to imitate it.
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
    """Whether the CPU multiplies numbers in bfloat16 by instructions of its own.

    Such CPUs train wide networks in it two to three times as fast as in float32; others imitate it,
    from 1.5 to some hundred times as slowly (``benchmarks/NOTES.md``).
    """
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
