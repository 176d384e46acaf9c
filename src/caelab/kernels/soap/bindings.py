"""``matrix.c``, compiled and declared: the step of one small matrix."""

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caelab.kernels.compiler import library_of

SOURCE = Path(__file__).with_name("matrix.c")

MOST_PRODUCTS = 4_000_000
"""Multiplications of a product with a basis up to which the loops are faster than PyTorch's
calls."""


class _Parameter(ctypes.Structure):
    """``Parameter`` of ``matrix.c``."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("parameter", ctypes.c_void_p),
        ("mean", ctypes.c_void_p),
        ("mean_square", ctypes.c_void_p),
        ("covariances", ctypes.c_void_p * 2),
        ("bases", ctypes.c_void_p * 2),
    )


class Numbers(ctypes.Structure):
    """``Numbers`` of ``matrix.c``."""

    _fields_ = tuple(
        (name, ctypes.c_float)
        for name in ("first_beta", "second_beta", "rate", "share", "epsilon", "decay")
    )


class SmallMatrix:
    """A parameter and what is known of it, where ``matrix.c`` finds them.

    Args:
        loops: The compiled ``matrix.c``.
        parameter: As it is trained.
        matrix: The same memory as SOAP sees it, ``(m, n)``.
        state: Of SOAP.
    """

    def __init__(
        self, loops: ctypes.CDLL, parameter: Tensor, matrix: Tensor, state: dict[str, Any]
    ) -> None:
        self._loops = loops
        self._kept = dict(state)
        moments = (state["mean"].data_ptr(), state["mean_square"].data_ptr())
        sides = [_addresses(state[name]) for name in ("covariances", "bases")]
        self._parameter = _Parameter(*matrix.shape, parameter.data_ptr(), *moments, *sides)
        self._self = ctypes.byref(self._parameter)
        self._scratch = torch.empty(loops.scratch_floats(self._self))
        self._taps = parameter[0, 0].numel() if parameter.ndim > 2 else 1

    def is_of(self, parameter: Tensor, state: dict[str, Any]) -> bool:
        """Whether these are still the parameter and the state."""
        return (
            parameter.data_ptr() == self._parameter.parameter
            and state["mean"] is self._kept["mean"]
        )

    def observe(self, gradient: Tensor, keep: float) -> None:
        """Take a gradient into the covariances, which keep so much of themselves.

        Args:
            gradient: Of the parameter's shape, contiguous.
            keep: Between 0 and 1.
        """
        self._loops.observe(
            self._self, gradient.data_ptr(), self._taps, keep, self._scratch.data_ptr()
        )

    def update(self, gradient: Tensor, numbers: Numbers) -> None:
        """Move the parameter, and the moments, by Adam's step in the bases.

        Args:
            gradient: As for :meth:`observe`.
            numbers: Of the step.
        """
        self._loops.update(
            self._self,
            gradient.data_ptr(),
            self._taps,
            ctypes.byref(numbers),
            self._scratch.data_ptr(),
        )


def small_matrix(parameter: Tensor, matrix: Tensor, state: dict[str, Any]) -> SmallMatrix | None:
    """Return the parameter for the compiled loops; ``None`` where it does not suit them, or there
    are none.

    Args:
        parameter: As it is trained.
        matrix: The parameter as SOAP sees it; where that is a copy, it does not suit.
        state: What is known of it.
    """
    if (
        matrix.ndim != 2
        or matrix.dtype != torch.float32
        or matrix.device.type != "cpu"
        or not matrix.numel()
    ):
        return None
    tensors = (matrix, state["mean"], state["mean_square"], *state["covariances"], *state["bases"])
    as_lies = matrix.data_ptr() == parameter.data_ptr() and all(
        each is None or each.is_contiguous() for each in tensors
    )
    if (
        not as_lies
        or matrix.numel() * max(matrix.shape) > MOST_PRODUCTS
        or (loops := library()) is None
    ):
        return None
    return SmallMatrix(loops, parameter, matrix, state)


def declared(loops: ctypes.CDLL) -> ctypes.CDLL:
    """Tell what the functions of ``matrix.c`` are given and return."""
    pointer, parameter = ctypes.c_void_p, ctypes.POINTER(_Parameter)
    loops.scratch_floats.argtypes, loops.scratch_floats.restype = [parameter], ctypes.c_int64
    loops.observe.argtypes = [parameter, pointer, ctypes.c_int64, ctypes.c_float, pointer]
    loops.update.argtypes = [parameter, pointer, ctypes.c_int64, ctypes.POINTER(Numbers), pointer]
    loops.observe.restype = loops.update.restype = None
    return loops


library = library_of(SOURCE, declared)
"""Returns the compiled loops; ``None`` where there is no C compiler, or it fails."""


def _addresses(matrices: list[Tensor | None]) -> Any:
    return (ctypes.c_void_p * 2)(*[None if each is None else each.data_ptr() for each in matrices])
