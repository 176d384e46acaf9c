"""Train one network in several processes, each of which computes a part of every batch.

The processes are started by PyTorch's ``torchrun``, on one machine or several, and talk to each
other by ``torch.distributed``. ``DistributedDataParallel`` is not used, because it needs gradients
from ``backward()``, and :class:`caelab.training.step.BatchGradient` computes them otherwise.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from caelab.errors import ExpectedError, InputError

ValueT = TypeVar("ValueT")


class ProcessLost(ExpectedError):
    """Another process of the training has ended."""


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one network together; by default this process alone.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of all processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """True for the process that writes files and messages."""
        return self.rank == 0

    def part(self, values: Tensor) -> Tensor:
        """Return this process's part of some values, such as the indices of a batch.

        >>> ProcessGroup(rank=1, size=2).part(torch.arange(5))
        tensor([3, 4])

        Args:
            values: Values in the same order in every process, ``(N, …)``.
        """
        return values.tensor_split(self.size)[self.rank]

    def own_device(self, device: torch.device) -> torch.device:
        """Return the device of this process: of several GPUs, each process has its own."""
        if self.size == 1 or device.type != "cuda":
            return device
        own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(own)
        return own

    def add(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sum of each tensor over the processes.

        Args:
            tensors: Tensors of the same shapes in every process, ``float32`` on one device.

        Raises:
            ProcessLost: Another process has ended.
        """
        if self.size == 1:
            return list(tensors)
        # One message takes less time than one for each tensor.
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _talking():
            dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def gather(self, value: ValueT) -> list[ValueT]:
        """Return the value of each process, in the order of their numbers.

        Raises:
            ProcessLost: Another process has ended.
        """
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        with _talking():
            dist.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        """Wait until every process has come here.

        Raises:
            ProcessLost: Another process has ended.
        """
        self.gather(None)

    def require_equal(self, facts: Mapping[str, object]) -> None:
        """Raise if a fact of this process differs from that of the first process.

        Args:
            facts: What must be equal in all processes, by the words that name it in the message.

        Raises:
            InputError: A fact differs.
        """
        for rank, other in enumerate(self.gather(dict(facts))):
            for name, value in facts.items():
                if other[name] != value:
                    raise InputError(
                        f"the processes of this training disagree about {name}: {value} in process"
                        f" {self.rank}, {other[name]} in process {rank}. Start all of them with the"
                        " same command, the same data and the same versions."
                    )


ALONE = ProcessGroup()
"""This process alone."""


@contextlib.contextmanager
def join_processes(device: str) -> Iterator[ProcessGroup]:
    """Join the processes that ``torchrun`` started with this one, while the block runs.

    Without ``torchrun``, the group is this process alone. ``torchrun`` sets the environment
    variables ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``.

    Args:
        device: ``device`` of the run's configuration. GPUs talk by NCCL, CPUs by Gloo.

    Raises:
        InputError: The processes cannot reach each other.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1 or "MASTER_ADDR" not in os.environ:
        yield ALONE
        return
    on_gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    try:
        store, rank, _ = next(rendezvous("env://"))
        # `torchrun` may keep the store when it starts the processes again. Without a prefix, they
        # would find the addresses of the processes that have ended.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        dist.init_process_group(
            # Lists of objects are gathered on the CPU, by Gloo.
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            store=dist.PrefixStore(f"attempt-{attempt}", store),  # type: ignore[attr-defined]
            rank=rank,
            world_size=size,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the {size} processes of this training cannot reach each other: {error}. Check"
            " MASTER_ADDR and MASTER_PORT."
        ) from error
    try:
        yield ProcessGroup(rank=rank, size=size)
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            "another process of this training has ended. Start the same command again: the run"
            " continues from its last checkpoint."
        ) from error
