"""One step of training, a gradient and an update; CUDA devices record it once and replay it."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from caelab.device import threads
from caelab.training.gradient import BatchGradient, Terms
from caelab.training.soap import SOAP

_log = logging.getLogger(__name__)

MIN_STEPS_BEFORE_RECORDING = 3
"""Steps that are run before one is recorded: libraries allocate memory in their first calls."""

Recorder = Callable[[Callable[[], Terms]], Callable[[], Terms]]
"""Records a function's operations without running them; the result runs them on the same tensors.
"""


class Step:
    """Takes steps of training: ``terms = step(chosen, keys, epoch, number)``.

    Each operation that Python asks of a GPU costs some microseconds, and a small network's step has
    hundreds that keep the GPU busy for less. Steps that are alike are therefore recorded as a CUDA
    graph, which is launched with one call. Alike are SOAP's steps between two refreshes of its
    bases, if nothing in them comes from the host but the images' indices, their keys and
    ``SOAP.numbers``: these are copied to fixed tensors on the device. All other steps, and those on
    other devices, are run operation by operation.

    Args:
        gradient: Gradient of a batch.
        optimizer: Optimizer of its parameters.
        grad_clip: Largest norm of the gradient over all parameters, or ``None``.
        threads: CPU threads of the update.
        record: Recorder; by default :func:`cuda_graph` if the images are on a CUDA device.
    """

    def __init__(
        self,
        gradient: BatchGradient,
        optimizer: Optimizer,
        *,
        grad_clip: float | None,
        threads: int,
        record: Recorder | None = None,
    ) -> None:
        self._gradient, self._optimizer = gradient, optimizer
        self._grad_clip, self._threads = grad_clip, threads
        record = record or (cuda_graph if gradient.device.type == "cuda" else None)
        self._record = record if gradient.recordable and isinstance(optimizer, SOAP) else None
        self._steps = 0
        self._replay: Callable[[], Terms] | None = None
        self._inputs: tuple[Tensor, ...] = ()

    def __call__(self, chosen: Tensor, keys: Tensor, epoch: int, number: int) -> Terms:
        """Train on a batch and return its loss, as :class:`BatchGradient` does.

        Args:
            chosen: Indices of the batch's images, ``int64 (N,)``.
            keys: Keys of these images in this epoch, ``int64 (N,)``.
            epoch: Index of the epoch.
            number: Index of the step in the epoch.
        """
        optimizer = self._optimizer
        if (
            self._record
            and isinstance(optimizer, SOAP)
            and optimizer.steady
            and self._steps >= MIN_STEPS_BEFORE_RECORDING
        ):
            return self._run_recorded(self._record, optimizer, chosen, keys)
        self._steps += 1
        terms = self._gradient(chosen, keys, epoch, number)
        with threads(self._threads):
            self._clip()
            optimizer.step()
        return terms

    def _run_recorded(
        self, record: Recorder, optimizer: SOAP, chosen: Tensor, keys: Tensor
    ) -> Terms:
        # Counting happens on the host, outside what is recorded.
        optimizer.count()
        values = (chosen, keys, optimizer.numbers)
        # A graph reads and writes the same addresses at every replay; so new values are copied to
        # them.
        self._inputs = self._inputs or tuple(each.to(chosen.device, copy=True) for each in values)
        for fixed, value in zip(self._inputs, values, strict=True):
            fixed.copy_(value, non_blocking=True)

        def arithmetic() -> Terms:
            chosen, keys, numbers = self._inputs
            terms = self._gradient(chosen, keys, 0, 0)
            self._clip()
            optimizer.update(numbers)
            return terms

        if self._replay is None:
            try:
                self._replay = record(arithmetic)
            except RuntimeError as error:
                _log.warning("the step is not recorded as a CUDA graph, and so slower: %s", error)
                self._record = None
                return arithmetic()
        return self._replay()

    def _clip(self) -> None:
        if self._grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(self._gradient.parameters, self._grad_clip)


def cuda_graph(function: Callable[[], Terms]) -> Callable[[], Terms]:
    """Record a function as a CUDA graph and return its replay.

    The function is not run. Each replay returns the same tensors, with new values.

    Raises:
        RuntimeError: An operation cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        terms = function()

    def replay() -> Terms:
        graph.replay()
        return terms

    return replay
