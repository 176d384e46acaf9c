"""One step of training: a batch's gradient, and the update. On CUDA devices it is recorded once,
and replayed.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from caelab.training.gradient import BatchGradient, threads
from caelab.training.losses import Terms
from caelab.training.soap import SOAP

_log = logging.getLogger(__name__)

WARMUP = 3
"""Steps that are done as Python comes to them before one is recorded: libraries lay things out at
their first calls."""

Recorder = Callable[[Callable[[], Terms]], Callable[[], Terms]]
"""Takes a function's operations on tensors down, and returns what does them once more, on the same
tensors."""


class Step:
    """Takes steps: ``terms = step(chosen, keys, epoch, number)``.

    Every operation that Python asks of a GPU takes it some microseconds, and a small network's step
    has hundreds that take the GPU less. Steps that are alike are therefore recorded as a CUDA
    graph, which is launched in one go. Alike are those of SOAP between two refreshes of its bases,
    where nothing that a step is made of comes from the host but the images' positions and keys, and
    what ``SOAP.numbers`` tells: these have their places on the device. Other steps, and everything
    on other devices, are done as Python comes to them.

    Args:
        gradient: Of a batch.
        optimizer: Of the parameters.
        parameters: Of the model.
        clip: Largest norm of the gradient over all weights, or ``None``.
        updating: CPU threads that do the update.
        record: What records; by default CUDA's graphs where the images are on such a device.
    """

    def __init__(
        self,
        gradient: BatchGradient,
        optimizer: Optimizer,
        parameters: Sequence[Tensor],
        *,
        clip: float | None,
        updating: int,
        record: Recorder | None = None,
    ) -> None:
        self._gradient, self._optimizer, self._parameters, self._clip = (
            gradient,
            optimizer,
            parameters,
            clip,
        )
        self._updating = updating
        record = record or (cuda_graph if gradient.device.type == "cuda" else None)
        self._record = record if gradient.of_tensors_alone and isinstance(optimizer, SOAP) else None
        self._done = 0
        self._replay: Callable[[], Terms] | None = None
        self._places: tuple[Tensor, ...] = ()

    def __call__(self, chosen: Tensor, keys: Tensor, epoch: int, number: int) -> Terms:
        """Train on a batch; return its loss terms, as :class:`BatchGradient` does.

        Args:
            chosen: Positions of the batch's images, ``int64 (N,)``.
            keys: Their keys, ``int64 (N,)``.
            epoch: Of the run.
            number: Of the step, in the epoch.
        """
        optimizer = self._optimizer
        if (
            self._record
            and isinstance(optimizer, SOAP)
            and optimizer.steady
            and self._done >= WARMUP
        ):
            return self._replayed(self._record, optimizer, chosen, keys)
        self._done += 1
        terms = self._gradient(chosen, keys, epoch, number)
        with threads(self._updating):
            self._limit()
            optimizer.step()
        return terms

    def _replayed(self, record: Recorder, optimizer: SOAP, chosen: Tensor, keys: Tensor) -> Terms:
        optimizer.count()
        given = (chosen, keys, optimizer.numbers)
        self._places = self._places or tuple(each.to(chosen.device, copy=True) for each in given)
        for place, value in zip(self._places, given, strict=True):
            place.copy_(value, non_blocking=True)
        if self._replay is None:
            self._replay = self._recorded(record, optimizer)
        return self._replay()

    def _recorded(self, record: Recorder, optimizer: SOAP) -> Callable[[], Terms]:
        """Return what does a steady step with what lies in its places; if it cannot be recorded,
        this one only.
        """

        def arithmetic() -> Terms:
            chosen, keys, numbers = self._places
            terms = self._gradient(chosen, keys, 0, 0)
            self._limit()
            optimizer.update(numbers)
            return terms

        try:
            return record(arithmetic)
        except RuntimeError as error:
            _log.warning("the step is not recorded as a CUDA graph, and so slower: %s", error)
            self._record = None
            return arithmetic

    def _limit(self) -> None:
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)


def cuda_graph(function: Callable[[], Terms]) -> Callable[[], Terms]:
    """Record a function's operations on the current CUDA device, without doing them; return what
    does them.

    Each time it returns the same tensors, with other values.

    Raises:
        RuntimeError: One of the operations cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        told = function()

    def replay() -> Terms:
        graph.replay()
        return told

    return replay
