"""Compute a model's answers as fast as possible, without gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
from torch import Tensor

from caelab.device import autocast, run_shares
from caelab.kernels.simd import SimdProgram
from caelab.models.image_model import ImageModel
from caelab.networks.network_module import NetworkModule, Part

MAX_PIXELS = 64 * 64
"""Largest number of pixels, height times width, of a tensor that the compiled kernel computes.
PyTorch computes larger images just as efficiently, even a single large image.

The limit does not depend on the number of images, so that the answer for an image has the same bits
in every batch."""

MAX_SIZES = 8
"""Largest number of compiled programs kept in memory. Each part of a network, at each size of
images, has a program of its own."""

MIN_SHARE = 16 * 32 * 32
"""Smallest number of pixels per thread. With fewer, a thread would cost more time than it saves."""


class Inference:
    """Computes a model's answers on all threads; small networks run in the compiled SIMD kernel.

    For other networks the images are divided among the threads. Each thread computes the whole
    network for its images, so that the threads do not wait for each other after every operation.

    A program is compiled for each size of images, and kept for later calls. The program reads the
    model's own weights, so the weights may change between two calls. A network with forward hooks
    runs in PyTorch, which calls the hooks.

    Args:
        model: The model. Its mode, training or evaluation, is not changed.
    """

    def __init__(self, model: ImageModel) -> None:
        self.model = model
        # The cache is on a function, because a cached method would keep this object and the memory
        # of its programs alive until the garbage collector runs.
        self._compiled = lru_cache(MAX_SIZES)(partial(_compile, model))

    def restore(self, degraded: Tensor) -> Tensor:
        """Return the image in [0, 1], ``float32 (N, C, H, W)``, for an input ``(N, C', H, W)``."""
        return self.model.target.image(self.output(degraded), degraded)

    def output(self, degraded: Tensor) -> Tensor:
        """Return the result of ``ImageModel.forward``, averaged by test-time augmentation.

        Args:
            degraded: The input in [0, 1], ``(N, C', H, W)``.
        """
        return self.model.tta.average(partial(self._compute, "whole", self.model), degraded)

    def answer(self, degraded: Tensor) -> Tensor:
        """Return the image or chroma ``(N, C, H, W)``, as ``ImageModel.answer`` does."""
        return self.model.target.answer(self.output(degraded))

    def encode(self, degraded: Tensor) -> Tensor:
        """Return the code, ``float32 (N, c, h, w)``, of an input ``(N, C', H, W)`` in [0, 1].

        Raises:
            InputError: The network has no code, or its decoder needs more than the code.
        """
        encode = self._built.part("encoder")
        return self._compute(
            "encoder", lambda images: encode(self.model.normalize(images)).float(), degraded
        )

    def decode(self, code: Tensor) -> Tensor:
        """Return the image in [0, 1], ``float32 (N, C, H, W)``, for a code ``(N, c, h, w)``.

        Raises:
            InputError: The network has no code, or its decoder needs more than the code.
        """
        decode, target = self._built.part("decoder"), self.model.target
        output = self._compute("decoder", lambda code: target.output(decode(code).float()), code)
        return target.image(output, code)

    @property
    def _built(self) -> NetworkModule:
        assert isinstance(self.model.network, NetworkModule)
        return self.model.network

    @torch.no_grad()
    def _compute(self, part: Part, by_torch: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        special = (
            (x.device.type, x.dtype, x.ndim) != ("cpu", torch.float32, 4)
            or torch.is_autocast_enabled("cpu")
            or any(
                each._forward_hooks or each._forward_pre_hooks
                for each in self.model.network.modules()
            )
        )
        if special:
            return by_torch(x)
        # The choice depends on the size of the images, never on their number, so that an image has
        # the same answer in every batch.
        if (compiled := self._compiled(part, *x.shape[1:])) is not None:
            return compiled(x)
        # In training mode, an image's answer depends on the batch, which is therefore not divided.
        count = 1 if self.model.training else len(x)
        shares = min(torch.get_num_threads(), count, count * x.shape[2:].numel() // MIN_SHARE)
        parts = [(part,) for part in x.tensor_split(max(shares, 1))]
        # A thread has its own gradient mode, so `no_grad` must be called in each thread.
        return torch.cat(run_shares(torch.no_grad()(by_torch), parts))


def _compile(
    model: ImageModel, part: Part, channels: int, height: int, width: int
) -> SimdProgram | None:
    """Return the program of a part for inputs ``(N, C, H, W)``; ``None`` if PyTorch is better."""
    if height * width > MAX_PIXELS:
        return None
    compiled = model.compiled((channels, height, width), part)
    # The input of a decoder can be small although its layers are large, so each shape is checked.
    small = compiled and all(h * w <= MAX_PIXELS for _, h, w in compiled.chain.shapes)
    return compiled if small else None


@contextmanager
def restoring(
    model: ImageModel, precision: torch.dtype = torch.float32
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield a function that restores images; the model is in evaluation mode inside the block.

    Args:
        model: The model. After the block, it has the same mode as before.
        precision: Type in which convolutions are computed.

    Yields:
        A function from inputs ``(N, C', H, W)`` to restored images ``(N, C, H, W)`` in [0, 1].
    """
    inference, training = Inference(model), model.training

    def restore(images: Tensor) -> Tensor:
        with autocast(images.device, precision):
            return inference.restore(images)

    # The caller may be in training, and then needs the training mode again afterwards.
    model.eval()
    try:
        yield restore
    finally:
        model.train(training)
