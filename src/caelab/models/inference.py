"""A model in use: answers without gradients, as fast as they can be had."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from caelab.device import autocast
from caelab.models.image_model import ImageModel, Part
from caelab.networks.network_module import NetworkModule
from caelab.networks.simd_network import SimdNetwork

MOST_PIXELS = 64 * 64
"""Of any tensor of an image. A larger image, which may well come alone, fills vectors by itself,
and is PyTorch's.

The number of images has no say, so that an image's answer is the same to the last bit, whatever
others are beside it.
"""

MOST_SIZES = 8
"""Sizes of images for which loops and the memory they work in are kept."""

SMALLEST_SHARE = 16 * 32 * 32
"""Pixels that are worth a thread of their own."""


class Inference:
    """Computes what a model computes, small networks by compiled loops (``networks.lanes``), on all
    threads.

    Other networks are shared out as in training: each thread takes some of the images through all
    of the network, instead of all of them meeting in every operation.

    The loops are made for every size of images that comes, and kept for the next. They read the
    model's weights where they are, so these may change in between. A network with forward hooks is
    PyTorch's, which calls them.

    Args:
        model: Used as it is, in evaluation mode or not.
    """

    def __init__(self, model: ImageModel) -> None:
        self.model = model
        self._compiled: dict[tuple[Part, torch.Size], SimdNetwork | None] = {}
        self._pool: ThreadPoolExecutor | None = None

    @torch.no_grad()
    def restore(self, given: Tensor) -> Tensor:
        """Return the image in [0, 1], ``float32 (N, C, H, W)``, for what is given."""
        return self.model.restore(
            given, forward=lambda images: self._answer("whole", self.model, images)
        )

    @torch.no_grad()
    def encode(self, given: Tensor) -> Tensor:
        """Return the code, ``float32 (N, c, h, w)``, of what is given.

        Raises:
            InputError: The network has no code that holds all its decoder needs.
        """
        encode = self._built.encode
        return self._answer(
            "encoder", lambda images: encode(self.model.inputs(images)).float(), given
        )

    @torch.no_grad()
    def decode(self, code: Tensor) -> Tensor:
        """Return the image in [0, 1], ``float32 (N, C, H, W)``, of a code that is all that its
        prediction needs.

        Raises:
            InputError: The network has no code that holds all its decoder needs.
        """
        decode, prediction = self._built.decode, self.model.prediction
        output = self._answer("decoder", lambda code: prediction.output(decode(code).float()), code)
        return prediction.image(output, code)

    @property
    def _built(self) -> NetworkModule:
        assert isinstance(self.model.network, NetworkModule)
        return self.model.network

    def _answer(self, part: Part, otherwise: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        plain = (
            x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
        )
        hooked = any(
            each._forward_hooks or each._forward_pre_hooks for each in self.model.network.modules()
        )
        if not plain or hooked or x.ndim != 4:
            return otherwise(x)
        compiled = self._loops(part, x.shape[1:])
        if compiled is not None:
            answer: Tensor = compiled(x)
            return answer
        # In training mode chance, or what others are beside it, may have a say in an image's
        # answer.
        return otherwise(x) if self.model.training else self._shared_out(otherwise, x)

    def _shared_out(self, answer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        shares = min(torch.get_num_threads(), count, count * height * width // SMALLEST_SHARE)
        if shares <= 1:
            return answer(x)

        def share(images: Tensor) -> Tensor:
            with torch.no_grad():  # a thread's own, as is the number of threads
                return answer(images)

        self._pool = self._pool or ThreadPoolExecutor(
            torch.get_num_threads(), "answer", initializer=torch.set_num_threads, initargs=(1,)
        )
        return torch.cat(list(self._pool.map(share, x.tensor_split(shares))))

    def _loops(self, part: Part, shape: torch.Size) -> SimdNetwork | None:
        if (part, shape) not in self._compiled:
            if len(self._compiled) >= MOST_SIZES:
                self._compiled.clear()
            channels, height, width = shape
            compiled = (
                self.model.compiled((channels, height, width), part)
                if height * width <= MOST_PIXELS
                else None
            )
            if compiled is not None and any(
                h * w > MOST_PIXELS for _, h, w in compiled.program.chain.shapes
            ):
                compiled = None
            self._compiled[part, shape] = compiled
        return self._compiled[part, shape]


@contextmanager
def restoring(
    model: ImageModel, precision: torch.dtype = torch.float32
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield the model as a function of images, in evaluation mode while the block runs.

    Args:
        model: The model; it is returned to its mode after the block.
        precision: Type in which convolutions are computed.

    Yields:
        A map of input images ``(N, C', H, W)`` to restored images ``(N, C, H, W)`` in [0, 1].
    """
    inference, training = Inference(model), model.training

    def restore(images: Tensor) -> Tensor:
        with autocast(images.device, precision):
            return inference.restore(images)

    model.eval()
    try:
        yield restore
    finally:
        model.train(training)
