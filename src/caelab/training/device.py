"""Where the arithmetic happens, and in which precision."""

import contextlib
from typing import Literal

import torch

from caelab.errors import InputError

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]


def choose_device(choice: DeviceChoice) -> torch.device:
    """Return the device: for ``"auto"`` CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: The device that was asked for is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if choice == "auto":
        return torch.device(next(name for name, present in available.items() if present))
    if not available[choice]:
        present = ", ".join(name for name, here in available.items() if here)
        raise InputError(
            f"--device {choice}: there is no such device here; PyTorch finds {present}. Use --device auto."
        )
    return torch.device(choice)


def choose_precision(choice: PrecisionChoice, device: torch.device) -> torch.dtype:
    """Return the type that convolutions compute in; weights and losses are always float32.

    ``"auto"`` is bfloat16 on CUDA devices that have it and float32 elsewhere: on the CPU, small networks spend
    more on converting than bfloat16 products save (``benchmarks/NOTES.md``).
    """
    if choice == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if choice == "bfloat16" else torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> contextlib.AbstractContextManager[None]:
    """Return the context in which convolutions compute in ``precision``."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)
