"""A network computed by ``simd.c``: the same function and the same parameters, faster where layers
are narrow.
"""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from caelab.kernels.simd.bindings import library
from caelab.kernels.to_nhwc import in_rows
from caelab.networks.simd_program import Affine, Chain, Program, chain_of, make_program

WIDEST = 48
"""Mean width up to which this is faster than PyTorch's convolutions (``benchmarks/NOTES.md``)."""


class SimdNetwork(nn.Module):
    """Computes what a network computes, and its gradient, on the calling thread alone; several may
    call it at once.

    Where no gradient is recorded, as many threads as PyTorch has share the images out.

    Args:
        network: Its parameters are used, not copied.
        program: Its layers, laid out for ``loops``.
        loops: The compiled ``simd.c``.
    """

    def __init__(self, network: nn.Module, program: Program, loops: ctypes.CDLL) -> None:
        super().__init__()
        self.network = network
        self.program = program
        self.loops = loops
        self.tapes, self.scratches = _Memory(), _Memory()
        self._pool: ThreadPoolExecutor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Images ``float32 (N, C, H, W)`` through the network; their own gradient is not
        computed.
        """
        if not torch.is_grad_enabled():
            return self._answer(x)
        answer: Tensor = _Pass.apply(self, x.detach(), *self._weights())  # type: ignore[no-untyped-call]
        return answer

    def _answer(self, x: Tensor) -> Tensor:
        images, weights, answers = (
            in_rows(x),
            _dense(self._weights()),
            self.room_for_answers(len(x)),
        )
        shares = min(torch.get_num_threads(), -(-len(x) // self.loops.lanes()))
        if shares <= 1:
            self.answer(images, weights, answers)
            return answers.permute(0, 3, 1, 2)
        self._pool = self._pool or ThreadPoolExecutor(torch.get_num_threads(), "answer")
        parts = zip(images.tensor_split(shares), answers.tensor_split(shares), strict=True)
        for part in [self._pool.submit(self.answer, given, weights, room) for given, room in parts]:
            part.result()
        return answers.permute(0, 3, 1, 2)

    def answer(
        self,
        images: Tensor,
        weights: list[Tensor | None],
        answers: Tensor,
        tape: Tensor | None = None,
    ) -> None:
        """Have images go through the network.

        Args:
            images: ``float32 (N, H, W, C)``, one number after the other in memory, as are the
                others.
            weights: Of each operation, and its biases.
            answers: Where the network's answers go, ``float32 (N, H', W', C')``.
            tape: Where what the way back needs is kept, for all images; by default it is not.
        """
        kept = tape is not None
        room = self.tapes.borrow(self.program.tape) if tape is None else tape
        scratch = self.scratches.borrow(self.program.scratch)
        self.loops.forward(
            self.program.address,
            len(images),
            images.data_ptr(),
            _pointers(weights),
            room.data_ptr(),
            scratch.data_ptr(),
            answers.data_ptr(),
            kept,
        )
        self.scratches.give_back(scratch)
        if not kept:
            self.tapes.give_back(room)

    def room_for_answers(self, count: int) -> Tensor:
        """Return memory for the answers to so many images, ``float32 (N, H, W, C)``."""
        channels, height, width = self.program.chain.shapes[-1]
        return torch.empty(count, height, width, channels)

    @property
    def keeps_shape(self) -> bool:
        """Whether the network answers with images of the size that it is given."""
        return self.program.chain.shapes[0] == self.program.chain.shapes[-1]

    def mse_gradient(self, images: Tensor, rows: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        """Return the mean squared error of the images that the network answers with, and its
        gradient.

        Both in one go, from bytes to the gradient by the network's parameters, in their order. The
        network must keep the images' shape.

        Args:
            images: ``uint8 (M, H·W·C)``, meaning [0, 1].
            rows: Which of them, ``int64 (N,)``.
        """
        weights = _dense(self._weights())
        gradients = _room_for(weights)
        tape, scratch = (
            self.tapes.borrow(self.program.tape),
            self.scratches.borrow(self.program.scratch),
        )
        total: float = self.loops.learn(
            self.program.address,
            len(rows),
            images.data_ptr(),
            rows.data_ptr(),
            _pointers(weights),
            tape.data_ptr(),
            scratch.data_ptr(),
            _pointers(gradients),
        )
        self.tapes.give_back(tape)
        self.scratches.give_back(scratch)
        return total / (len(rows) * images.shape[1]), tuple(
            each for each in gradients if each is not None
        )

    def _weights(self) -> list[Tensor | None]:
        """Weights and biases of each operation; where it has none, ``None``."""
        weights: list[Tensor | None] = []
        for operation in self.program.chain.operations:
            weights += (
                (None, None)
                if operation.layer is None
                else (operation.layer.weight, operation.layer.bias)
            )
        return weights


def make_simd_network(
    network: nn.Module,
    shape: tuple[int, int, int],
    *,
    input_affine: Affine | None = None,
    output_affine: Affine | None = None,
) -> SimdNetwork | None:
    """Return the network as ``simd.c`` computes it; ``None`` where it cannot, or PyTorch is as
    fast.

    Args:
        network: What is computed.
        shape: (C, H, W) of the images.
        input_affine: By what each channel that the network is given is multiplied first, and what is added
            to it, ``(C,)``.
        output_affine: The same for what the network answers, last.
    """
    if any(
        each.device.type != "cpu" or each.dtype != torch.float32 for each in network.parameters()
    ):
        return None
    chain = chain_of(network, shape)
    if chain is None or chain.mean_width > WIDEST or (loops := library()) is None:
        return None
    return lay_out(network, chain, loops, input_affine=input_affine, output_affine=output_affine)


def lay_out(
    network: nn.Module,
    chain: Chain,
    loops: ctypes.CDLL,
    *,
    input_affine: Affine | None = None,
    output_affine: Affine | None = None,
) -> SimdNetwork | None:
    """Return the network, which is the chain, as ``loops`` compute it; ``None`` if it is too large
    for them.

    Arguments as for :func:`make_simd_network`.
    """
    if chain.most_taps > loops.max_taps():
        return None
    program = make_program(
        chain, lanes=loops.lanes(), input_affine=input_affine, output_affine=output_affine
    )
    return None if program is None else SimdNetwork(network, program, loops)


class _Memory:
    """Memory of one layout, which is lent out and used again.

    The borders of its tensors are zero in fresh memory and never written, so what was used before
    is as good. Threads may append to a list and pop from it at the same time.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[Tensor]] = {}

    def borrow(self, floats: int) -> Tensor:
        """Return memory of this size, in which all borders are zero."""
        try:
            return self._free.setdefault(floats, []).pop()
        except IndexError:
            return torch.zeros(floats)

    def give_back(self, memory: Tensor) -> None:
        """Let it be used again."""
        self._free[len(memory)].append(memory)


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, network: SimdNetwork, x: Tensor, *weights: Tensor | None) -> Tensor:
        groups = -(-len(x) // network.loops.lanes())
        dense, tape, answers = (
            _dense(weights),
            network.tapes.borrow(groups * network.program.tape),
            network.room_for_answers(len(x)),
        )
        network.answer(in_rows(x), dense, answers, tape)
        ctx.network, ctx.tape, ctx.count, ctx.weights = network, tape, len(x), dense
        return answers.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        network: SimdNetwork = ctx.network
        back = in_rows(gradient)
        gradients = _room_for(ctx.weights)
        scratch = network.scratches.borrow(network.program.scratch)
        network.loops.backward(
            network.program.address,
            ctx.count,
            back.data_ptr(),
            _pointers(ctx.weights),
            ctx.tape.data_ptr(),
            scratch.data_ptr(),
            _pointers(gradients),
        )
        network.scratches.give_back(scratch)
        network.tapes.give_back(ctx.tape)
        ctx.tape = None
        return (None, None, *gradients)


def _dense(weights: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The weights as C reads them: one after the other in memory."""
    return [None if weight is None else weight.detach().contiguous() for weight in weights]


def _room_for(weights: list[Tensor | None]) -> list[Tensor | None]:
    """Memory for their gradients."""
    return [None if weight is None else torch.empty_like(weight) for weight in weights]


def _pointers(tensors: list[Tensor | None]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(
        *[None if each is None else each.data_ptr() for each in tensors]
    )
