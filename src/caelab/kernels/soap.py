"""The step of SOAP for small matrices, computed by ``soap.c``."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from caelab.kernels.compiler import CLibrary, c_struct

LIBRARY = CLibrary(
    "soap.c", {"scratch_floats": "lp", "observe_gradient": "-pplfp", "update": "-pplpp"}
)

MAX_PRODUCTS = 4_000_000
"""Largest number of multiplications in a product with a basis for which ``soap.c`` is faster than
PyTorch."""

Hyperparameters = c_struct("f first_beta second_beta rate correction epsilon decay")
"""``Hyperparameters`` of ``soap.c``, the numbers of one step."""

_Parameter = c_struct(
    "l rows columns",
    "p parameter mean mean_square left_covariance right_covariance left_basis right_basis",
)


class SmallMatrix:
    """A parameter and its SOAP state, as ``soap.c`` reads and writes them.

    Args:
        parameter: The parameter that is trained, ``(m, …)``.
        sides: Rows and columns of the matrix that SOAP sees.
        state: SOAP's state of the parameter.
    """

    def __init__(self, parameter: Tensor, sides: torch.Size, state: dict[str, Any]) -> None:
        self._state = dict(state)  # keeps the tensors alive whose addresses C knows
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
        # In memory a gradient has the order (output, input channel, tap). SOAP's matrix has the
        # columns (tap, input channel), so C needs the number of taps to exchange the two.
        self._taps = parameter[0, 0].numel() if parameter.ndim > 2 else 1

    def is_of(self, parameter: Tensor, state: dict[str, Any]) -> bool:
        """Return whether this is still the parameter, of shape (m, …), and its state."""
        return (
            # Loading a checkpoint or moving the model replaces these tensors, and C would write to
            # freed memory.
            parameter.data_ptr() == self._parameter.parameter
            and state["mean"] is self._state["mean"]
        )

    def observe(self, gradient: Tensor, keep: float) -> None:
        """Update the covariances by a gradient.

        Args:
            gradient: Gradient of the parameter, of its shape, contiguous.
            keep: Share of the old covariances that is kept, between 0 and 1.
        """
        LIBRARY.functions.observe_gradient(
            self._parameter, gradient, self._taps, keep, self._scratch
        )

    def update(self, gradient: Tensor, hyperparameters: ctypes.Structure) -> None:
        """Move the parameter, and the moments, by Adam's step in the bases.

        Args:
            gradient: Gradient of the parameter, of its shape, contiguous.
            hyperparameters: Those of the step, as :data:`Hyperparameters`.
        """
        LIBRARY.functions.update(
            self._parameter, gradient, self._taps, hyperparameters, self._scratch
        )


def small_matrix(parameter: Tensor, matrix: Tensor, state: dict[str, Any]) -> SmallMatrix | None:
    """Return the parameter for ``soap.c``; ``None`` if PyTorch must update it, or is faster.

    Args:
        parameter: The parameter that is trained, ``(m, …)``.
        matrix: The parameter as SOAP sees it, ``(m, n)``; a copy cannot be used.
        state: SOAP's state of the parameter: moments of shape ``(M, N)``, and for each side a
            covariance and a basis of shape ``(M, M)`` or ``(N, N)``.
    """
    usable = (
        matrix.ndim == 2
        and matrix.dtype == torch.float32
        and matrix.device.type == "cpu"
        and 0 < matrix.numel() * max(matrix.shape) <= MAX_PRODUCTS
        # C changes the weights in place. If the matrix is a copy, the update would be lost.
        and matrix.data_ptr() == parameter.data_ptr()
        and matrix.is_contiguous()
        and LIBRARY.loaded is not None
    )
    return SmallMatrix(parameter, matrix.shape, state) if usable else None
