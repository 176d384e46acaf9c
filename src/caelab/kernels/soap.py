"""Steps of the optimizer SOAP for small matrices, computed by ``soap.c``."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from caelab.kernels.compiler import CLibrary, c_struct

LIBRARY = CLibrary(
    "soap.c", {"scratch_floats": "lp", "observe_gradient": "-pplfp", "update": "-pplpp"}
)

MAX_PRODUCTS = 4_000_000
"""Largest number of multiplications in the product of a matrix and a basis for which ``soap.c`` is
faster than PyTorch."""

Hyperparameters = c_struct("f first_beta second_beta rate correction epsilon decay")
"""The structure ``Hyperparameters`` of ``soap.c``: the numbers of one step."""

_Parameter = c_struct(
    "l rows columns",
    "p parameter mean mean_square left_covariance right_covariance left_basis right_basis",
)


class SmallMatrix:
    """A parameter and its SOAP state, as ``soap.c`` reads and writes them.

    Args:
        parameter: The parameter that is trained, ``(m, …)``.
        sides: Numbers of rows and columns of the parameter as a matrix.
        state: SOAP's state of the parameter: ``mean``, ``mean_square``, ``covariances``, ``bases``.
    """

    def __init__(self, parameter: Tensor, sides: torch.Size, state: dict[str, Any]) -> None:
        self._state = dict(state)  # keeps the tensors alive, because C stores only addresses
        tensors = (parameter, state["mean"], state["mean_square"])
        self._parameter = _Parameter(
            *sides,
            *(
                None if each is None else each.data_ptr()
                for each in (*tensors, *state["covariances"], *state["bases"])
            ),
        )
        # Each parameter has its own scratch memory, because threads update several parameters at
        # the same time.
        self._scratch = torch.empty(LIBRARY.functions.scratch_floats(self._parameter))
        # A tap is an element of a convolution's kernel. A gradient is stored in the order (output
        # channel, input channel, tap), and SOAP's matrix has columns in the order (tap, input
        # channel), so C needs the number of taps.
        self._taps = parameter[0, 0].numel() if parameter.ndim > 2 else 1

    def is_of(self, parameter: Tensor, state: dict[str, Any]) -> bool:
        """Return whether ``parameter``, of shape (m, …), and ``state`` are still the same ones."""
        return (
            # Loading a checkpoint replaces the state, and C would update the old one. Moving the
            # model replaces the parameter's memory, and C would write to freed memory.
            parameter.data_ptr() == self._parameter.parameter
            and state["mean"] is self._state["mean"]
        )

    def observe(self, gradient: Tensor, keep: float) -> None:
        """Update the covariances with a gradient.

        Args:
            gradient: Gradient of the parameter, with the parameter's shape, contiguous.
            keep: Weight of the old covariances, between 0 and 1.
        """
        LIBRARY.functions.observe_gradient(
            self._parameter, gradient, self._taps, keep, self._scratch
        )

    def update(self, gradient: Tensor, hyperparameters: ctypes.Structure) -> None:
        """Update the moments, and move the parameter by a step of Adam that is taken in the bases.

        Args:
            gradient: Gradient of the parameter, with the parameter's shape, contiguous.
            hyperparameters: Numbers of the step, a :data:`Hyperparameters`.
        """
        LIBRARY.functions.update(
            self._parameter, gradient, self._taps, hyperparameters, self._scratch
        )


def small_matrix(parameter: Tensor, matrix: Tensor, state: dict[str, Any]) -> SmallMatrix | None:
    """Return the parameter for ``soap.c``; ``None`` if PyTorch must update it, or is faster.

    Args:
        parameter: The parameter that is trained, ``(m, …)``.
        matrix: The parameter as a matrix, of shape ``(m, n)``; a copy cannot be used.
        state: SOAP's state of the parameter: moments of shape ``(m, n)``, and for each side a
            covariance and a basis of shape ``(m, m)`` or ``(n, n)``, or ``None``.
    """
    usable = (
        matrix.ndim == 2
        and matrix.dtype == torch.float32
        and matrix.device.type == "cpu"
        and 0 < matrix.numel() * max(matrix.shape) <= MAX_PRODUCTS
        # C changes the matrix in place, so the update of a copy would be lost.
        and matrix.data_ptr() == parameter.data_ptr()
        and matrix.is_contiguous()
        and LIBRARY.loaded is not None
    )
    return SmallMatrix(parameter, matrix.shape, state) if usable else None
